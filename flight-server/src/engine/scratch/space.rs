//! The scratch schema of one owner. A change makes new contents; who planned against the ones before keeps them.

use std::sync::Arc;

use parking_lot::Mutex;
use uuid::Uuid;

use super::super::error::EngineError;
use super::super::sql::CATALOG;
use super::SCHEMA;
use super::contents::{Contents, Piece, Table, Thing, Version};
use super::memory::Account;
use super::view::View;

/// Tables and views that an owner may have.
const MOST: usize = 256;

/// What is done where the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taken {
    Refuse,
    Replace,
    Leave,
}

impl Taken {
    pub(super) fn of(or_replace: bool, if_not_exists: bool) -> Self {
        match (or_replace, if_not_exists) {
            (true, _) => Self::Replace,
            (_, true) => Self::Leave,
            _ => Self::Refuse,
        }
    }
}

/// The schema of one owner.
#[derive(Debug)]
pub(in super::super) struct Space {
    contents: Mutex<Arc<Contents>>,
    pub(super) account: Arc<Account>,
}

impl Space {
    pub(super) fn new(account: Arc<Account>) -> Arc<Self> {
        Arc::new(Self {
            contents: Mutex::default(),
            account,
        })
    }

    /// What is in it now.
    pub(in super::super) fn now(&self) -> Arc<Contents> {
        Arc::clone(&self.contents.lock())
    }

    fn change<T>(&self, change: impl FnOnce(&mut Contents) -> Result<T, EngineError>) -> Result<T, EngineError> {
        let mut contents = self.contents.lock();
        let mut changed = contents.as_ref().clone();
        let done = change(&mut changed)?;
        *contents = Arc::new(changed);
        Ok(done)
    }

    /// False if there is something of the name, and it is left.
    pub(super) fn create_table(&self, name: &str, version: Arc<Version>, taken: Taken) -> Result<bool, EngineError> {
        let table = Table {
            id: Uuid::new_v4(),
            version,
        };
        self.put(name, Thing::Table(table), taken)
    }

    /// See [`Self::create_table`].
    pub(super) fn create_view(&self, name: &str, view: Arc<View>, taken: Taken) -> Result<bool, EngineError> {
        self.put(name, Thing::View(view), taken)
    }

    fn put(&self, name: &str, thing: Thing, taken: Taken) -> Result<bool, EngineError> {
        self.change(|contents| {
            if !check_free(contents, name, &thing, taken)? {
                return Ok(false);
            }
            contents.things.insert(name.to_owned(), thing);
            Ok(true)
        })
    }

    /// Whether something was dropped.
    pub(super) fn drop_thing(&self, name: &str, is_view: bool) -> Result<bool, EngineError> {
        self.change(|contents| match (contents.things.get(name), is_view) {
            (None, _) => Ok(false),
            (Some(Thing::View(_)), true) | (Some(Thing::Table(_)), false) => Ok(contents.things.remove(name).is_some()),
            (Some(Thing::View(_)), false) => Err(EngineError::Invalid(format!(
                "`{CATALOG}.{SCHEMA}.{name}` is a view; DROP VIEW drops it"
            ))),
            (Some(Thing::Table(_)), true) => Err(EngineError::Invalid(format!(
                "`{CATALOG}.{SCHEMA}.{name}` is a table; DROP TABLE drops it"
            ))),
        })
    }

    /// Another version of the table `id`: made of the one that is there.
    pub(super) fn write(
        &self,
        name: &str,
        id: Uuid,
        rows: impl FnOnce(&Version) -> Result<Vec<Arc<Piece>>, EngineError>,
    ) -> Result<(), EngineError> {
        self.change(|contents| match contents.things.get_mut(name) {
            Some(Thing::Table(table)) if table.id == id => {
                table.version = table.version.next(rows(&table.version)?);
                Ok(())
            }
            _ => Err(EngineError::FailedPrecondition(format!(
                "table `{CATALOG}.{SCHEMA}.{name}` was dropped or replaced meanwhile; nothing was written"
            ))),
        })
    }
}

/// Whether a name can be had; false if what has it is left.
pub(super) fn check_free(contents: &Contents, name: &str, thing: &Thing, taken: Taken) -> Result<bool, EngineError> {
    let Some(known) = contents.things.get(name) else {
        return match contents.things.len() {
            MOST.. => Err(EngineError::OverLimit {
                category: super::super::error::ErrorCategory::ResourceExhausted,
                message: format!("there are {MOST} scratch tables and views, the most that there can be; drop one"),
            }),
            _ => Ok(true),
        };
    };
    let (has, is_same) = match (known, thing) {
        (Thing::Table(_), Thing::Table(_)) => ("table", true),
        (Thing::View(_), Thing::View(_)) => ("view", true),
        (Thing::Table(_), Thing::View(_)) => ("table", false),
        (Thing::View(_), Thing::Table(_)) => ("view", false),
    };
    match taken {
        Taken::Leave if is_same => Ok(false),
        Taken::Replace if is_same => Ok(true),
        _ => Err(EngineError::Exists(format!("{has} `{CATALOG}.{SCHEMA}.{name}` exists"))),
    }
}
