//! Who may come in, and what they may do.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::units::{ByteCount, duration, optional_duration};
use crate::engine::{AccessRule, PrincipalLimits, Right};

/// The principal of who shows no credentials.
const ANONYMOUS: &str = "anonymous";
/// As this user, the password is a token.
const TOKEN_USER: &str = "token";

/// Names that begin so are of principals whom others vouch for.
const VOUCHED: [&str; 2] = ["oidc:", "cert:"];

/// `auth:`; absent: nobody is asked who he is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuthSection {
    /// Users with passwords.
    pub users: Vec<UserEntry>,
    /// Static tokens.
    pub tokens: Vec<TokenEntry>,
    /// Tokens of an identity provider.
    pub oidc: Option<OidcSection>,
    /// Rights; what no rule gives is denied.
    pub access: Vec<AccessEntry>,
    /// Who shows no credentials is the principal `anonymous`.
    pub anonymous: bool,
    /// A login is good for so long after its last use.
    #[serde(deserialize_with = "duration")]
    pub token_ttl: Duration,
}

impl Default for AuthSection {
    fn default() -> Self {
        Self {
            users: Vec::new(),
            tokens: Vec::new(),
            oidc: None,
            access: Vec::new(),
            anonymous: false,
            token_ttl: Duration::from_secs(12 * 3600),
        }
    }
}

/// A secret in the configuration or in a file: never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// A user with a password.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserEntry {
    /// The principal.
    pub name: String,
    /// What `shardflight hash-password` printed.
    pub password_hash: Option<Secret>,
    /// A file that holds it.
    pub password_hash_file: Option<PathBuf>,
}

/// A static token.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenEntry {
    /// The principal.
    pub name: String,
    /// SHA-256 of the token, as 64 hexadecimal digits.
    pub token_sha256: Option<Secret>,
    /// A file that holds the token itself.
    pub token_file: Option<PathBuf>,
}

/// An identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OidcSection {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` that its tokens must name: one of these.
    pub audience: OneOrMany,
    /// Where its keys are [default: what the issuer's discovery document says].
    pub jwks_url: Option<String>,
    /// Claim that names the principal `oidc:…` [default: sub].
    pub principal_claim: Option<String>,
}

/// A text or a list of them.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum OneOrMany {
    /// One.
    One(String),
    /// Several.
    Many(Vec<String>),
}

impl OneOrMany {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// A rule of `auth.access`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessEntry {
    /// Principals, with `*` for any text.
    pub principal: String,
    /// Tables, as `schema.table`.
    #[serde(default)]
    pub tables: Vec<String>,
    /// Checkpoints.
    #[serde(default)]
    pub checkpoints: Vec<String>,
    /// Streams that statements may name themselves.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Locations of files that COPY may write to.
    #[serde(default)]
    pub locations: Vec<String>,
    /// What they may do there.
    pub may: BTreeSet<RightName>,
    /// How much of it.
    #[serde(default)]
    pub limits: LimitsEntry,
}

/// A right's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RightName {
    /// See [`Right::Read`].
    Read,
    /// See [`Right::Consume`].
    Consume,
    /// See [`Right::Write`].
    Write,
    /// See [`Right::Offload`].
    Offload,
    /// See [`Right::Admin`].
    Admin,
}

impl From<RightName> for Right {
    fn from(name: RightName) -> Self {
        match name {
            RightName::Read => Self::Read,
            RightName::Consume => Self::Consume,
            RightName::Write => Self::Write,
            RightName::Offload => Self::Offload,
            RightName::Admin => Self::Admin,
        }
    }
}

/// Limits of a rule's principals, each by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsEntry {
    /// Statements at once.
    pub max_concurrent: Option<usize>,
    /// Bytes that a statement may read from Kinesis.
    pub max_bytes: Option<ByteCount>,
    /// A statement's reading time.
    #[serde(deserialize_with = "optional_duration")]
    pub max_time: Option<Duration>,
    /// Sessions at once.
    pub max_sessions: Option<usize>,
}

impl AccessEntry {
    /// As the engine takes it.
    ///
    /// # Errors
    /// A sentence, if a pattern cannot be used.
    pub fn rule(&self) -> Result<AccessRule, String> {
        let limits = PrincipalLimits {
            max_concurrent: self.limits.max_concurrent,
            max_bytes: self.limits.max_bytes.map(|bytes| bytes.0),
            max_time: self.limits.max_time,
            max_sessions: self.limits.max_sessions,
        };
        let rule = AccessRule::new(&self.principal, self.may.iter().copied().map(Right::from))?;
        let rule = rule.on_tables(&self.tables)?.on_checkpoints(&self.checkpoints)?;
        Ok(rule.on_streams(&self.streams)?.on_locations(&self.locations)?.within(limits))
    }
}

/// One of two keys must be there.
fn one_of(place: &str, (key, value): (&str, bool), (file_key, file): (&str, Option<&Path>)) -> Result<(), String> {
    match (value, file) {
        (true, None) | (false, Some(_)) => Ok(()),
        (true, Some(_)) => Err(format!("{place}: either `{key}` or `{file_key}`, not both")),
        (false, None) => Err(format!("{place}: needs `{key}` or `{file_key}`")),
    }
}

