//! Where jobs are kept: `offloads/NAME.yaml` beside the table definitions, on disk or in object storage.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::definition::JobDefinition;
use super::error::OffloadError;

/// Folder of the jobs, below the definitions.
const FOLDER: &str = "offloads";
/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 1 << 20;

/// The files of jobs.
#[derive(Debug, Clone)]
pub struct JobFiles {
    store: Arc<dyn ObjectStore>,
    folder: Path,
}

/// By name, each job or why its file cannot be used.
pub(super) type Listed = BTreeMap<String, Result<JobDefinition, String>>;

impl JobFiles {
    /// Below the folder of table definitions.
    pub fn new(store: Arc<dyn ObjectStore>, definitions: &Path) -> Self {
        Self {
            store,
            folder: definitions.clone().join(FOLDER),
        }
    }

    fn path(&self, name: &str) -> Path {
        self.folder.clone().join(format!("{name}.yaml"))
    }

    fn failed(&self, path: &Path, what: &str, error: &Error) -> OffloadError {
        OffloadError::Unavailable(format!("{path}: cannot {what}: {error}"))
    }

    /// All jobs as they are now.
    pub(super) async fn list(&self) -> Result<Listed, OffloadError> {
        let mut objects = self.store.list(Some(&self.folder));
        let mut found = Vec::new();
        loop {
            let object = objects
                .try_next()
                .await
                .map_err(|error| self.failed(&self.folder, "list the folder", &error))?;
            let Some(object) = object else { break };
            let mut below = object.location.prefix_match(&self.folder).into_iter().flatten();
            let name = below.next().and_then(|part| part.as_ref().strip_suffix(".yaml").map(str::to_owned));
            if let (Some(name), None) = (name, below.next())
                && !name.starts_with('.')
            {
                found.push((name, object.size));
            }
        }
        let mut listed = Listed::new();
        for (name, size) in found {
            let definition = match self.read(&name, size).await {
                // removed in between
                Ok(None) => continue,
                Ok(Some(text)) => JobDefinition::from_yaml(&name, &text),
                Err(error) => Err(error.to_string()),
            };
            listed.insert(name, definition);
        }
        Ok(listed)
    }

    async fn read(&self, name: &str, size: u64) -> Result<Option<String>, OffloadError> {
        let path = self.path(name);
        let wrong = |message: &str| OffloadError::File {
            file: path.to_string(),
            message: message.to_owned(),
        };
        if size > MOST_BYTES {
            return Err(wrong("the file is too large for a job"));
        }
        let bytes = match self.store.get(&path).await {
            Ok(got) => got.bytes().await,
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => Err(error),
        };
        let bytes = bytes.map_err(|error| self.failed(&path, "read the file", &error))?;
        String::from_utf8(bytes.to_vec())
            .map(Some)
            .map_err(|_| wrong("the file is not UTF-8"))
    }

    /// A new file; false if there is one of the name.
    pub(super) async fn create(&self, definition: &JobDefinition) -> Result<bool, OffloadError> {
        match self.put(definition, PutMode::Create).await {
            Ok(()) => Ok(true),
            Err((_, Error::AlreadyExists { .. })) => Ok(false),
            Err((path, error)) => Err(self.failed(&path, "write the file", &error)),
        }
    }

    /// Takes the place of the file that is there.
    pub(super) async fn replace(&self, definition: &JobDefinition) -> Result<(), OffloadError> {
        let put = self.put(definition, PutMode::Overwrite).await;
        put.map_err(|(path, error)| self.failed(&path, "write the file", &error))
    }

    async fn put(&self, definition: &JobDefinition, mode: PutMode) -> Result<(), (Path, Error)> {
        let path = self.path(definition.offload.as_str());
        let text = definition.to_yaml().map_err(|error| {
            let error = Error::Generic {
                store: "offloads",
                source: Box::new(error),
            };
            (path.clone(), error)
        })?;
        let put = self.store.put_opts(&path, text.into_bytes().into(), PutOptions::from(mode)).await;
        put.map(drop).map_err(|error| (path, error))
    }

    /// Removes a file; one that is gone already is no error.
    pub(super) async fn remove(&self, name: &str) -> Result<(), OffloadError> {
        let path = self.path(name);
        match self.store.delete(&path).await {
            Err(Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(self.failed(&path, "remove the file", &error)),
        }
    }
}
