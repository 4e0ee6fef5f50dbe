//! Records that lie outside of what a definition promises of its stream: statements may have missed others like them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::TableName;
use parking_lot::Mutex;

/// Counts of a process, by table. A record counts each time it is read by a statement that uses the column of the promise.
#[derive(Debug, Default)]
pub struct BrokenPromises(Mutex<BTreeMap<TableName, Arc<AtomicU64>>>);

/// Counts for one scan: in the process and in its statement.
#[derive(Debug, Clone)]
pub(super) struct PromiseCount {
    process: Arc<AtomicU64>,
    statement: Arc<AtomicU64>,
}

impl BrokenPromises {
    /// Records outside of `event_time`, by table; only tables of which one was read.
    pub fn outside_event_time(&self) -> BTreeMap<TableName, u64> {
        let tables = self.0.lock();
        let counts = tables.iter().map(|(name, count)| (name.clone(), count.load(Ordering::Relaxed)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    pub(super) fn count(&self, table: &TableName, statement: Arc<AtomicU64>) -> PromiseCount {
        let process = Arc::clone(self.0.lock().entry(table.clone()).or_default());
        PromiseCount { process, statement }
    }
}

impl PromiseCount {
    pub(super) fn add(&self, records: u64) {
        if records > 0 {
            self.process.fetch_add(records, Ordering::Relaxed);
            self.statement.fetch_add(records, Ordering::Relaxed);
        }
    }
}
