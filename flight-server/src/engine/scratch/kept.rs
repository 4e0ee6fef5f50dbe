//! All scratch schemas of a server: whose they are, their memory, and the versions that are kept for tickets.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::super::error::{EngineError, ErrorCategory};
use super::super::plan::Engine;
use super::super::session::{Principal, Session};
use super::contents::{Contents, Thing, Version};
use super::memory::{Account, Full, Reservation};
use super::space::Space;

/// Versions that are kept for tickets.
const MOST_KEPT: usize = 4096;

/// Whose scratch tables are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScratchKeep {
    /// A session's, and gone with it.
    #[default]
    Session,
    /// A principal's: all its sessions see them, until they are dropped or the server ends.
    Principal,
}

/// What scratch tables may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScratchConfig {
    /// Whose they are.
    pub keep: ScratchKeep,
    /// Bytes of all.
    pub memory: usize,
    /// Bytes of one session's, or principal's.
    pub memory_each: usize,
    /// How long versions are kept for tickets.
    pub ticket_ttl: Duration,
}

impl Default for ScratchConfig {
    fn default() -> Self {
        Self {
            keep: ScratchKeep::Session,
            memory: 256 << 20,
            memory_each: 64 << 20,
            ticket_ttl: Duration::from_secs(3600),
        }
    }
}

#[derive(Debug)]
struct Kept {
    version: Arc<Version>,
    account: Arc<Account>,
    until: Instant,
}

/// The scratch schemas of a server.
#[derive(Debug)]
pub(in super::super) struct Scratch {
    config: ScratchConfig,
    all: Arc<Account>,
    of_principals: Mutex<HashMap<Principal, Arc<Space>>>,
    kept: Mutex<HashMap<Uuid, Kept>>,
}

impl Scratch {
    pub(in super::super) fn new(config: ScratchConfig) -> Self {
        Self {
            all: Account::of_all(config.memory),
            config,
            of_principals: Mutex::default(),
            kept: Mutex::default(),
        }
    }

    /// What a session, or its principal, has; made when it is first asked for.
    pub(super) fn space(&self, session: &Session) -> Arc<Space> {
        let new = || Space::new(Account::of_one(self.config.memory_each, &self.all));
        match self.config.keep {
            ScratchKeep::Session => Arc::clone(session.scratch().get_or_init(new)),
            ScratchKeep::Principal => {
                let mut spaces = self.of_principals.lock();
                Arc::clone(spaces.entry(session.principal().clone()).or_insert_with(new))
            }
        }
    }

    /// What is there to be seen, without making anything.
    pub(super) fn seen(&self, principal: &Principal, session: Option<&Session>) -> Arc<Contents> {
        let space = match self.config.keep {
            ScratchKeep::Session => session.and_then(|session| session.scratch().get().cloned()),
            ScratchKeep::Principal => self.of_principals.lock().get(principal).cloned(),
        };
        space.map(|space| space.now()).unwrap_or_default()
    }

    /// Whether what a session makes must be found by its next call.
    pub(super) fn check_kept(&self, session: &Session) -> Result<(), EngineError> {
        match self.config.keep {
            ScratchKeep::Session => session.check_kept(),
            ScratchKeep::Principal => Ok(()),
        }
    }

    /// Memory for what is to be kept. If there is none, versions go that only tickets want, the oldest first.
    pub(super) fn reserve(&self, account: &Arc<Account>, bytes: usize) -> Result<Reservation, EngineError> {
        loop {
            let full = match account.reserve(bytes) {
                Ok(held) => return Ok(held),
                Err(full) => full,
            };
            let own = matches!(full, Full::Own(_)).then_some(account);
            if !self.forget_oldest(own) {
                return Err(out_of_memory(full));
            }
        }
    }

    fn forget_oldest(&self, of: Option<&Arc<Account>>) -> bool {
        let mut kept = self.kept.lock();
        let unused = kept
            .iter()
            .filter(|(_, kept)| Arc::strong_count(&kept.version) == 1 && of.is_none_or(|account| Arc::ptr_eq(account, &kept.account)));
        let oldest = unused.min_by_key(|(_, kept)| kept.until).map(|(id, _)| *id);
        oldest.is_some_and(|id| kept.remove(&id).is_some())
    }

    /// Keeps versions for the tickets of a statement.
    pub(super) fn keep(&self, contents: &Contents, space: &Space) {
        let now = Instant::now();
        let until = now + self.config.ticket_ttl;
        let mut kept = self.kept.lock();
        kept.retain(|_, kept| kept.until > now);
        for thing in contents.things.values() {
            let Thing::Table(table) = thing else { continue };
            if kept.len() >= MOST_KEPT
                && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.until).map(|(id, _)| *id)
            {
                kept.remove(&oldest);
            }
            let entry = Kept {
                version: Arc::clone(&table.version),
                account: Arc::clone(&space.account),
                until,
            };
            kept.insert(table.version.id, entry);
        }
    }

    /// The version that a ticket names.
    pub(super) fn version(&self, id: Uuid) -> Option<Arc<Version>> {
        self.kept.lock().get(&id).map(|kept| Arc::clone(&kept.version))
    }
}

fn out_of_memory(full: Full) -> EngineError {
    let message = match full {
        Full::Own(limit) => {
            format!("scratch tables hold at most {limit} bytes a session, or a principal if it keeps them (scratch.memory_each); drop some")
        }
        Full::All(limit) => {
            format!("the scratch tables of all sessions hold at most {limit} bytes (scratch.memory); drop some, or try again later")
        }
    };
    EngineError::OverLimit {
        category: ErrorCategory::ResourceExhausted,
        message,
    }
}

impl Engine {
    /// Bytes that scratch tables hold, those that are kept for tickets too.
    #[cfg(test)]
    pub(in super::super) fn scratch_bytes(&self) -> usize {
        self.scratch().all.used()
    }
}
