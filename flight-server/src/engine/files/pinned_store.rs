//! A store that gives the files of a listing, as they were, and nothing else.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions,
    PutPayload, PutResult, Result,
};

use super::super::error::EngineError;

/// Gives the files of a listing. One that is gone or was written again is an error, since its rows would not be those of the statement.
#[derive(Debug)]
pub(super) struct PinnedStore {
    inner: Arc<dyn ObjectStore>,
    files: HashMap<Path, ObjectMeta>,
    table: String,
}

impl PinnedStore {
    pub(super) fn new(inner: Arc<dyn ObjectStore>, files: impl IntoIterator<Item = ObjectMeta>, table: String) -> Self {
        Self {
            inner,
            files: files.into_iter().map(|meta| (meta.location.clone(), meta)).collect(),
            table,
        }
    }

    fn changed(&self, location: &Path) -> Error {
        let message = format!(
            "table {}: file `{location}` was changed or removed after the statement was planned; run it again",
            self.table
        );
        Error::Generic {
            store: "pinned",
            source: Box::new(EngineError::FailedPrecondition(message)),
        }
    }

    fn failed(&self, location: &Path, error: Error) -> Error {
        match error {
            Error::Precondition { .. } | Error::NotFound { .. } => self.changed(location),
            error => Error::Generic {
                store: "pinned",
                source: Box::new(super::listing::store_error(
                    &format!("table {}: file `{location}`", self.table),
                    &error,
                )),
            },
        }
    }
}

impl fmt::Display for PinnedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "files of {}", self.table)
    }
}

/// What a store that only reads says of everything else.
pub(super) fn not_here(operation: &str) -> Error {
    Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: "files that are read".to_owned(),
    }
}

#[async_trait]
impl ObjectStore for PinnedStore {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(not_here("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(not_here("put"))
    }

    async fn get_opts(&self, location: &Path, mut options: GetOptions) -> Result<GetResult> {
        let Some(known) = self.files.get(location) else {
            return Err(not_here("reading a file that is not of the table"));
        };
        options.if_match.clone_from(&known.e_tag);
        let got = self.inner.get_opts(location, options).await;
        let got = got.map_err(|error| self.failed(location, error))?;
        let same = match (&known.e_tag, &got.meta.e_tag) {
            (Some(known), Some(tag)) => known == tag,
            _ => known.last_modified.timestamp_millis() == got.meta.last_modified.timestamp_millis(),
        };
        match same && known.size == got.meta.size {
            true => Ok(got),
            false => Err(self.changed(location)),
        }
    }

    fn delete_stream(&self, _: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        stream::once(async { Err(not_here("delete")) }).boxed()
    }

    fn list(&self, _: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        stream::once(async { Err(not_here("list")) }).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(not_here("list"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(not_here("copy"))
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn files_are_as_they_were_or_not_at_all() {
        let inner = Arc::new(InMemory::new());
        let (kept, changed, gone, other) = (Path::from("kept"), Path::from("changed"), Path::from("gone"), Path::from("other"));
        for path in [&kept, &changed, &gone, &other] {
            inner.put(path, "one".into()).await.unwrap();
        }
        let mut files = Vec::new();
        for path in [&kept, &changed, &gone] {
            files.push(inner.head(path).await.unwrap());
        }
        let store = PinnedStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>, files, "t".into());
        // the same length, as a file that is written again may have
        inner.put(&changed, "two".into()).await.unwrap();
        inner.delete(&gone).await.unwrap();
        assert_eq!(store.get(&kept).await.unwrap().bytes().await.unwrap(), "one");
        assert_eq!(store.get_range(&kept, 1..2).await.unwrap(), "n");
        for path in [&changed, &gone] {
            let error = store.get(path).await.unwrap_err().to_string();
            assert!(error.contains("changed or removed"), "{error}");
        }
        assert!(store.get(&other).await.is_err(), "not of the table");
        assert!(store.put(&kept, "x".into()).await.is_err());
    }
}
