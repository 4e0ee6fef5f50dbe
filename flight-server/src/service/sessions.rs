//! Sessions: what lives from one call of a client to its next.
//!
//! A session is a principal's, and is named by a bearer token, else by a cookie, else by the TCP connection. The first call that has none of them
//! opens one, and its response carries `authorization: Bearer …` and `Set-Cookie`. A session lives in memory: for as long as the connection
//! that opened it, and for the idle time after its last use. Options that were set are never silently forgotten: a token whose session is gone, by
//! age or by a restart of the server, is refused with UNAUTHENTICATED ("session expired"), and a client that connects anew gets a new one.
//! Tickets need no session: they are good until they expire, with whatever credentials of their principal.
//!
//! Behind a proxy a connection is nobody's. A call that comes through one and names no session gets one, too, but can set nothing in it: that
//! is for calls that name it.
//!
//! In a cluster a session has a home, the node that opened it; other nodes relay its calls there (`relay`).
//!
//! A token says who logged in and how. It is good for a while after its last use, no longer than what was shown for it, and only as long as
//! the server knows that login.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::authentication::{Authentication, Method};
use super::caller::Caller;
use super::connection::ConnectionSession;
use super::sealing::{SealError, SealKind, Sealer};
use super::{ServiceConfig, status};
use crate::cluster::Node;
use crate::engine::{Access, AuditEvent, AuditLog, Principal, Session, SessionId};

/// Where nobody is asked who he is a token is good for as long as its session; this only bounds what an old key can still open.
const TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// Idle sessions are looked for this often at most, and whenever there is no room.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// A session that its client never named ends so long after it was opened.
const UNNAMED_IDLE: Duration = Duration::from_secs(60);

/// What is sealed into a session's token.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    session: String,
    principal: String,
    issued: u64,
    /// How its principal logged in.
    #[serde(default = "nobody_asked")]
    method: Method,
    /// When that is good no more, seconds since the epoch.
    #[serde(default)]
    until: Option<u64>,
    /// The node that holds the session; none, if a server is alone.
    #[serde(default)]
    home: Option<String>,
}

fn nobody_asked() -> Method {
    Method::None
}

#[derive(Debug)]
struct Entry {
    session: Arc<Session>,
    connection: Weak<ConnectionSession>,
    used: Instant,
}

#[derive(Debug)]
struct Entries {
    by_id: HashMap<SessionId, Entry>,
    swept: Instant,
}

/// The sessions of a server.
#[derive(Debug)]
pub(crate) struct Sessions {
    sealer: Arc<Sealer>,
    idle: Duration,
    max: usize,
    authentication: Arc<Authentication>,
    access: Arc<Access>,
    audit: Arc<AuditLog>,
    home: Option<String>,
    entries: Mutex<Entries>,
}

/// Who calls, and the session that it names.
#[derive(Debug)]
struct Who {
    principal: Principal,
    method: Method,
    until: Option<SystemTime>,
    shown: Option<Token>,
}

/// Whether a bearer token is a session's, good or expired, and not one of another kind.
pub(crate) fn is_session_token(sealer: &Sealer, text: &str) -> bool {
    let sealed = URL_SAFE_NO_PAD.decode(text);
    sealed.is_ok_and(|sealed| matches!(sealer.open(SealKind::Session, &sealed), Ok(_) | Err(SealError::Expired)))
}

/// The node that holds the session of a token; `None` if it is none, or good no more.
pub(crate) fn home_in(sealer: &Sealer, text: &str) -> Option<Node> {
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let opened = sealer.open(SealKind::Session, &sealed).ok()?;
    let token: Token = ciborium::from_reader(opened.as_slice()).ok()?;
    Some(Node {
        url: token.home?.parse().ok()?,
    })
}

impl Sessions {
    /// No sessions yet.
    pub(crate) fn new(sealer: Arc<Sealer>, config: &ServiceConfig) -> Self {
        Self {
            sealer,
            idle: config.session_idle,
            max: config.max_sessions,
            authentication: Arc::clone(&config.authentication),
            access: Arc::clone(&config.access),
            audit: Arc::clone(&config.audit),
            home: config.cluster.as_ref().map(|cluster| cluster.members().own().to_string()),
            entries: Mutex::new(Entries {
                by_id: HashMap::new(),
                swept: Instant::now(),
            }),
        }
    }

    /// Who calls. Needs no session to be there, so that tickets outlive them.
    pub(crate) fn principal(&self, caller: &Caller) -> Result<Principal, Status> {
        Ok(self.who(caller)?.principal)
    }

