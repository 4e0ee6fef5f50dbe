//! Sessions: what lives from one call of a client to its next.
//!
//! A session is named by a bearer token, else by a cookie, else by the TCP connection. The first call that has none of them opens one, and
//! its response carries `authorization: Bearer …` and `Set-Cookie`. A session lives in memory: for as long as the connection that opened
//! it, and for the idle time after its last use. Options that were set are never silently forgotten: a token whose session is gone, by
//! age or by a restart of the server, is refused with UNAUTHENTICATED ("session expired"), and a client that connects anew gets a new one.
//! Tickets need no session: they are good until they expire, with whatever token of this server's.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tonic::Status;
use uuid::Uuid;

use super::caller::Caller;
use super::connection::ConnectionSession;
use super::sealing::{SealKind, Sealer};
use super::status;
use crate::engine::{Principal, Session, SessionId};

/// A token is good for as long as its session; this only bounds what an old key can still open.
const TOKEN_LIFETIME: Duration = Duration::from_secs(365 * 86_400);

/// Idle sessions are looked for this often at most, and whenever there is no room.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

/// What is sealed into a session's token.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    session: String,
    principal: String,
    issued: u64,
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
    entries: Mutex<Entries>,
}

/// What a caller shows: a token that this server sealed.
#[derive(Debug)]
struct Presented {
    session: SessionId,
    principal: Principal,
}

impl Sessions {
    /// No sessions yet; at most `max`, each for `idle` after its last use.
    pub(crate) fn new(sealer: Arc<Sealer>, idle: Duration, max: usize) -> Self {
        Self {
            sealer,
            idle,
            max,
            entries: Mutex::new(Entries {
                by_id: HashMap::new(),
                swept: Instant::now(),
            }),
        }
    }

    /// Who calls. Needs no session to be there, so that tickets outlive them.
    pub(crate) fn principal(&self, caller: &Caller) -> Result<Principal, Status> {
        Ok(self.presented(caller)?.map_or_else(Principal::anonymous, |shown| shown.principal))
    }

    /// The caller's session, or `None` if there is none yet. Opens nothing.
    pub(crate) fn existing(&self, caller: &Caller) -> Result<Option<Arc<Session>>, Status> {
        if let Some(shown) = self.presented(caller)? {
            return match self.find(&shown.session) {
                Some(session) if *session.principal() == shown.principal => Ok(Some(session)),
                _ => Err(gone(caller)),
            };
        }
        let of_connection = caller.connection.0.lock().clone();
        Ok(of_connection.and_then(|id| self.find(&id)))
    }

    /// The caller's session; a new one if it has none. `hint` is the session of a prepared handle: used by a caller without any other.
    pub(crate) fn of(&self, caller: &Caller, hint: Option<&SessionId>) -> Result<Arc<Session>, Status> {
        if let Some(session) = self.existing(caller)? {
            return Ok(session);
        }
        // Held until the session stands: calls at once on one connection share it.
        let mut of_connection = caller.connection.0.lock();
        if let Some(session) = of_connection.as_ref().and_then(|id| self.find(id)) {
            return Ok(session);
        }
        let hinted = hint
            .and_then(|id| self.find(id))
            .filter(|session| *session.principal() == Principal::anonymous());
        let session = match hinted {
            Some(session) => session,
            None => self.open(Principal::anonymous(), &caller.connection)?,
        };
        caller.reply.token(self.token(&session)?);
        *of_connection = Some(session.id().clone());
        Ok(session)
    }

    /// A handshake: the session of the token that the caller shows, else a new one of its own. Its token.
    pub(crate) fn handshake(&self, caller: &Caller) -> Result<String, Status> {
        let session = match self.presented(caller)? {
            Some(_) => self.existing(caller)?.ok_or_else(|| gone(caller))?,
            None => self.open(Principal::anonymous(), &caller.connection)?,
        };
        let token = self.token(&session)?;
        caller.reply.token(token.clone());
        Ok(token)
    }

    /// Ends the caller's session; false if it has none.
    pub(crate) fn close(&self, caller: &Caller) -> Result<bool, Status> {
        let Some(session) = self.existing(caller)? else {
            return Ok(false);
        };
        caller.reply.forget_cookie();
        Ok(self.entries.lock().by_id.remove(session.id()).is_some())
    }

    fn presented(&self, caller: &Caller) -> Result<Option<Presented>, Status> {
        let (text, from_cookie) = match (&caller.bearer, &caller.cookie) {
            (Some(text), _) => (text, false),
            (None, Some(text)) => (text, true),
            (None, None) => return Ok(None),
        };
        self.read(text).map(Some).inspect_err(|_| {
            if from_cookie {
                caller.reply.forget_cookie();
            }
        })
    }

    fn read(&self, text: &str) -> Result<Presented, Status> {
        let refused = || Status::unauthenticated("the session token is not one of this server's");
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused())?;
        let opened = self.sealer.open(SealKind::Session, &sealed).map_err(|_| refused())?;
        let token: Token = ciborium::from_reader(opened.as_slice()).map_err(|_| refused())?;
        Ok(Presented {
            session: SessionId(token.session.into()),
            principal: Principal(token.principal.into()),
        })
    }

    fn token(&self, session: &Session) -> Result<String, Status> {
        let now = SystemTime::now();
        let token = Token {
            session: session.id().to_string(),
            principal: session.principal().to_string(),
            issued: now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        let mut bytes = Vec::new();
        ciborium::into_writer(&token, &mut bytes).map_err(|error| status::internal("session token", &error))?;
        let sealed = self
            .sealer
            .seal(SealKind::Session, &bytes, now + TOKEN_LIFETIME)
            .map_err(|error| status::seal("session token", error))?;
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    fn find(&self, id: &SessionId) -> Option<Arc<Session>> {
        let mut entries = self.entries.lock();
        let entry = entries.by_id.get_mut(id)?;
        if entry.is_idle(self.idle) {
            entries.by_id.remove(id);
            return None;
        }
        entry.used = Instant::now();
        Some(Arc::clone(&entry.session))
    }

    fn open(&self, principal: Principal, connection: &Arc<ConnectionSession>) -> Result<Arc<Session>, Status> {
        let mut entries = self.entries.lock();
        if entries.by_id.len() >= self.max || entries.swept.elapsed() >= SWEEP_INTERVAL {
            entries.by_id.retain(|_, entry| !entry.is_idle(self.idle));
            entries.swept = Instant::now();
        }
        if entries.by_id.len() >= self.max {
            return Err(status::unavailable(format!(
                "this server has {} sessions open, its limit",
                self.max
            )));
        }
        let id = SessionId(Uuid::new_v4().to_string().into());
        let session = Session::new(id.clone(), principal);
        entries.by_id.insert(
            id,
            Entry {
                session: Arc::clone(&session),
                connection: Arc::downgrade(connection),
                used: Instant::now(),
            },
        );
        Ok(session)
    }
}

impl Entry {
    fn is_idle(&self, idle: Duration) -> bool {
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
