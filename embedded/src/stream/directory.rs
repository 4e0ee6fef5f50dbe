//! All streams of the service and the directory they lie in.
//!
//! `<data_dir>/<name>-<created ms>-<tag>/` holds `stream.json` and the segment files of the shards. A stream is deleted by renaming its
//! metadata first, so that a half-deleted one is never taken for a stream.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;

use super::hash::uniform_ranges;
use super::metadata::{METADATA_FILE, ShardMetadata, StreamMetadata, StreamMode, usual_record_kib};
use super::shard::parse_shard_id;
use super::state::{Stream, StreamState};
use super::subscriptions::Subscriptions;
use crate::log::{FilePool, next_counter, parse_segment_name};
use crate::options::{EmbeddedError, Options};

/// Open segment files; the usual soft limit of a process is 1,024.
const OPEN_FILES: usize = 256;
const DELETED_FILE: &str = "stream.json.deleted";
const DEFAULT_RETENTION_HOURS: u32 = 24;

/// The service's streams by name.
#[derive(Debug)]
pub(crate) struct StreamDirectory {
    dir: PathBuf,
    arn_prefix: String,
    fsync: bool,
    pool: Arc<FilePool>,
    pub(crate) streams: RwLock<BTreeMap<Arc<str>, Arc<Stream>>>,
    /// Held as long as the service lives.
    _lock: File,
}

impl StreamDirectory {
    /// Opens the directory, making it when missing, and all streams in it.
    pub(crate) fn open(options: &Options) -> Result<Self, EmbeddedError> {
        let dir = options.data_dir.clone();
        std::fs::create_dir_all(&dir).map_err(EmbeddedError::io(&dir))?;
        let lock_path = dir.join("lock");
        let lock = File::create(&lock_path).map_err(EmbeddedError::io(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(EmbeddedError::InUse { path: dir }),
            Err(TryLockError::Error(source)) => return Err(EmbeddedError::Io { path: lock_path, source }),
        }
        let directory = Self {
            arn_prefix: format!("arn:aws:kinesis:{}:{}:stream/", options.region, options.account),
            fsync: options.fsync,
            pool: Arc::new(FilePool::new(OPEN_FILES)),
            streams: RwLock::default(),
            _lock: lock,
            dir,
        };
        for entry in std::fs::read_dir(&directory.dir).map_err(EmbeddedError::io(&directory.dir))? {
            let path = entry.map_err(EmbeddedError::io(&directory.dir))?.path();
            if path.join(DELETED_FILE).exists() {
                std::fs::remove_dir_all(&path).map_err(EmbeddedError::io(&path))?;
            } else if path.join(METADATA_FILE).exists() {
                let stream = directory.load(&path)?;
                directory.streams.write().insert(Arc::clone(&stream.name), stream);
            }
        }
        Ok(directory)
    }

    pub(crate) fn arn(&self, name: &str) -> String {
        format!("{}{name}", self.arn_prefix)
    }

    fn load(&self, dir: &Path) -> Result<Arc<Stream>, EmbeddedError> {
        let path = dir.join(METADATA_FILE);
        let bytes = std::fs::read(&path).map_err(EmbeddedError::io(&path))?;
        let metadata: StreamMetadata = serde_json::from_slice(&bytes).map_err(|error| EmbeddedError::Damaged {
            path: path.clone(),
            offset: 0,
            reason: error.to_string(),
        })?;
        let mut files: BTreeMap<u32, BTreeMap<u32, PathBuf>> = BTreeMap::new();
        for entry in std::fs::read_dir(dir).map_err(EmbeddedError::io(dir))? {
            let path = entry.map_err(EmbeddedError::io(dir))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).and_then(parse_segment_name);
            if let Some((shard, segment)) = name.and_then(|(id, segment)| Some((parse_shard_id(id)?, segment))) {
                if metadata.shard(shard).is_some() {
                    files.entry(shard).or_default().insert(segment, path);
                } else {
                    // The process died between the removal of an expired shard and that of its files.
                    std::fs::remove_file(&path).map_err(EmbeddedError::io(&path))?;
                }
            }
        }
        self.assemble(dir, metadata, files)
    }

    fn assemble(
        &self,
        dir: &Path,
        metadata: StreamMetadata,
        mut files: BTreeMap<u32, BTreeMap<u32, PathBuf>>,
    ) -> Result<Arc<Stream>, EmbeddedError> {
        let stream = Stream {
            name: metadata.name.as_str().into(),
            arn: self.arn(&metadata.name),
            created_ms: metadata.created_ms,
            tag: metadata.tag,
            dir: dir.into(),
            pool: Arc::clone(&self.pool),
            fsync: self.fsync,
            subscriptions: Subscriptions::default(),
            state: RwLock::new(StreamState::new(metadata.clone(), BTreeMap::new())),
        };
        let mut shards = BTreeMap::new();
        for shard in &metadata.shards {
            shards.insert(
                shard.number,
                stream.open_shard(shard, files.remove(&shard.number).unwrap_or_default())?,
            );
        }
        *stream.state.write() = StreamState::new(metadata, shards);
        Ok(Arc::new(stream))
    }

    /// Makes a stream; `None` if one of that name exists.
    pub(crate) fn create(
        &self,
        name: &str,
        shards: u32,
        mode: StreamMode,
        tags: BTreeMap<String, String>,
        now_ms: i64,
    ) -> Result<Option<Arc<Stream>>, EmbeddedError> {
        let mut streams = self.streams.write();
        if streams.contains_key(name) {
            return Ok(None);
        }
        let tag = rand::random_range(0..100_000_000);
        let shard = |(number, (hash_start, hash_end)): (u32, (u128, u128))| ShardMetadata {
            number,
            parent: None,
            adjacent_parent: None,
            hash_start,
            hash_end,
            created_ms: now_ms,
            starting_counter: next_counter(0, now_ms),
            closed: None,
        };
        let metadata = StreamMetadata {
            name: name.to_owned(),
            created_ms: now_ms,
            tag,
            mode,
            retention_hours: DEFAULT_RETENTION_HOURS,
            max_record_kib: usual_record_kib(),
            next_shard: shards,
            tags,
            consumers: BTreeMap::new(),
            shards: (0..).zip(uniform_ranges(shards)).map(shard).collect(),
        };
        let dir = self.dir.join(format!("{name}-{now_ms}-{tag:08}"));
        std::fs::create_dir(&dir).map_err(EmbeddedError::io(&dir))?;
        metadata.save(&dir, self.fsync).map_err(EmbeddedError::io(&dir))?;
        let stream = self.assemble(&dir, metadata, BTreeMap::new())?;
        streams.insert(Arc::clone(&stream.name), Arc::clone(&stream));
        Ok(Some(stream))
    }

    /// Deletes a stream and its files; false if there is none of that name.
    pub(crate) fn delete(&self, name: &str) -> io::Result<bool> {
        let mut streams = self.streams.write();
        let Some(stream) = streams.get(name) else { return Ok(false) };
        let stream = Arc::clone(stream);
        let mut state = stream.state.write();
        std::fs::rename(stream.dir.join(METADATA_FILE), stream.dir.join(DELETED_FILE))?;
        state.deleted = true;
        streams.remove(name);
        state.shards.values().for_each(|shard| shard.log.signal());
        drop(streams);
        std::fs::remove_dir_all(&stream.dir)?;
        Ok(true)
    }
}
