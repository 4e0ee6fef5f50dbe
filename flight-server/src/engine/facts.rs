//! What an endpoint's rows were read from, and whether that was all: for the last message of its stream.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use catalog::TableName;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use shard_reader::{Gap, Position, ReadError, ReadErrorKind, ScanTotals, ShardPin, ShardRange, StatementMeter};
use tokio::time::Instant;

use super::error::EngineError;
use super::named_shards::{NAMED_SHARDS, name_shards};
use super::statement_options::OnLimit;

/// Shards that an error about a limit names.
const SHARDS_NAMED: usize = 3;

/// What an endpoint's rows were read from.
#[derive(Debug)]
pub struct ExecutionFacts {
    query_id: String,
    pub(super) meter: Arc<StatementMeter>,
    on_limit: OnLimit,
    kind: OnceLock<&'static str>,
    rows: AtomicU64,
    pub(super) outside_event_time: Arc<AtomicU64>,
    judged: OnceLock<Arc<AtomicU64>>,
    started: Instant,
    planned: OnceLock<Duration>,
    first_row: OnceLock<Duration>,
    pub(super) scans: Mutex<Vec<ScanFact>>,
    /// The limit at which the first scan ended early.
    limit: OnceLock<ReadError>,
}

/// One scan of one shard.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ScanFact {
    table: TableName,
    range: ShardRange,
    to: Position,
    complete: bool,
    reason: String,
    pub(super) totals: ScanTotals,
    /// What of it was found gone.
    gaps: Vec<String>,
}

/// A scan among the facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ScanSlot(usize);

/// All scans of one shard of a table.
#[derive(Debug, Clone)]
pub(super) struct ShardFact {
    pub(super) table: TableName,
    pub(super) range: ShardRange,
    /// Where the scan that got least far stands.
    pub(super) to: Position,
    pub(super) complete: bool,
    pub(super) reason: String,
    pub(super) totals: ScanTotals,
}

impl ExecutionFacts {
    pub(crate) fn new(query_id: String, meter: Arc<StatementMeter>, on_limit: OnLimit) -> Arc<Self> {
        Arc::new(Self {
            query_id,
            meter,
            on_limit,
            kind: OnceLock::new(),
            rows: AtomicU64::new(0),
            outside_event_time: Arc::default(),
            judged: OnceLock::new(),
            started: Instant::now(),
            planned: OnceLock::new(),
            first_row: OnceLock::new(),
            scans: Mutex::default(),
            limit: OnceLock::new(),
        })
    }

    /// Of the statement.
    pub(super) fn query_id(&self) -> &str {
        &self.query_id
    }

