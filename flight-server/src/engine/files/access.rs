//! Which files statements may read and write, and how they are reached.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use super::super::error::EngineError;
use super::place::{Place, Places};

/// Reaches buckets with the server's credentials.
#[async_trait]
pub trait FileStores: fmt::Debug + Send + Sync {
    /// The whole of a bucket. Makes no call.
    async fn bucket(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, EngineError>;
}

/// Reaches none.
#[derive(Debug, Clone, Copy)]
pub struct NoStores;

#[async_trait]
impl FileStores for NoStores {
    async fn bucket(&self, bucket: &str) -> Result<Arc<dyn ObjectStore>, EngineError> {
        Err(EngineError::NotSupported(format!(
            "bucket `{bucket}`: this server reaches no object storage"
        )))
    }
}

/// Which files statements may read and write; nothing unless it is named.
#[derive(Debug, Clone)]
pub struct FileAccess {
    read: Places,
    write: Places,
    stores: Arc<dyn FileStores>,
}

/// What is done with files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Read,
    Write,
}

impl Purpose {
    fn key(self) -> &'static str {
        match self {
            Self::Read => "allow.read",
            Self::Write => "allow.write",
        }
    }

    fn verb(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "written",
        }
    }
}

/// A place that may be used.
#[derive(Debug)]
pub(super) struct Opened {
    /// Of the bucket, or of the allowed directory.
    pub(super) store: Arc<dyn ObjectStore>,
    /// The place in it.
    pub(super) root: Path,
    /// The allowed directory, of this machine's files, as it is without links.
    directory: Option<PathBuf>,
}

impl FileAccess {
    /// None at all.
    pub fn none() -> Self {
        Self {
            read: Places::default(),
            write: Places::default(),
            stores: Arc::new(NoStores),
        }
    }

    /// What lies at and below these locations.
    ///
    /// # Errors
    /// A sentence, if one of them is no location.
    pub fn new<S: AsRef<str>>(read: &[S], write: &[S], stores: Arc<dyn FileStores>) -> Result<Self, String> {
        Ok(Self {
            read: Places::new(read)?,
            write: Places::new(write)?,
            stores,
        })
    }

    /// The longest allowed location that holds the place, and what is left of it there.
    fn allowed(&self, place: &Place, purpose: Purpose) -> Result<(&Place, Path), EngineError> {
        let allowed = match purpose {
            Purpose::Read => &self.read,
            Purpose::Write => &self.write,
        };
        allowed.nearest(place).ok_or_else(|| {
            EngineError::Denied(format!(
                "{place} may not be {} by statements: `{}` of the server's configuration does not name it",
                purpose.verb(),
                purpose.key()
            ))
        })
    }

    /// Whether statements may do it.
    pub(super) fn check(&self, place: &Place, purpose: Purpose) -> Result<(), EngineError> {
        self.allowed(place, purpose).map(drop)
    }

    /// Opens a place. Of this machine's files that is the allowed directory, which must be there: no path can lead out of it.
    pub(super) async fn open(&self, place: &Place, purpose: Purpose) -> Result<Opened, EngineError> {
        let (allowed, rest) = self.allowed(place, purpose)?;
        if let Some(bucket) = &place.bucket {
            return Ok(Opened {
                store: self.stores.bucket(bucket).await?,
                root: place.key.clone(),
                directory: None,
            });
        }
        let failed = |error: &dyn fmt::Display| EngineError::FailedPrecondition(format!("{allowed}, of `{}`: {error}", purpose.key()));
        let directory = PathBuf::from(format!("/{}", allowed.key));
        let directory = tokio::fs::canonicalize(directory).await.map_err(|error| failed(&error))?;
        let store = LocalFileSystem::new_with_prefix(&directory).map_err(|error| failed(&error))?;
        let opened = Opened {
            store: Arc::new(store),
            root: rest,
            directory: Some(directory),
        };
        opened.check_inside(&opened.root).await?;
        Ok(opened)
    }
}

impl Opened {
    /// Refuses a path that a link leads out of the allowed directory. What is not there yet is judged by the directory that it would be in.
    pub(super) async fn check_inside(&self, path: &Path) -> Result<(), EngineError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let mut wanted = directory.clone();
        wanted.extend(path.parts().map(|part| part.as_ref().to_owned()));
        loop {
            match tokio::fs::canonicalize(&wanted).await {
                Ok(real) if real.starts_with(directory) => return Ok(()),
                // a link to nowhere is there, and leads where it says
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && tokio::fs::symlink_metadata(&wanted).await.is_err() => {
                    if !wanted.pop() {
                        break;
                    }
                }
                Ok(_) | Err(_) => break,
            }
        }
        Err(EngineError::Denied(format!("`{path}` leads out of the allowed directory")))
    }
}
