//! A store that dies at a chosen call: nothing works from then on, as for a process that was killed.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

/// What becomes of the call at which the store dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    /// It does nothing.
    Before,
    /// It does what it should, and nobody hears of it.
    After,
    /// Only this call fails, after it was done.
    LostReply,
    /// Only this call is told, if it creates a file, that others are at it; it does nothing.
    Busy,
}

#[derive(Clone, Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    calls: Arc<AtomicUsize>,
    at: usize,
    death: Death,
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Well,
    Undone,
    Unheard,
    Busy,
}

impl Faulty {
    /// Dies at call `at`, counted from 0.
    pub(crate) fn new(inner: &Arc<dyn ObjectStore>, at: usize, death: Death) -> Self {
        Self {
            inner: Arc::clone(inner),
            calls: Arc::default(),
            at,
            death,
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn fate(&self) -> Fate {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        match (call.cmp(&self.at), self.death) {
            (std::cmp::Ordering::Less, _) | (std::cmp::Ordering::Greater, Death::LostReply | Death::Busy) => Fate::Well,
            (std::cmp::Ordering::Equal, Death::Busy) => Fate::Busy,
            (std::cmp::Ordering::Equal, Death::After | Death::LostReply) => Fate::Unheard,
            _ => Fate::Undone,
        }
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        self.meet(self.fate(), call).await
    }

    async fn meet<T>(&self, fate: Fate, call: impl Future<Output = Result<T>> + Send) -> Result<T> {
        match fate {
            Fate::Well | Fate::Busy => call.await,
            Fate::Undone => Err(dead()),
            Fate::Unheard => {
                let _ = call.await;
                Err(dead())
            }
        }
    }

    fn listing(&self, listing: BoxStream<'static, Result<ObjectMeta>>) -> BoxStream<'static, Result<ObjectMeta>> {
        if matches!(self.fate(), Fate::Well | Fate::Busy) {
            listing
        } else {
            stream::iter([Err(dead())]).boxed()
        }
    }
}

fn dead() -> Error {
    Error::Generic {
        store: "faulty",
        source: "the store is dead".into(),
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.fate() {
            Fate::Busy if options.mode == PutMode::Create => Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "409 ConditionalRequestConflict".into(),
            }),
            fate => self.meet(fate, self.inner.put_opts(location, payload, options)).await,
        }
    }

    async fn put_multipart_opts(&self, location: &Path, options: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.call(self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.call(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.call(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    let one = stream::iter([Ok(location.clone())]).boxed();
                    let mut deleted = store.inner.delete_stream(one);
                    store.call(async move { deleted.next().await.unwrap_or(Ok(location)) }).await
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(self.inner.list(prefix))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listing(self.inner.list_with_offset(prefix, offset))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.call(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.call(self.inner.copy_opts(from, to, options)).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.call(self.inner.rename_opts(from, to, options)).await
    }
}
