//! What the stored segments of a process did, for metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the process began, and what is on disk now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SegmentCounters {
    /// Files on disk.
    pub files: u64,
    /// Their bytes.
    pub disk_bytes: u64,
    /// Files written.
    pub written: u64,
    /// Their bytes.
    pub written_bytes: u64,
    /// Parts of files read into memory.
    pub loaded: u64,
    /// Payloads and partition keys in these.
    pub loaded_bytes: u64,
    /// Files that were not what their names say, and were dropped.
    pub damaged: u64,
    /// Files deleted: for lack of disk, past retention, or merged into others.
    pub deleted: u64,
    /// Files copied to object storage.
    pub uploaded: u64,
    /// Files fetched from object storage.
    pub fetched: u64,
    /// Writes, marks and deletions that failed.
    pub disk_failures: u64,
    /// Calls of object storage that failed.
    pub store_failures: u64,
    /// Runs of records dropped from memory that could not be written in time.
    pub not_kept: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) files: AtomicU64,
    pub(super) disk_bytes: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) written_bytes: AtomicU64,
    pub(super) loaded: AtomicU64,
    pub(super) loaded_bytes: AtomicU64,
    pub(super) damaged: AtomicU64,
    pub(super) deleted: AtomicU64,
    pub(super) uploaded: AtomicU64,
    pub(super) fetched: AtomicU64,
    pub(super) disk_failures: AtomicU64,
    pub(super) store_failures: AtomicU64,
    pub(super) not_kept: AtomicU64,
}

pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

impl Counters {
    pub(super) fn file_added(&self, bytes: u64) {
        add(&self.files, 1);
        add(&self.disk_bytes, bytes);
    }

    pub(super) fn file_removed(&self, bytes: u64) {
        self.files.fetch_sub(1, Ordering::Relaxed);
        self.disk_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(super) fn disk_bytes(&self) -> u64 {
        self.disk_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn totals(&self) -> SegmentCounters {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SegmentCounters {
            files: get(&self.files),
            disk_bytes: get(&self.disk_bytes),
            written: get(&self.written),
            written_bytes: get(&self.written_bytes),
            loaded: get(&self.loaded),
            loaded_bytes: get(&self.loaded_bytes),
            damaged: get(&self.damaged),
            deleted: get(&self.deleted),
            uploaded: get(&self.uploaded),
            fetched: get(&self.fetched),
            disk_failures: get(&self.disk_failures),
            store_failures: get(&self.store_failures),
            not_kept: get(&self.not_kept),
        }
    }
}
