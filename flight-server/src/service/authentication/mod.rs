//! Who calls: passwords, tokens, certificates -> a principal.
//!
//! ```text
//! authorization: Basic …     a user's password; as user `token` the password is a token
//! authorization: Bearer …    a session's token (sealed by this server), a static token, or a token of the identity provider
//! cookie                     a session's token
//! client certificate         where nothing else is shown
//! ```
//! A layer before all calls asks here and puts an [`Authenticated`] into the request; whose session it is, and whether who shows nothing may
//! come in, is decided by [`Sessions`](super::sessions::Sessions). Only the handshake lets who shows nothing pass: older clients send their password as its
//! message.

mod credentials;
mod layer;
mod message;
mod oidc;
mod passwords;
mod throttle;
mod tokens;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tonic::Status;

use crate::engine::{AuditEvent, AuditLog, Principal};

pub(crate) use credentials::Credentials;
pub(crate) use layer::AuthenticationLayer;
pub use oidc::{OidcError, OidcSettings};
use passwords::Passwords;
use throttle::Throttle;
use tokens::Tokens;

pub use passwords::{PasswordError, hash_password};
pub use tokens::token_digest;

/// As this user, the password is a token.
const TOKEN_USER: &str = "token";

/// How somebody proved who he is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Method {
    /// Nobody asked.
    None,
    Password,
    Token,
    Oidc,
    Certificate,
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Password => "password",
            Self::Token => "token",
            Self::Oidc => "oidc",
            Self::Certificate => "certificate",
        })
    }
}

/// Who a request is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authenticated {
    pub(crate) principal: Principal,
    pub(crate) method: Method,
    /// When what was shown is good no more.
    pub(crate) until: Option<SystemTime>,
}

/// What is asked of callers.
#[derive(Debug, Default)]
pub struct AuthenticationSettings {
    /// Users and their hashes, as [`hash_password`] makes them.
    pub users: Vec<(String, String)>,
    /// Principals of static tokens, with the SHA-256 of each.
    pub tokens: Vec<(String, [u8; 32])>,
    /// An identity provider.
    pub oidc: Option<OidcSettings>,
    /// Who shows nothing is the anonymous principal.
    pub anonymous: bool,
    /// A login is good for so long after its last use.
    pub token_ttl: Duration,
}

/// Why authentication cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum AuthenticationError {
    /// A hash that is none.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The identity provider cannot be used.
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

/// Asks who callers are.
#[derive(Debug)]
pub struct Authentication {
    /// `None`: nobody is asked.
    asked: Option<Asked>,
    audit: Arc<AuditLog>,
}

#[derive(Debug)]
struct Asked {
    passwords: Passwords,
    tokens: Tokens,
    oidc: Option<oidc::Provider>,
    throttle: Throttle,
    anonymous: bool,
    token_ttl: Duration,
}

impl Authentication {
    /// Nobody is asked: every caller is the anonymous principal, and credentials are accepted unread.
    pub fn nobody() -> Arc<Self> {
        Arc::new(Self {
            asked: None,
            audit: AuditLog::off(),
        })
    }

    /// Everybody is asked.
    ///
    /// # Errors
    /// A hash cannot be read, or the identity provider cannot be used.
    pub fn new(settings: AuthenticationSettings, audit: Arc<AuditLog>) -> Result<Arc<Self>, AuthenticationError> {
        Ok(Arc::new(Self {
            asked: Some(Asked {
                passwords: Passwords::new(settings.users)?,
                tokens: Tokens::new(settings.tokens),
                oidc: settings.oidc.map(oidc::Provider::new).transpose()?,
                throttle: Throttle::default(),
                anonymous: settings.anonymous,
                token_ttl: settings.token_ttl,
            }),
            audit,
        }))
    }

    /// Whether who shows nothing is the anonymous principal.
    pub(crate) fn allows_anonymous(&self) -> bool {
        self.asked.as_ref().is_none_or(|asked| asked.anonymous)
    }