    /// Whether the caller shows nothing, and should.
    pub(crate) fn wants_credentials(&self, caller: &Caller) -> bool {
        let shows = caller.authenticated.is_some() || caller.bearer.is_some() || caller.cookie.is_some();
        !shows && !self.authentication.allows_anonymous()
    }

    /// The caller's session, or `None` if there is none yet. Opens nothing.
    pub(crate) fn existing(&self, caller: &Caller) -> Result<Option<Arc<Session>>, Status> {
        self.existing_of(&self.who(caller)?, caller)
    }

    /// The caller's session, for what is as good without one: a session that is gone has nothing of its own.
    pub(crate) fn seen(&self, caller: &Caller) -> Option<Arc<Session>> {
        self.existing(caller).ok().flatten()
    }

    fn existing_of(&self, who: &Who, caller: &Caller) -> Result<Option<Arc<Session>>, Status> {
        let Some(token) = &who.shown else {
            let of_connection = caller.connection.0.lock().get(&who.principal).cloned();
            return Ok(of_connection.filter(|_| !caller.proxied).and_then(|id| self.find(&id)));
        };
        let named = self.find(&SessionId(token.session.as_str().into()));
        let session = named
            .filter(|session| *session.principal() == who.principal)
            .ok_or_else(|| gone(caller))?;
        session.keep();
        if self.is_half_over(token) {
            caller.reply.token(self.token(&session, who)?);
        }
        Ok(Some(session))
    }

    /// The caller's session; a new one if it has none. `hint` is the session of a prepared handle: used by a caller without any other.
    pub(crate) fn of(&self, caller: &Caller, hint: Option<&SessionId>) -> Result<Arc<Session>, Status> {
        let who = self.who(caller)?;
        if let Some(session) = self.existing_of(&who, caller)? {
            return Ok(session);
        }
        // Held until the session stands: calls at once on one connection share it.
        let mut of_connection = caller.connection.0.lock();
        let shared = of_connection.get(&who.principal).filter(|_| !caller.proxied);
        if let Some(session) = shared.and_then(|id| self.find(id)) {
            return Ok(session);
        }
        let hinted = hint
            .and_then(|id| self.find(id))
            .filter(|session| *session.principal() == who.principal);
        let session = match hinted {
            Some(session) => session,
            None if caller.proxied => self.open(Session::passing(new_id(), who.principal.clone()), Weak::new())?,
            None => self.open(Session::new(new_id(), who.principal.clone()), Arc::downgrade(&caller.connection))?,
        };
        caller.reply.token(self.token(&session, &who)?);
        if !caller.proxied {
            of_connection.insert(who.principal, session.id().clone());
        }
        Ok(session)
    }

    /// A handshake: the session of the token that the caller shows, else a new one of its own. Its token.
    pub(crate) fn handshake(&self, caller: &Caller) -> Result<String, Status> {
        let who = self.who(caller)?;
        let session = match &who.shown {
            Some(_) => self.existing_of(&who, caller)?.ok_or_else(|| gone(caller))?,
            None => self.open(Session::new(new_id(), who.principal.clone()), Arc::downgrade(&caller.connection))?,
        };
        let token = self.token(&session, &who)?;
        caller.reply.token(token.clone());
        Ok(token)
    }

    /// Ends the caller's session; false if it has none.
    pub(crate) fn close(&self, caller: &Caller) -> Result<bool, Status> {
        let Some(session) = self.existing(caller)? else {
            return Ok(false);
        };
        caller.reply.forget_cookie();
        let closed = self.entries.lock().by_id.remove(session.id()).is_some();
        if closed {
            self.audit.record(&AuditEvent::SessionClosed {
                principal: &session.principal().0,
                session: &session.id().0,
            });
        }
        Ok(closed)
    }

    fn who(&self, caller: &Caller) -> Result<Who, Status> {
        if let Some(authenticated) = &caller.authenticated {
            // A cookie of another login says nothing of this one.
            let cookie = caller.cookie.as_deref().and_then(|cookie| self.read(cookie).ok());
            return Ok(Who {
                shown: cookie.filter(|token| *token.principal == *authenticated.principal.0),
                principal: authenticated.principal.clone(),
                method: authenticated.method,
                until: authenticated.until,
            });
        }
        let (text, from_cookie) = match (&caller.bearer, &caller.cookie) {
            (Some(text), _) => (text, false),
            (None, Some(text)) => (text, true),
            (None, None) if self.authentication.allows_anonymous() => {
                return Ok(Who {
                    principal: Principal::anonymous(),
                    method: Method::None,
                    until: None,
                    shown: None,
                });
            }
            (None, None) => return Err(Status::unauthenticated("this server wants to know who calls: send credentials")),
        };
        let token = self.read(text).and_then(|token| {
            let principal = Principal(token.principal.as_str().into());
            if !self.authentication.still_knows(&principal, token.method) {
                return Err(Status::unauthenticated("the login is good no more; log in again"));
            }
            Ok(Who {
                principal,
                method: token.method,
                until: token.until.map(|until| UNIX_EPOCH + Duration::from_secs(until)),
                shown: Some(token),
            })
        });
        token.inspect_err(|_| {
            if from_cookie {
                caller.reply.forget_cookie();
            }
        })
    }