    /// What kind of statement it is: `query`, unless it was said to be another.
    pub fn kind(&self) -> &'static str {
        self.kind.get().copied().unwrap_or("query")
    }

    pub(super) fn set_kind(&self, kind: &'static str) {
        self.kind.get_or_init(|| kind);
    }

    /// A scan is to begin. As long as nothing else is said of it, a limit on rows kept it from its end.
    pub(super) fn begin(&self, table: &TableName, pin: &ShardPin) -> ScanSlot {
        let mut scans = self.scans.lock();
        scans.push(ScanFact {
            table: table.clone(),
            range: pin.range.clone(),
            to: pin.range.start,
            complete: false,
            reason: "limit".into(),
            totals: ScanTotals::default(),
            gaps: Vec::new(),
        });
        ScanSlot(scans.len() - 1)
    }

    /// A scan came to its end.
    pub(super) fn done(&self, slot: ScanSlot, to: Position, totals: ScanTotals) {
        self.set(slot, to, totals, Some((true, "end of range".into())));
    }

    /// Records of a scan's range are missing from the rows.
    pub(super) fn gap(&self, slot: ScanSlot, gap: &Gap) {
        let to = gap.to.map_or_else(|| "the end".to_owned(), |to| to.to_string());
        if let Some(scan) = self.scans.lock().get_mut(slot.0) {
            scan.gaps.push(format!("gap from {} to {to}: {}", gap.from, gap.reason));
            scan.complete = false;
        }
    }

    /// A scan is dropped: whoever took its rows needs no more of them.
    pub(super) fn left(&self, slot: ScanSlot, to: Position, totals: ScanTotals) {
        self.set(slot, to, totals, None);
    }

    /// A scan failed. `None`: it ended early at a limit, and the statement goes on with what it has.
    pub(super) fn failed(&self, slot: ScanSlot, to: Position, totals: ScanTotals, error: ReadError) -> Option<ReadError> {
        self.set(slot, to, totals, Some((false, error.to_string())));
        let at_limit = matches!(error.kind, ReadErrorKind::LimitExceeded | ReadErrorKind::TimedOut);
        if at_limit && self.on_limit == OnLimit::Partial {
            self.limit.get_or_init(|| error);
            return None;
        }
        Some(error)
    }

    fn set(&self, slot: ScanSlot, to: Position, totals: ScanTotals, end: Option<(bool, String)>) {
        let mut scans = self.scans.lock();
        let Some(scan) = scans.get_mut(slot.0) else { return };
        (scan.to, scan.totals) = (to, totals);
        match end {
            Some(end) => (scan.complete, scan.reason) = end,
            None if to >= scan.range.end => (scan.complete, scan.reason) = (true, "end of range".into()),
            None => {}
        }
        if !scan.gaps.is_empty() {
            (scan.complete, scan.reason) = (false, scan.gaps.join("; "));
        }
    }

    /// The error that must follow the rows, if reading ended early at a limit.
    pub(super) fn incomplete(&self) -> Option<EngineError> {
        let limit = self.limit.get()?;
        let short: Vec<ShardFact> = self.shards().into_iter().filter(|shard| !shard.complete).collect();
        let named: Vec<String> = short
            .iter()
            .take(SHARDS_NAMED)
            .map(|shard| format!("shard {} of table {} was read to {}", shard.range.shard, shard.table, shard.to))
            .collect();
        let others = match short.len().saturating_sub(SHARDS_NAMED) {
            0 => String::new(),
            more => format!("; {more} more shards were not read to their end either"),
        };
        Some(EngineError::Incomplete(format!(
            "the result is incomplete: {}; {}{others} (on_limit = 'partial')",
            limit.message,
            named.join("; ")
        )))
    }

    pub(super) fn count_rows(&self, rows: usize) {
        if rows > 0 {
            self.first_row.get_or_init(|| self.started.elapsed());
            self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        }
    }

    /// Counts records whose time lies outside of the promise of their table's definition.
    pub(super) fn outside_event_time(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.outside_event_time)
    }

    /// Scans on this node are to judge every record that they read, and to count the bad ones there. To be said before the physical plan is made.
    pub(super) fn judge(&self, bad: Arc<AtomicU64>) {
        self.judged.get_or_init(|| bad);
    }

    /// Counts bad records, if every record is to be judged.
    pub(super) fn judged(&self) -> Option<Arc<AtomicU64>> {
        self.judged.get().map(Arc::clone)
    }

    /// The physical plan is made.
    pub(super) fn set_planned(&self) {
        self.planned.get_or_init(|| self.started.elapsed());
    }

    /// Rows handed out so far.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(super) fn meter(&self) -> &StatementMeter {
        &self.meter
    }

    pub(super) fn planning(&self) -> Option<Duration> {
        self.planned.get().copied()
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// By table and shard, however many scans read it.
    pub(super) fn shards(&self) -> Vec<ShardFact> {
        let mut shards: BTreeMap<(TableName, String), ShardFact> = BTreeMap::new();
        for scan in self.scans.lock().iter() {
            let key = (scan.table.clone(), scan.range.shard.to_string());
            let Some(known) = shards.get_mut(&key) else {
                let fact = ShardFact {
                    table: scan.table.clone(),
                    range: scan.range.clone(),
                    to: scan.to,
                    complete: scan.complete,
                    reason: scan.reason.clone(),
                    totals: scan.totals,
                };
                shards.insert(key, fact);
                continue;
            };
            if known.complete && !scan.complete {
                (known.complete, known.reason) = (false, scan.reason.clone());
            }
            known.range.start = known.range.start.min(scan.range.start);
            known.to = known.to.min(scan.to);
            known.totals.records += scan.totals.records;
            known.totals.bytes_cached += scan.totals.bytes_cached;
            known.totals.bytes_read += scan.totals.bytes_read;
            known.totals.calls += scan.totals.calls;
        }
        shards.into_values().collect()
    }

    /// `{query_id, rows, bytes_cached, bytes_read, calls, outside_event_time, planning_ms, first_row_ms, total_ms, shards: [{table, shard, from, to, complete, reason,
    /// bytes_cached, bytes_read, calls}]}`; complete once the rows have ended. Of very many shards, those that are not complete are named first.
    pub fn to_json(&self) -> serde_json::Value {
        let mut shards = self.shards();
        if shards.len() > NAMED_SHARDS {
            shards.sort_by_key(|fact| fact.complete);
        }
        let shards: Vec<_> = shards
            .iter()
            .map(|fact| {
                json!({
                    "table": fact.table.to_string(),
                    "shard": fact.range.shard,
                    "from": fact.range.start,
                    "to": fact.to,
                    "complete": fact.complete,
                    "reason": fact.reason,
                    "bytes_cached": fact.totals.bytes_cached,
                    "bytes_read": fact.totals.bytes_read,
                    "calls": fact.totals.calls,
                })
            })
            .collect();
        let mut facts = json!({
            "query_id": self.query_id,
            "rows": self.rows(),
            "bytes_cached": self.meter.bytes_cached(),
            "bytes_read": self.meter.bytes_read(),
            "calls": self.meter.calls(),
            "outside_event_time": self.outside_event_time.load(Ordering::Relaxed),
            "planning_ms": self.planned.get().map(millis),
            "first_row_ms": self.first_row.get().map(millis),
            "total_ms": millis(&self.elapsed()),
        });
        name_shards(&mut facts, shards.into_iter());
        facts
    }
}

fn millis(time: &Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