    /// How long a login is good after its last use; `None` where there are none.
    pub(crate) fn token_ttl(&self) -> Option<Duration> {
        self.asked.as_ref().map(|asked| asked.token_ttl)
    }

    /// Whether a login that was good when a session's token was made is good today.
    pub(crate) fn still_knows(&self, principal: &Principal, method: Method) -> bool {
        let Some(asked) = &self.asked else {
            return method == Method::None;
        };
        match method {
            Method::None => asked.anonymous,
            Method::Password => asked.passwords.knows(&principal.0),
            Method::Token => asked.tokens.knows(&principal.0),
            Method::Oidc => asked.oidc.is_some(),
            Method::Certificate => true,
        }
    }

    /// Who shows these credentials, that come from an address. `None`: there are none, or nobody is asked.
    ///
    /// # Errors
    /// UNAUTHENTICATED for wrong ones, in the same words whatever is wrong; RESOURCE_EXHAUSTED after too many of them.
    pub(crate) async fn of(&self, credentials: Credentials<'_>, address: &str) -> Result<Option<Authenticated>, Status> {
        let Some(asked) = &self.asked else { return Ok(None) };
        let (user, method) = match &credentials {
            Credentials::None => return Ok(None),
            Credentials::Certificate(name) => {
                return Ok(Some(Authenticated {
                    principal: Principal(format!("cert:{name}").into()),
                    method: Method::Certificate,
                    until: None,
                }));
            }
            Credentials::Password { user, .. } if user == TOKEN_USER => ("", Method::Token),
            Credentials::Password { user, .. } => (user.as_str(), Method::Password),
            Credentials::Token(token) if oidc::looks_like_one(token) => ("", Method::Oidc),
            Credentials::Token(_) => ("", Method::Token),
        };
        let audit = |principal: &str, outcome: &str| {
            let method = &method.to_string();
            self.audit.record(&AuditEvent::Login {
                principal,
                method,
                outcome,
            });
        };
        // Tokens cannot be guessed, and one that expired somewhere behind a proxy must not keep others out.
        let throttle = (method == Method::Password).then_some(&asked.throttle);
        if let Credentials::Password { password, .. } = &credentials
            && method == Method::Password
            && asked.passwords.remembers(user, password)
        {
            return Ok(Some(of_password(user)));
        }
        if let Some(Err(wait)) = throttle.map(|throttle| throttle.check(address, user)) {
            audit(user, "throttled");
            return Err(Status::resource_exhausted(format!(
                "too many failed logins; try again in {} s",
                wait.as_secs() + 1
            )));
        }
        let found = match &credentials {
            Credentials::Password { user, password } if user != TOKEN_USER => {
                let good = asked.passwords.verify(user, password).await?;
                if good {
                    audit(user, "ok");
                }
                good.then(|| of_password(user))
            }
            Credentials::Password { password: token, .. } => asked.token(token).await?,
            Credentials::Token(token) => asked.token(token).await?,
            Credentials::None | Credentials::Certificate(_) => None,
        };
        match found {
            Some(found) => {
                if let Some(throttle) = throttle {
                    throttle.succeeded(address, user);
                }
                Ok(Some(found))
            }
            None => {
                if let Some(throttle) = throttle {
                    throttle.failed(address, user);
                }
                audit(user, "failed");
                tracing::warn!(address, user, %method, "login failed");
                Err(Status::unauthenticated("the credentials are not valid"))
            }
        }
    }
}

fn of_password(user: &str) -> Authenticated {
    Authenticated {
        principal: Principal(user.into()),
        method: Method::Password,
        until: None,
    }
}

impl Asked {
    async fn token(&self, token: &str) -> Result<Option<Authenticated>, Status> {
        if let Some(principal) = self.tokens.find(token) {
            return Ok(Some(Authenticated {
                principal,
                method: Method::Token,
                until: None,
            }));
        }
        match &self.oidc {
            Some(provider) if oidc::looks_like_one(token) => provider.verify(token).await,
            _ => Ok(None),
        }
    }
}
