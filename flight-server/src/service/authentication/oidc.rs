//! Tokens of an identity provider: JSON Web Tokens, verified by the keys that it publishes.
//!
//! Only algorithms with a public key count; a token says which, and its key must be of that kind. Keys are fetched when a token names one that is
//! not known, no more often than every few seconds, and once in a while.

use std::time::{Duration, UNIX_EPOCH};

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, decode, decode_header};
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tonic::Status;

use super::{Authenticated, Method};
use crate::engine::Principal;
use crate::service::status;

/// Keys are asked for again after this time, even if nothing new is met.
const STALE: Duration = Duration::from_secs(3600);
/// And no more often than this, whatever is met.
const FLOOR: Duration = Duration::from_secs(10);
/// The provider may take so long to answer, and say so much.
const PATIENCE: Duration = Duration::from_secs(10);
const LARGEST_ANSWER: usize = 1 << 20;
/// Longest token.
const LONGEST_TOKEN: usize = 16 << 10;
/// Longest name of a principal.
const LONGEST_NAME: usize = 256;
/// Clocks may differ by so much (s).
const LEEWAY: u64 = 60;

/// An identity provider.
#[derive(Debug, Clone)]
pub struct OidcSettings {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` that they must name: one of these.
    pub audience: Vec<String>,
    /// Where its keys are; `None`: where its discovery document says.
    pub jwks_url: Option<String>,
    /// The claim that names the principal.
    pub principal_claim: String,
}

/// Why a provider cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// No client for it.
    #[error("the identity provider cannot be asked")]
    Client(#[source] reqwest::Error),
}

/// What the provider said cannot be used.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{url} cannot be fetched")]
    Http { url: String, source: reqwest::Error },
    #[error("{url} answers with more than {LARGEST_ANSWER} bytes")]
    TooLarge { url: String },
    #[error("{url} does not answer what it should")]
    Json { url: String, source: serde_json::Error },
    #[error("the discovery document is of issuer {0:?}")]
    Issuer(String),
    #[error("the keys are at {0:?}, which is not https")]
    Insecure(String),
}

#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

/// Keys of kinds that are not known here are no reason to refuse the others.
#[derive(Debug, Deserialize)]
struct Published {
    keys: Vec<serde_json::Value>,
}

#[derive(Debug, Default)]
struct Keys {
    set: Vec<Jwk>,
    /// When they were fetched.
    fetched: Option<Instant>,
    /// When that was tried last.
    tried: Option<Instant>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Provider {
    settings: OidcSettings,
    http: reqwest::Client,
    /// Held while they are fetched, so that callers at once fetch them once.
    keys: Mutex<Keys>,
}

/// Whether a bearer token has the shape of a JSON Web Token.
pub(super) fn looks_like_one(token: &str) -> bool {
    token.len() <= LONGEST_TOKEN && token.bytes().filter(|byte| *byte == b'.').count() == 2
}

/// The algorithms that a key can be of. None is symmetric: whoever can read a public key could sign by it.
fn algorithms(key: &Jwk) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512};
    match &key.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(key) => match key.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(_) => &[EdDSA],
        AlgorithmParameters::OctetKey(_) => &[],
    }
}

fn fits(key: &Jwk, header: &Header) -> bool {
    let named = key
        .common
        .key_algorithm
        .is_none_or(|named| named.to_string() == format!("{:?}", header.alg));
    let signs = key
        .common
        .public_key_use
        .as_ref()
        .is_none_or(|used| *used == PublicKeyUse::Signature);
    let same = header.kid.is_none() || key.common.key_id == header.kid;
    named && signs && same && algorithms(key).contains(&header.alg)
}

impl Provider {
    pub(super) fn new(settings: OidcSettings) -> Result<Self, OidcError> {
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(OidcError::Client)?;
        Ok(Self {
            settings,
            http,
            keys: Mutex::default(),
        })
    }

    /// Whose token it is; `None` if it is not valid. UNAVAILABLE if that cannot be told.
    pub(super) async fn verify(&self, token: &str) -> Result<Option<Authenticated>, Status> {
        let Ok(header) = decode_header(token) else { return Ok(None) };
        let keys = self.keys_for(&header).await?;
        let mut validation = Validation::new(header.alg);
        validation.leeway = LEEWAY;
        validation.validate_nbf = true;
        validation.set_issuer(&[&self.settings.issuer]);
        validation.set_audience(&self.settings.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        for key in keys {
            let Ok(key) = DecodingKey::from_jwk(&key) else { continue };
            match decode::<serde_json::Map<String, serde_json::Value>>(token, &key, &validation) {
                Ok(token) => return Ok(self.principal(&token.claims)),
                Err(error) => tracing::debug!(kind = ?error.kind(), "a token of the identity provider is not valid"),
            }
        }
        Ok(None)
    }

    fn principal(&self, claims: &serde_json::Map<String, serde_json::Value>) -> Option<Authenticated> {
        let name = claims.get(&self.settings.principal_claim)?.as_str()?;
        if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
            tracing::debug!(claim = self.settings.principal_claim, "a token's principal is not a name");
            return None;
        }
        let expires = claims
            .get("exp")
            .and_then(serde_json::Value::as_f64)
            .filter(|expires| *expires > 0.0);
        Some(Authenticated {
            principal: Principal(format!("oidc:{name}").into()),
            method: Method::Oidc,
            until: expires.and_then(|expires| UNIX_EPOCH.checked_add(Duration::try_from_secs_f64(expires).ok()?)),
        })
    }

    async fn keys_for(&self, header: &Header) -> Result<Vec<Jwk>, Status> {
        let mut keys = self.keys.lock().await;
        let found = |keys: &Keys| keys.set.iter().filter(|key| fits(key, header)).cloned().collect::<Vec<_>>();
        let known = found(&keys);
        let fresh = keys.fetched.is_some_and(|fetched| fetched.elapsed() < STALE);
        let may_try = keys.tried.is_none_or(|tried| tried.elapsed() >= FLOOR);
        if (fresh && !known.is_empty()) || !may_try {
            return if keys.fetched.is_some() { Ok(known) } else { Err(unreachable()) };
        }
        keys.tried = Some(Instant::now());
        match self.fetch().await {
            Ok(set) => {
                tracing::debug!(keys = set.len(), "keys of the identity provider fetched");
                keys.set = set;
                keys.fetched = Some(Instant::now());
                Ok(found(&keys))
            }
            Err(error) => {
                let error: &(dyn std::error::Error + 'static) = &error;
                tracing::warn!(error, "keys of the identity provider cannot be fetched");
                // What was published before is believed for as long as nothing else is said.
                if keys.fetched.is_some() { Ok(known) } else { Err(unreachable()) }
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Jwk>, FetchError> {
        let url = match &self.settings.jwks_url {
            Some(url) => url.clone(),
            None => self.discovered().await?,
        };
        let published: Published = self.json(&url).await?;
        let keys = published.keys.into_iter();
        Ok(keys.filter_map(|key| serde_json::from_value(key).ok()).collect())
    }

    async fn discovered(&self) -> Result<String, FetchError> {
        let issuer = self.settings.issuer.trim_end_matches('/');
        let document: Discovery = self.json(&format!("{issuer}/.well-known/openid-configuration")).await?;
        if document.issuer != self.settings.issuer {
            return Err(FetchError::Issuer(document.issuer));
        }
        // As safe as the way to the document was.
        if issuer.starts_with("https://") && !document.jwks_uri.starts_with("https://") {
            return Err(FetchError::Insecure(document.jwks_uri));
        }
        Ok(document.jwks_uri)
    }

    async fn json<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<T, FetchError> {
        let http = |source| FetchError::Http {
            url: url.to_owned(),
            source,
        };
        let response = self.http.get(url).send().await;
        let mut response = response.and_then(reqwest::Response::error_for_status).map_err(http)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(http)? {
            if body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(FetchError::TooLarge { url: url.to_owned() });
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|source| FetchError::Json {
            url: url.to_owned(),
            source,
        })
    }
}

fn unreachable() -> Status {
    status::unavailable("the identity provider cannot be asked for its keys; try again")
}