impl AuthSection {
    /// `mutual`: clients show certificates.
    pub(super) fn validate(&self, mutual: bool) -> Result<(), String> {
        let mut names = BTreeSet::new();
        let of_users = self.users.iter().map(|user| ("users", &user.name));
        for (list, name) in of_users.chain(self.tokens.iter().map(|token| ("tokens", &token.name))) {
            if name.is_empty() || name.len() > 256 || name.chars().any(|c| c.is_control() || c == ':') {
                return Err(format!("auth.{list}: {name:?} is not a name: up to 256 bytes, without `:`"));
            }
            if name == ANONYMOUS {
                return Err(format!("auth.{list}: `{ANONYMOUS}` is who shows no credentials"));
            }
            if list == "users" && name == TOKEN_USER {
                return Err(format!(
                    "auth.users: `{TOKEN_USER}` is who gives a token as password; choose another name"
                ));
            }
            if !names.insert(name) {
                return Err(format!("auth.{list}: the name `{name}` is given twice"));
            }
        }
        for user in &self.users {
            one_of(
                &format!("auth.users: {}", user.name),
                ("password_hash", user.password_hash.is_some()),
                ("password_hash_file", user.password_hash_file.as_deref()),
            )?;
        }
        for token in &self.tokens {
            let place = format!("auth.tokens: {}", token.name);
            one_of(
                &place,
                ("token_sha256", token.token_sha256.is_some()),
                ("token_file", token.token_file.as_deref()),
            )?;
            let digest = token.token_sha256.as_ref().map_or("", |digest| digest.0.as_str());
            if token.token_sha256.is_some() && (digest.len() != 64 || !digest.bytes().all(|byte| byte.is_ascii_hexdigit())) {
                return Err(format!("{place}: token_sha256 is not 64 hexadecimal digits"));
            }
        }
        if let Some(oidc) = &self.oidc {
            if oidc.audience.all().is_empty() {
                return Err("auth.oidc.audience: a token for anybody is no login; name this server's audience".to_owned());
            }
            for (key, url) in [("issuer", Some(&oidc.issuer)), ("jwks_url", oidc.jwks_url.as_ref())] {
                if let Some(url) = url {
                    check_url(&format!("auth.oidc.{key}"), url)?;
                }
            }
        }
        let logins = !self.users.is_empty() || !self.tokens.is_empty() || self.oidc.is_some() || mutual;
        if !logins && !self.anonymous {
            return Err("auth: nobody could log in; give users, tokens, oidc or tls.client_ca, or set `anonymous: true`".to_owned());
        }
        if self.access.is_empty() {
            return Err("auth.access: without a rule nobody may do anything; give one".to_owned());
        }
        if self.token_ttl < Duration::from_secs(60) {
            return Err("auth.token_ttl: must be at least 1m".to_owned());
        }
        for entry in &self.access {
            let place = format!("auth.access of {:?}", entry.principal);
            entry.rule().map_err(|error| format!("{place}: {error}"))?;
            if entry.may.is_empty() {
                return Err(format!("{place}: `may` names no right"));
            }
            if entry.tables.is_empty() && entry.checkpoints.is_empty() && entry.streams.is_empty() && entry.locations.is_empty() {
                return Err(format!(
                    "{place}: names no tables, checkpoints, streams or locations; \"*\" is all of them"
                ));
            }
            if entry.limits.max_concurrent == Some(0) || entry.limits.max_sessions == Some(0) {
                return Err(format!("{place}: a limit of 0 lets nothing run; leave the right out instead"));
            }
        }
        Ok(())
    }

    /// Names in rules that no login gives: probably misspelt.
    pub fn unknown_principals(&self) -> Vec<&str> {
        let known = |name: &str| {
            let listed = self.users.iter().any(|user| user.name == name) || self.tokens.iter().any(|token| token.name == name);
            listed || name.contains('*') || name == ANONYMOUS || VOUCHED.iter().any(|prefix| name.starts_with(prefix))
        };
        let principals = self.access.iter().map(|entry| entry.principal.as_str());
        principals.filter(|name| !known(name)).collect()
    }
}

/// Keys and who vouches for them come over a connection that nobody else can write to.
fn check_url(key: &str, url: &str) -> Result<(), String> {
    let uri: http::Uri = url.parse().map_err(|error| format!("{key}: {url:?} is not a URL: {error}"))?;
    let host = uri.host().unwrap_or_default();
    let here = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if here => Ok(()),
        _ => Err(format!("{key}: {url:?} does not begin with https://")),
    }
}

/// `tls:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TlsSection {
    /// The server's certificate and those that lead to its CA, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// CAs of clients' certificates, PEM: mutual TLS.
    pub client_ca: Option<PathBuf>,
    /// Whether a client without certificate may come in, and show other credentials.
    pub client_cert: ClientCertificates,
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    /// All of them.
    #[default]
    Required,
    /// Those that have one.
    Optional,
}

impl TlsSection {
    /// Whether it is on.
    pub fn is_on(&self) -> bool {
        self.cert.is_some()
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        match (&self.cert, &self.key) {
            (Some(_), Some(_)) => Ok(()),
            (None, None) if self.client_ca.is_some() => Err("tls.client_ca: needs cert and key".to_owned()),
            (None, None) => Ok(()),
            (Some(_), None) => Err("tls.cert: needs key".to_owned()),
            (None, Some(_)) => Err("tls.key: needs cert".to_owned()),
        }
    }
}

/// `audit:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditSection {
    /// File that events are appended to [default: the server's log, where `auth` is configured].
    pub path: Option<PathBuf>,
    /// With the text of statements.
    pub sql: bool,
}

#[cfg(test)]
mod tests;
