//! Files below a table's location.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use crate::ordered::Ordered;
use crate::{LakeError, LakeErrorKind};

/// How often a store may answer "somebody is at it" (S3's 409) to a creation before it counts as busy.
const CREATE_ATTEMPTS: u32 = 6;
/// Pause after the first such answer; twice as long after each further one.
const CREATE_PAUSE: Duration = Duration::from_millis(50);

/// The store of one table; paths are relative to the table's location.
#[derive(Clone)]
pub(crate) struct TableStore {
    location: Arc<str>,
    root: Arc<dyn ObjectStore>,
}

impl fmt::Debug for TableStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TableStore({})", self.location)
    }
}

/// What became of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Creation {
    /// The file is there, and by this call.
    Created,
    /// A file was there already; it was left as it is.
    Found,
}

impl TableStore {
    pub(crate) fn new(location: &str, store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        let below: Arc<dyn ObjectStore> = if prefix.as_ref().is_empty() {
            store
        } else {
            Arc::new(PrefixStore::new(store, prefix))
        };
        let root = Arc::new(Ordered(below));
        Self {
            location: location.into(),
            root,
        }
    }

    /// URL of the table, for messages.
    pub(crate) fn location(&self) -> &str {
        &self.location
    }

    /// The store, its root being the table's location.
    pub(crate) fn root(&self) -> &Arc<dyn ObjectStore> {
        &self.root
    }

    pub(crate) fn error(&self, kind: LakeErrorKind, message: impl fmt::Display) -> LakeError {
        LakeError::new(kind, self.location(), message)
    }

    pub(crate) fn store_error(&self, doing: &str, error: StoreError) -> LakeError {
        let kind = store_error_kind(&error);
        self.error(kind, format_args!("{doing}: {error}")).caused_by(error)
    }

    /// Writes a file unless one is there.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> Result<Creation, LakeError> {
        let mut pause = CREATE_PAUSE;
        for _ in 0..CREATE_ATTEMPTS {
            let options = PutOptions::from(PutMode::Create);
            match self.root.put_opts(path, bytes.clone().into(), options).await {
                Ok(_) => return Ok(Creation::Created),
                // 412: there is one. 409: another call for this name was under way, and its outcome is not known.
                Err(StoreError::AlreadyExists { .. } | StoreError::Precondition { .. }) => match self.root.head(path).await {
                    Ok(_) => return Ok(Creation::Found),
                    Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(self.store_error(&format!("looking for {path}"), error)),
                },
                Err(error) => return Err(self.store_error(&format!("writing {path}"), error)),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
        Err(self.error(
            LakeErrorKind::Unavailable,
            format_args!("writing {path}: others are writing it all the time"),
        ))
    }

    /// Whether the file that is there has this length and these last bytes.
    pub(crate) async fn ends_with(&self, path: &Path, length: u64, tail: &[u8]) -> Result<bool, LakeError> {
        let found = match self.root.head(path).await {
            Ok(found) => found,
            Err(StoreError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(self.store_error(&format!("looking for {path}"), error)),
        };
        if found.size != length {
            return Ok(false);
        }
        let start = length.saturating_sub(tail.len() as u64);
        match self.root.get_range(path, start..length).await {
            Ok(bytes) => Ok(bytes == tail),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.store_error(&format!("reading {path}"), error)),
        }
    }

    /// The bytes of a file; `None`: there is none.
    pub(crate) async fn read(&self, path: &Path) -> Result<Option<Bytes>, LakeError> {
        let failed = |error| self.store_error(&format!("reading {path}"), error);
        match self.root.get(path).await {
            Ok(found) => found.bytes().await.map(Some).map_err(failed),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Files below a directory whose paths come after `after`, in order.
    pub(crate) async fn list(&self, below: Option<&Path>, after: Option<&Path>) -> Result<Vec<ObjectMeta>, LakeError> {
        let listing = match after {
            Some(after) => self.root.list_with_offset(below, after),
            None => self.root.list(below),
        };
        match listing.try_collect().await {
            Ok(found) => Ok(found),
            Err(StoreError::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(self.store_error("listing files", error)),
        }
    }

    /// Removes a file; says whether it was there, as far as the store tells.
    pub(crate) async fn delete(&self, path: &Path) -> Result<bool, LakeError> {
        match self.root.delete(path).await {
            Ok(()) => Ok(true),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.store_error(&format!("removing {path}"), error)),
        }
    }
}

/// The category of a store's error.
pub(crate) fn store_error_kind(error: &StoreError) -> LakeErrorKind {
    match error {
        StoreError::NotFound { .. } => LakeErrorKind::Damaged,
        StoreError::PermissionDenied { .. } | StoreError::Unauthenticated { .. } => LakeErrorKind::Denied,
        StoreError::AlreadyExists { .. } | StoreError::Precondition { .. } | StoreError::NotModified { .. } => LakeErrorKind::Conflict,
        StoreError::InvalidPath { .. }
        | StoreError::NotSupported { .. }
        | StoreError::NotImplemented { .. }
        | StoreError::UnknownConfigurationKey { .. } => LakeErrorKind::Unsupported,
        _ => LakeErrorKind::Unavailable,
    }
}
