//! All stored segments of a process: the directory, its budget, and what is shared by its streams.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::counters::{Counters, SegmentCounters, add};
use super::directory::{self, About, FoundStream, millis};
use super::name::SegmentName;
use super::remote::RemoteSegments;
use super::shard::StoredShard;
use crate::{ShardId, StreamIdentity, WallClock};

/// Records that memory has dropped and that are not on disk yet, all shards together.
const LEAVING_BYTES: u64 = 64 << 20;
/// Files read at once.
const LOADS: usize = 4;
/// Files written at once.
const WRITES: usize = 2;
const LOCK: &str = "lock";

/// Where and how segments are stored.
#[derive(Clone, Debug)]
pub struct SegmentSettings {
    /// Directory; one process at a time uses it.
    pub path: PathBuf,
    /// Bytes of files in it; the least recently used are deleted beyond that.
    pub disk_bytes: u64,
    /// Payloads and partition keys after which a run of records is written.
    pub seal_bytes: u64,
    /// Time after which it is written in any case.
    pub seal_age: Duration,
    /// Object storage that nodes share.
    pub remote: Option<RemoteSegments>,
    /// The time of day, for retention.
    pub wall_clock: WallClock,
}

impl SegmentSettings {
    /// Segments in a directory, with the defaults: 20 GiB, sealed at 16 MiB or after a minute.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            disk_bytes: 20 << 30,
            seal_bytes: 16 << 20,
            seal_age: Duration::from_secs(60),
            remote: None,
            wall_clock: WallClock::default(),
        }
    }
}

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SegmentStoreError {
    /// Another process uses it.
    #[error("{} is used by another process; give each its own", .0.display())]
    InUse(PathBuf),
    /// It cannot be made, read or written.
    #[error("{}", .path.display())]
    Io {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The stored segments of a process. Cheap to clone by `Arc`; hand it to [`crate::ReaderConfig`].
#[derive(Debug)]
pub struct SegmentStore {
    pub(super) shared: Arc<Shared>,
    streams: Mutex<BTreeMap<String, Arc<StoredStream>>>,
    /// Held until the end.
    _lock: File,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) settings: SegmentSettings,
    pub(super) counters: Counters,
    leaving: AtomicU64,
    pub(super) loads: Semaphore,
    pub(super) writes: Semaphore,
}

impl Shared {
    /// Room for so many bytes on their way to disk.
    pub(super) fn take_leaving(&self, bytes: u64) -> bool {
        let before = self.leaving.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= LEAVING_BYTES;
        if !fits {
            self.give_leaving(bytes);
        }
        fits
    }

    pub(super) fn give_leaving(&self, bytes: u64) {
        self.leaving.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The stored segments of one incarnation of a stream.
#[derive(Debug)]
pub(crate) struct StoredStream {
    shared: Arc<Shared>,
    about: Mutex<About>,
    directory: PathBuf,
    deleted: Arc<AtomicBool>,
    shards: Mutex<BTreeMap<ShardId, Arc<StoredShard>>>,
}

impl SegmentStore {
    /// Opens the directory: removes what a crash left, lists what is there, and deletes what is of no use any more. Reads no file but small ones;
    /// blocks.
    ///
    /// # Errors
    /// When another process uses the directory, or it cannot be made or read.
    pub fn open(settings: SegmentSettings) -> Result<Arc<Self>, SegmentStoreError> {
        let path = settings.path.clone();
        let failed = |source| SegmentStoreError::Io {
            path: path.clone(),
            source,
        };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SegmentStoreError::InUse(path)),
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let found = directory::scan(&path).map_err(failed)?;
        let store = Self {
            shared: Arc::new(Shared {
                settings,
                counters: Counters::default(),
                leaving: AtomicU64::new(0),
                loads: Semaphore::new(LOADS),
                writes: Semaphore::new(WRITES),
            }),
            streams: Mutex::default(),
            _lock: lock,
        };
        for stream in found {
            store.take_in(&path, stream);
        }
        store.reclaim();
        Ok(Arc::new(store))
    }

    fn take_in(&self, root: &Path, found: FoundStream) {
        let directory = root.join(&found.name);
        let now_ms = millis(SystemTime::now());
        let of_use = found
            .about
            .filter(|about| found.used_ms.saturating_add_unsigned(about.retention_ms) >= now_ms);
        let Some(about) = of_use else {
            // nobody knows whose it is, or all its records have expired since it was last used
            self.delete_directory(&directory, found.shards.iter().map(|(_, files)| files.len() as u64).sum());
            return;
        };
        for path in &found.strange {
            tracing::warn!(file = %path.display(), "a file that is no segment is deleted");
            add(&self.shared.counters.damaged, 1);
            directory::remove(path);
        }
        let cutoff_ms = self.shared.settings.wall_clock.now_ms().saturating_sub_unsigned(about.retention_ms);
        let stream = StoredStream::new(Arc::clone(&self.shared), root, about);
        for (shard, files) in found.shards {
            let shard = stream.shard(&shard);
            shard.found(files);
            shard.expire(cutoff_ms);
            shard.empty_trash();
        }
        self.streams.lock().insert(found.name, Arc::new(stream));
    }

    fn delete_directory(&self, directory: &Path, files: u64) {
        tracing::info!(directory = %directory.display(), files, "stored segments of a stream that is gone or long unused are deleted");
        match std::fs::remove_dir_all(directory) {
            Ok(()) => add(&self.shared.counters.deleted, files),
            Err(error) => {
                add(&self.shared.counters.disk_failures, 1);
                tracing::warn!(directory = %directory.display(), %error, "stored segments cannot be deleted");
            }
        }
    }

    /// The stored segments of a stream; those of earlier incarnations of it are deleted. Blocks.
    pub(crate) fn attach(&self, source: &str, stream: &StreamIdentity, retention: Duration) -> io::Result<Arc<StoredStream>> {
        let about = About {
            source: source.to_owned(),
            stream: stream.clone(),
            retention_ms: u64::try_from(retention.as_millis()).unwrap_or(u64::MAX),
        };
        let earlier: Vec<Arc<StoredStream>> = {
            let mut streams = self.streams.lock();
            let is_earlier = |known: &StoredStream| {
                let known = known.about.lock();
                known.source == about.source && known.stream.arn == about.stream.arn && known.stream.created_ms < about.stream.created_ms
            };
            let names: Vec<String> = streams
                .iter()
                .filter(|(_, known)| is_earlier(known))
                .map(|(name, _)| name.clone())
                .collect();
            names.iter().filter_map(|name| streams.remove(name)).collect()
        };
        for stream in earlier {
            stream.deleted.store(true, Ordering::Relaxed);
            let files = stream.forget_files();
            self.delete_directory(&stream.directory, files);
        }
        directory::use_stream(&self.shared.settings.path, &about)?;
        let mut streams = self.streams.lock();
        let stream = streams.entry(about.directory_name()).or_insert_with(|| {
            Arc::new(StoredStream::new(
                Arc::clone(&self.shared),
                &self.shared.settings.path,
                about.clone(),
            ))
        });
        *stream.about.lock() = about;
        Ok(Arc::clone(stream))
    }

    /// Deletes least recently used files while there are more bytes than allowed, down to 90 % of that. Blocks.
    pub(crate) fn reclaim(&self) {
        self.reclaim_to(self.shared.settings.disk_bytes);
    }

    /// Makes room on a disk that is full: a tenth of what is there goes.
    pub(crate) fn make_room(&self) {
        let held = self.shared.counters.disk_bytes();
        self.reclaim_to(held.saturating_sub(1).min(self.shared.settings.disk_bytes));
    }

    fn reclaim_to(&self, most: u64) {
        if self.shared.counters.disk_bytes() <= most {
            return;
        }
        let streams: Vec<Arc<StoredStream>> = self.streams.lock().values().cloned().collect();
        let mut candidates: Vec<(i64, SegmentName, Arc<StoredShard>)> = Vec::new();
        for shard in streams.iter().flat_map(|stream| stream.known_shards()) {
            candidates.extend(shard.by_use().into_iter().map(|(used, name)| (used, name, Arc::clone(&shard))));
        }
        // of files that were used at the same moment, the older records go first
        candidates.sort_by_key(|(used, name, _)| (*used, name.arrivals, name.from));
        for (_, name, shard) in candidates {
            if self.shared.counters.disk_bytes() <= most / 10 * 9 {
                break;
            }
            shard.evict(&name);
        }
    }

    /// What was done, and what is there.
    pub fn counters(&self) -> SegmentCounters {
        self.shared.counters.totals()
    }

    /// The settings.
    pub fn settings(&self) -> &SegmentSettings {
        &self.shared.settings
    }

    /// A turn to read a file.
    pub(crate) fn loads(&self) -> &Semaphore {
        &self.shared.loads
    }

    /// A turn to write one.
    pub(crate) fn writes(&self) -> &Semaphore {
        &self.shared.writes
    }

    pub(crate) fn upload_skipped(&self) {
        add(&self.shared.counters.store_failures, 1);
    }

    pub(crate) fn disk_failed(&self) {
        add(&self.shared.counters.disk_failures, 1);
    }
}

impl StoredStream {
    fn new(shared: Arc<Shared>, root: &Path, about: About) -> Self {
        Self {
            shared,
            directory: root.join(about.directory_name()),
            about: Mutex::new(about),
            deleted: Arc::default(),
            shards: Mutex::default(),
        }
    }

    /// The stored segments of a shard.
    pub(crate) fn shard(&self, id: &ShardId) -> Arc<StoredShard> {
        let new = || {
            let shared = Arc::clone(&self.shared);
            Arc::new(StoredShard::new(shared, id.clone(), &self.directory, Arc::clone(&self.deleted)))
        };
        Arc::clone(self.shards.lock().entry(id.clone()).or_insert_with(new))
    }

    pub(crate) fn known_shards(&self) -> Vec<Arc<StoredShard>> {
        self.shards.lock().values().cloned().collect()
    }

    /// The stream was deleted: nothing is written any more.
    pub(crate) fn delete(&self) {
        self.deleted.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Relaxed)
    }

    /// The files are deleted with their directory; says how many.
    fn forget_files(&self) -> u64 {
        let mut count = 0;
        for shard in self.known_shards() {
            count += shard.forget();
        }
        count
    }
}
