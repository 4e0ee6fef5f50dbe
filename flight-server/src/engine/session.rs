//! A session: who, and which options are set.

use std::fmt;
use std::sync::Arc;

use parking_lot::RwLock;

use super::options::{OptionError, OptionValue, OptionValues, check_option, find};

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
}

impl Session {
    /// A session with nothing set.
    pub fn new(id: SessionId, principal: Principal) -> Arc<Self> {
        Arc::new(Self {
            id,
            principal,
            options: RwLock::new(OptionValues::default()),
        })
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

    /// Forgets all options.
    pub fn reset_options(&self) {
        *self.options.write() = OptionValues::default();
    }
}
