//! Segments of a shard in object storage: listing, fetching, uploading.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::time::Instant;

use super::blocking::blocking;
use super::counters::add;
use super::directory::millis;
use super::format;
use super::index::{SegmentIndex, StoredFile};
use super::name::{FileName, SegmentName};
use super::remote::RemoteSegments;
use super::shard::StoredShard;

/// A shard's objects are listed again when the list is older, and something is to be read from Kinesis that another node may have.
const LIST_AGE: Duration = Duration::from_secs(60);
/// A list that takes longer is not waited for.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// A file to copy to object storage.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) shard: Arc<StoredShard>,
    pub(crate) file: FileName,
    /// Objects that lie within it, to be deleted then.
    pub(crate) replaced: Vec<SegmentName>,
}

impl StoredShard {
    fn remote(&self) -> Option<&RemoteSegments> {
        self.shared.settings.remote.as_ref()
    }

    /// The directory of its objects.
    fn prefix(&self) -> String {
        let parts: Vec<_> = self
            .directory
            .components()
            .rev()
            .take(2)
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/")
    }

    /// Whether object storage should be asked (again) what it has of the shard.
    pub(crate) fn list_is_due(&self) -> bool {
        self.remote().is_some() && self.files.lock().listed.is_none_or(|at| at.elapsed() >= LIST_AGE)
    }

    /// Asks object storage what it has of the shard, if that is due. Returns files of ours that it does not have. What fails costs speed alone.
    pub(crate) async fn list(&self) -> Vec<FileName> {
        let Some(remote) = self.remote().filter(|_| self.list_is_due()) else {
            return Vec::new();
        };
        self.files.lock().listed = Some(Instant::now());
        match tokio::time::timeout(LIST_TIMEOUT, remote.list(&self.prefix())).await {
            Ok(Ok(objects)) => return self.listed(objects),
            Ok(Err(error)) => tracing::warn!(shard = %self.id, %error, "stored segments cannot be listed in object storage"),
            Err(_) => tracing::warn!(shard = %self.id, "object storage does not list the stored segments in time"),
        }
        add(&self.shared.counters.store_failures, 1);
        Vec::new()
    }

    fn listed(&self, objects: Vec<(String, u64)>) -> Vec<FileName> {
        let now_ms = millis(SystemTime::now());
        let mut names = Vec::with_capacity(objects.len());
        let mut files = self.files.lock();
        files.store = SegmentIndex::default();
        for (text, bytes) in objects {
            let Some(name) = FileName::parse(&text) else {
                tracing::debug!(shard = %self.id, object = text, "an object is no segment");
                continue;
            };
            names.push(name);
            match name {
                FileName::Segment(name) if !files.bad.contains(&name.checksum) => {
                    let file = StoredFile {
                        name,
                        file_bytes: bytes,
                        used_ms: now_ms,
                        groups: None,
                    };
                    files.store.insert(file);
                }
                FileName::Segment(_) => {}
                FileName::First(first) if files.first.is_none_or(|known| known.start < first.start) => files.first = Some(first),
                FileName::First(_) => {}
                FileName::End(end) => files.end = Some(end),
            }
        }
        let ours = files.disk.files().map(|file| FileName::Segment(file.name));
        let marks = [files.first.map(FileName::First), files.end.map(FileName::End)]
            .into_iter()
            .flatten();
        ours.chain(marks).filter(|name| !names.contains(name)).collect()
    }

    /// Fetches a segment from object storage to the local directory. What fails costs speed alone: the object is not tried again.
    pub(crate) async fn fetch(self: &Arc<Self>, name: SegmentName) {
        let Some(remote) = self.remote() else { return };
        let error = match remote.get(&self.prefix(), &FileName::Segment(name).to_string()).await {
            Ok(bytes) => {
                let shard = Arc::clone(self);
                let kept = blocking(move || shard.keep_fetched(name, &bytes)).await;
                match kept {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                }
            }
            Err(error) => error.to_string(),
        };
        tracing::warn!(shard = %self.id, object = %name, error, "a stored segment cannot be fetched from object storage: its records are read from Kinesis");
        add(&self.shared.counters.store_failures, 1);
        self.forget_object(&name);
    }

    fn forget_object(&self, name: &SegmentName) {
        let mut files = self.files.lock();
        files.bad.insert(name.checksum);
        files.store.remove(name);
    }

    fn keep_fetched(&self, name: SegmentName, bytes: &Bytes) -> io::Result<()> {
        let groups = format::verify(&name, bytes).map_err(|damage| {
            add(&self.shared.counters.damaged, 1);
            io::Error::other(damage)
        })?;
        self.write_file(&FileName::Segment(name), bytes)?;
        let file = StoredFile {
            name,
            file_bytes: bytes.len() as u64,
            used_ms: millis(SystemTime::now()),
            groups: Some(groups),
        };
        let replaced = {
            let mut files = self.files.lock();
            self.shared.counters.file_added(file.file_bytes);
            files.saved.insert(name.from, name.to);
            files.disk.insert(file)
        };
        add(&self.shared.counters.fetched, 1);
        self.unlink(&replaced);
        Ok(())
    }
}

impl Upload {
    /// Copies the file to object storage. Best effort.
    pub(crate) async fn run(self) {
        let Some(remote) = self.shard.remote() else { return };
        let name = self.file.to_string();
        let path = self.shard.directory.join(&name);
        let read = blocking(move || std::fs::read(path)).await;
        // deleted meanwhile, or merged into a later one
        let Ok(Ok(bytes)) = read else { return };
        let prefix = self.shard.prefix();
        if let Err(error) = remote.put(&prefix, &name, bytes.into()).await {
            tracing::warn!(shard = %self.shard.id, file = name, %error, "a stored segment cannot be copied to object storage");
            add(&self.shard.shared.counters.store_failures, 1);
            return;
        }
        if let FileName::Segment(_) = self.file {
            add(&self.shard.shared.counters.uploaded, 1);
        }
        self.shard.delete_objects(&self.replaced).await;
    }
}

impl StoredShard {
    /// Deletes objects, of files that were merged into others or whose records have expired. Best effort.
    pub(crate) async fn delete_objects(&self, names: &[SegmentName]) {
        let Some(remote) = self.remote() else { return };
        for name in names {
            if let Err(error) = remote.delete(&self.prefix(), &FileName::Segment(*name).to_string()).await {
                tracing::debug!(shard = %self.id, object = %name, %error, "an object cannot be deleted");
                add(&self.shared.counters.store_failures, 1);
            }
        }
    }

    /// Objects whose records all arrived before; the index forgets them.
    pub(crate) fn expired_objects(&self, cutoff_ms: i64) -> Vec<SegmentName> {
        let mut files = self.files.lock();
        let expired: Vec<SegmentName> = files
            .store
            .files()
            .map(|file| file.name)
            .filter(|name| name.arrivals.1 < cutoff_ms)
            .collect();
        expired
            .iter()
            .filter_map(|name| files.store.remove(name))
            .map(|file| file.name)
            .collect()
    }
}