    fn read(&self, text: &str) -> Result<Token, Status> {
        let refused = || Status::unauthenticated("the session token is not one of this server's");
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let opened = self.sealer.open(SealKind::Session, &sealed).map_err(|error| match error {
            SealError::Expired => Status::unauthenticated("session expired: the login is over; connect again"),
            SealError::Forged | SealError::Version | SealError::Refused => refused(),
        })?;
        ciborium::from_reader(opened.as_slice()).map_err(|_| refused())
    }

    /// Whether a token should be followed by a new one.
    fn is_half_over(&self, token: &Token) -> bool {
        let Some(ttl) = self.authentication.token_ttl() else { return false };
        let age = SystemTime::now().duration_since(UNIX_EPOCH + Duration::from_secs(token.issued));
        age.is_ok_and(|age| age >= ttl / 2)
    }

    fn token(&self, session: &Session, who: &Who) -> Result<String, Status> {
        let now = SystemTime::now();
        let seconds = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let lifetime = self.authentication.token_ttl().unwrap_or(TOKEN_LIFETIME);
        let expires = who.until.map_or(now + lifetime, |until| until.min(now + lifetime));
        let token = Token {
            session: session.id().to_string(),
            principal: session.principal().to_string(),
            issued: seconds(now),
            method: who.method,
            until: who.until.map(seconds),
            home: self.home.clone(),
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&token, &mut bytes).map_err(|error| status::internal("session token", &error))?;
        let sealed = self
            .sealer
            .seal(SealKind::Session, &bytes, expires)
            .map_err(|error| status::seal("session token", error))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn find(&self, id: &SessionId) -> Option<Arc<Session>> {
        let mut entries = self.entries.lock();
        if entries.swept.elapsed() >= SWEEP_INTERVAL {
            // what they hold may be wanted by sessions that are open, too
            entries.sweep(self.idle);
        }
        let entry = entries.by_id.get_mut(id)?;
        if entry.is_idle(self.idle) {
            entries.by_id.remove(id);
            return None;
        }
        entry.used = Instant::now();
        Some(Arc::clone(&entry.session))
    }

    fn open(&self, session: Arc<Session>, connection: Weak<ConnectionSession>) -> Result<Arc<Session>, Status> {
        let mut entries = self.entries.lock();
        let own_limit = self.access.limits(&session.principal().0).max_sessions;
        if entries.by_id.len() >= self.max || own_limit.is_some() || entries.swept.elapsed() >= SWEEP_INTERVAL {
            entries.sweep(self.idle);
        }
        if entries.by_id.len() >= self.max {
            return Err(status::unavailable(format!(
                "this server has {} sessions open, its limit",
                self.max
            )));
        }
        if let Some(limit) = own_limit {
            let own = entries
                .by_id
                .values()
                .filter(|entry| entry.session.principal() == session.principal());
            if own.count() >= limit {
                return Err(Status::resource_exhausted(format!(
                    "principal `{}` has {limit} sessions open, its limit",
                    session.principal()
                )));
            }
        }
        entries.by_id.insert(
            session.id().clone(),
            Entry {
                session: Arc::clone(&session),
                connection,
                used: Instant::now(),
            },
        );
        drop(entries);
        self.audit.record(&AuditEvent::SessionOpened {
            principal: &session.principal().0,
            session: &session.id().0,
        });
        Ok(session)
    }
}

fn new_id() -> SessionId {
    SessionId(Uuid::new_v4().to_string().into())
}

impl Entries {
    fn sweep(&mut self, idle: Duration) {
        self.by_id.retain(|_, entry| !entry.is_idle(idle));
        self.swept = Instant::now();
    }
}

impl Entry {
    fn is_idle(&self, idle: Duration) -> bool {
        let idle = if self.session.is_kept() { idle } else { UNNAMED_IDLE.min(idle) };
        self.connection.strong_count() == 0 && self.used.elapsed() >= idle
    }
}

fn gone(caller: &Caller) -> Status {
    if caller.bearer.is_none() {
        caller.reply.forget_cookie();
    }
    Status::unauthenticated("session expired: it was closed, idle for too long, or the server was restarted; connect again")
}

#[cfg(test)]
mod tests;
