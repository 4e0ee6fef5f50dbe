//! A session: who, and which options are set.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::{Mutex, MutexGuard, RwLock};

use super::consume::{Slot, Transaction};
use super::error::EngineError;
use super::options::{OptionError, OptionValue, OptionValues, check_option, find};
use super::scratch::Space;

/// Unique name of a session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SessionId(pub Arc<str>);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal(pub Arc<str>);

impl Principal {
    /// Nobody in particular: what a server without authentication sees.
    pub fn anonymous() -> Self {
        Self("anonymous".into())
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What lives from one statement of a client to its next.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    principal: Principal,
    options: RwLock<OptionValues>,
    transaction: Mutex<Option<Slot>>,
    scratch: OnceLock<Arc<Space>>,
    /// The client can name it again: what is set in it is not forgotten.
    kept: AtomicBool,
}

impl Session {
    /// A session with nothing set.
    pub fn new(id: SessionId, principal: Principal) -> Arc<Self> {
        Arc::new(Self {
            id,
            principal,
            options: RwLock::new(OptionValues::default()),
            transaction: Mutex::default(),
            scratch: OnceLock::new(),
            kept: AtomicBool::new(true),
        })
    }

    /// One of a call that names none, and whose client may never name this one.
    pub fn passing(id: SessionId, principal: Principal) -> Arc<Self> {
        let session = Self::new(id, principal);
        session.kept.store(false, Ordering::Relaxed);
        session
    }

    /// The client named it.
    pub fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// Whether the client can name it again.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }

    /// Whether something can be set or begun in it.
    ///
    /// # Errors
    /// FAILED_PRECONDITION if that would be forgotten at once.
    pub fn check_kept(&self) -> Result<(), EngineError> {
        if self.is_kept() {
            return Ok(());
        }
        Err(EngineError::FailedPrecondition(
            "this call names no session, and came through a proxy that may send the next one elsewhere, so what it sets would be forgotten: log in by a handshake, \
             send the token of the reply's header `authorization`, or keep cookies"
                .into(),
        ))
    }

    /// Its name.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whose it is.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// What is set now.
    pub fn options(&self) -> OptionValues {
        self.options.read().clone()
    }

    /// Sets an option, or with `None` forgets it.
    pub fn set_option(&self, name: &str, value: Option<&OptionValue>) -> Result<(), OptionError> {
        match value {
            Some(value) => {
                let (name, value) = check_option(name, value)?;
                self.options.write().insert(name, value);
            }
            None => {
                let spec = find(name)?;
                self.options.write().remove(spec.name);
            }
        }
        Ok(())
    }

    /// Its own scratch tables and views.
    pub(super) fn scratch(&self) -> &OnceLock<Arc<Space>> {
        &self.scratch
    }

    /// Where its transaction is.
    pub(super) fn slot(&self) -> MutexGuard<'_, Option<Slot>> {
        self.transaction.lock()
    }

    /// The transaction is over.
    pub(super) fn leave(&self, over: &Slot) {
        self.transaction
            .lock()
            .take_if(|slot| Arc::ptr_eq(&slot.transaction, &over.transaction));
    }

    /// The transaction is over, and another one follows.
    pub(super) fn follow_on(&self, over: &Slot) {
        let mut slot = self.transaction.lock();
        if let Some(slot) = slot.as_mut().filter(|slot| Arc::ptr_eq(&slot.transaction, &over.transaction)) {
            *slot = over.renewed();
        }
    }

    /// The transaction that a statement is in. `said`: the one that the client says it is in.
    pub(super) fn transaction(&self, said: Option<&str>) -> Result<Option<Arc<Transaction>>, EngineError> {
        let slot = self.transaction.lock();
        match (said, slot.as_ref()) {
            (None, slot) => Ok(slot.map(|slot| Arc::clone(&slot.transaction))),
            (Some(said), Some(slot)) if *slot.id == *said => Ok(Some(Arc::clone(&slot.transaction))),
            (Some(_), _) => Err(EngineError::FailedPrecondition(
                "the transaction is closed, or not this session's; begin a new one".into(),
            )),
        }
    }

    /// Forgets all options.
    pub fn reset_options(&self) {
        *self.options.write() = OptionValues::default();
    }
}
