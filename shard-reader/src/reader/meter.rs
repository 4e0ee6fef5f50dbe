//! What one statement may read, and what it did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

/// Shared by all scans of a statement.
#[derive(Debug)]
pub struct StatementMeter {
    max_bytes: u64,
    deadline: Option<Instant>,
    read: AtomicU64,
    cached: AtomicU64,
    new: AtomicU64,
    calls: AtomicU64,
}

/// What one scan handed out, and the calls that it took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanTotals {
    /// Records.
    pub records: u64,
    /// Bytes that were in memory already.
    pub bytes_cached: u64,
    /// Bytes that were fetched while the scan ran.
    pub bytes_read: u64,
    /// GetRecords calls that gave pages of the range while the scan ran, whoever else read them too.
    pub calls: u64,
}

impl ScanTotals {
    pub(crate) fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.bytes_cached += other.bytes_cached;
        self.bytes_read += other.bytes_read;
        self.calls += other.calls;
    }
}

impl StatementMeter {
    /// A meter that lets a statement read so many bytes from Kinesis, until a deadline.
    pub fn new(max_bytes: u64, deadline: Option<Instant>) -> Arc<Self> {
        Arc::new(Self {
            max_bytes,
            deadline,
            read: AtomicU64::new(0),
            cached: AtomicU64::new(0),
            calls: AtomicU64::new(0),
            new: AtomicU64::new(0),
        })
    }

    /// Bytes handed out that were in memory already.
    pub fn bytes_cached(&self) -> u64 {
        self.cached.load(Ordering::Relaxed)
    }

    /// Bytes handed out that were fetched while this statement's scan ran, or that came while it followed.
    pub fn bytes_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed) + self.new.load(Ordering::Relaxed)
    }

    /// What came after the statement was planned: its limit is about what lay there.
    pub(crate) fn count_new(&self, bytes: u64) {
        self.new.fetch_add(bytes, Ordering::Relaxed);
    }

    /// GetRecords calls that gave pages of its ranges while its scans ran.
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    pub(crate) fn count_calls(&self, calls: u64) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
    }

    pub(crate) fn count(&self, bytes: u64, cached: bool) {
        if cached { &self.cached } else { &self.read }.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Bytes that the statement may read from Kinesis.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Counts what another process read for the statement, within a limit of its own.
    pub fn add_elsewhere(&self, totals: &ScanTotals) {
        self.cached.fetch_add(totals.bytes_cached, Ordering::Relaxed);
        self.new.fetch_add(totals.bytes_read, Ordering::Relaxed);
        self.calls.fetch_add(totals.calls, Ordering::Relaxed);
    }

    /// The limit, if it is exceeded.
    pub(crate) fn exceeded(&self) -> Option<u64> {
        (self.read.load(Ordering::Relaxed) > self.max_bytes).then_some(self.max_bytes)
    }

    /// When reading must have ended.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}
