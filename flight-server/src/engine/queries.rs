//! Statements that are planned, run or ran lately: for `kinesis.system.queries`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::audit::{AuditEvent, AuditLog, origin};
use super::error::{EngineError, ErrorCategory};
use super::facts::ExecutionFacts;

/// Bytes of a statement's text that are kept.
const SQL_KEPT: usize = 4096;

/// All of them, the oldest forgotten first.
#[derive(Debug)]
pub(super) struct Queries {
    most: usize,
    known: Mutex<Known>,
    audit: Arc<AuditLog>,
}

#[derive(Debug, Default)]
struct Known {
    order: VecDeque<String>,
    by_id: HashMap<String, Entry>,
    planning: BTreeMap<String, (QueryRow, CancellationToken)>,
    streams: u64,
}

#[derive(Debug)]
struct Entry {
    row: QueryRow,
    parts: u32,
    delivered: BTreeSet<u32>,
    running: Vec<(u64, Arc<ExecutionFacts>)>,
    /// Ends the streams that run now.
    token: CancellationToken,
}

/// A statement, as it stands.
#[derive(Debug, Clone)]
pub(super) struct QueryRow {
    pub(super) id: String,
    pub(super) principal: String,
    pub(super) sql: String,
    pub(super) kind: &'static str,
    /// `planning`, `planned` (nobody fetches at the moment), `running`, `done`, `failed`, `cancelled`.
    pub(super) state: &'static str,
    /// When it arrived, ms since the epoch.
    pub(super) started_ms: i64,
    /// When its last stream ended.
    pub(super) ended_ms: Option<i64>,
    pub(super) rows: u64,
    pub(super) bytes_cached: u64,
    pub(super) bytes_read: u64,
    /// Bytes that its snapshot holds, as estimated when it was planned.
    pub(super) bytes_expected: Option<u64>,
    pub(super) error: Option<String>,
}

/// What a statement is when it arrives.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) id: String,
    pub(super) principal: String,
    pub(super) sql: String,
    pub(super) kind: &'static str,
    pub(super) parts: u32,
    pub(super) bytes_expected: Option<u64>,
    /// Tables that it names, as far as that was found out.
    pub(super) tables: Vec<String>,
}

impl Queries {
    /// Keeps so many; all of them are taken down in the audit log.
    pub(super) fn new(most: usize, audit: Arc<AuditLog>) -> Arc<Self> {
        Arc::new(Self {
            most,
            known: Mutex::default(),
            audit,
        })
    }

    /// A statement is planned, and will be fetched.
    pub(super) fn planned(&self, arrival: Arrival) {
        self.audit_arrival(&arrival, "planned", None);
        self.add(arrival, "planned", None);
    }

    /// A statement ran when it was planned, or failed there.
    pub(super) fn ended(&self, arrival: Arrival, error: Option<&EngineError>) {
        let state = error.map_or("done", state_of);
        self.audit_arrival(&arrival, state, error);
        self.add(arrival, state, error);
    }

    fn audit_arrival(&self, arrival: &Arrival, outcome: &str, error: Option<&EngineError>) {
        self.audit.record(&AuditEvent::Statement {
            principal: &arrival.principal,
            query_id: &arrival.id,
            kind: arrival.kind,
            tables: &arrival.tables,
            endpoints: arrival.parts,
            outcome,
            error: error.map(EngineError::category),
            sql: &arrival.sql,
        });
    }

    /// A statement is being planned, or run where it is planned, until the guard is dropped.
    pub(super) fn planning(self: &Arc<Self>, arrival: &Arrival) -> Planning {
        let token = CancellationToken::new();
        let row = row(arrival.clone(), "planning", None);
        self.known.lock().planning.insert(arrival.id.clone(), (row, token.clone()));
        Planning {
            queries: Arc::clone(self),
            arrival: Some(arrival.clone()),
            token,
        }
    }

    /// Cancels what runs of a statement, if `may` says so of whose it is. A stream that is opened later is a new run.
    pub(super) fn cancel(&self, id: &str, may: impl FnOnce(&str) -> bool) -> CancelOutcome {
        let mut known = self.known.lock();
        let known = &mut *known;
        if let Some((row, token)) = known.planning.get(id) {
            if !may(&row.principal) {
                return CancelOutcome::Unknown;
            }
            token.cancel();
            return CancelOutcome::Cancelled;
        }
        match known.by_id.get_mut(id) {
            Some(entry) if may(&entry.row.principal) => {
                if entry.running.is_empty() {
                    return CancelOutcome::NotRunning;
                }
                std::mem::take(&mut entry.token).cancel();
                CancelOutcome::Cancelled
            }
            _ => CancelOutcome::Unknown,
        }
    }

    fn add(&self, arrival: Arrival, state: &'static str, error: Option<&EngineError>) {
        let (id, parts) = (arrival.id.clone(), arrival.parts);
        let entry = Entry {
            row: row(arrival, state, error),
            parts,
            delivered: BTreeSet::new(),
            running: Vec::new(),
            token: CancellationToken::new(),
        };
        let mut known = self.known.lock();
        // What writes has read before, under the same id.
        if let Some(before) = known.by_id.get_mut(&id) {
            before.row.kind = entry.row.kind;
            before.row.state = entry.row.state;
            before.row.ended_ms = entry.row.ended_ms;
            before.row.error = entry.row.error;
            return;
        }
        known.order.push_back(id.clone());
        known.by_id.insert(id, entry);
        while known.order.len() > self.most {
            let oldest = known
                .order
                .iter()
                .position(|id| known.by_id.get(id).is_none_or(|entry| entry.running.is_empty()));
            let Some(id) = oldest.and_then(|at| known.order.remove(at)) else {
                break;
            };
            known.by_id.remove(&id);
        }
    }

    /// A stream of the statement begins. A statement that another process planned, or that was forgotten, is known from now on.
    pub(super) fn begin(
        self: &Arc<Self>,
        arrival: impl FnOnce() -> Arrival,
        id: &str,
        part: u32,
        facts: &Arc<ExecutionFacts>,
    ) -> PartGuard {
        if !self.known.lock().by_id.contains_key(id) {
            self.add(arrival(), "planned", None);
        }
        let mut known = self.known.lock();
        known.streams += 1;
        let stream = known.streams;
        let mut token = CancellationToken::new();
        if let Some(entry) = known.by_id.get_mut(id) {
            entry.running.push((stream, Arc::clone(facts)));
            entry.row.state = "running";
            entry.row.ended_ms = None;
            token = entry.token.clone();
        }
        PartGuard {
            queries: Arc::clone(self),
            id: id.to_owned(),
            part,
            stream,
            facts: Arc::clone(facts),
            token,
            outcome: None,
            origin: origin(),
        }
    }

    /// A stream of the statement could not begin.
    pub(super) fn failed(&self, id: &str, principal: &str, error: &EngineError) {
        self.audit.record(&AuditEvent::Fetch {
            principal,
            query_id: id,
            endpoint: None,
            outcome: state_of(error),
            error: Some(error.category()),
            rows: 0,
            bytes: 0,
        });
        if let Some(entry) = self.known.lock().by_id.get_mut(id) {
            entry.row.state = state_of(error);
            entry.row.error = Some(error.to_string());
            entry.row.ended_ms = Some(now_ms());
        }
    }

    /// As they stand, oldest first.
    pub(super) fn rows(&self) -> Vec<QueryRow> {
        let known = self.known.lock();
        let entries = known.order.iter().filter_map(|id| known.by_id.get(id));
        let entries = entries.map(|entry| {
            let mut row = entry.row.clone();
            for (_, facts) in &entry.running {
                add_facts(&mut row, facts);
            }
            row
        });
        entries.chain(known.planning.values().map(|(row, _)| row.clone())).collect()
    }
}

impl QueryRow {
    /// How much of what it reads was read; `None` where that is not known.
    pub(super) fn progress(&self) -> Option<f64> {
        match (self.state, self.bytes_expected) {
            ("done", _) => Some(1.0),
            (_, Some(expected)) if expected > 0 => Some(((self.bytes_cached + self.bytes_read) as f64 / expected as f64).min(1.0)),
            _ => None,
        }
    }
}

fn add_facts(row: &mut QueryRow, facts: &ExecutionFacts) {
    row.rows += facts.rows();
    row.bytes_cached += facts.meter().bytes_cached();
    row.bytes_read += facts.meter().bytes_read();
}

fn state_of(error: &EngineError) -> &'static str {
    if error.category() == ErrorCategory::Cancelled {
        "cancelled"
    } else {
        "failed"
    }
}

fn row(arrival: Arrival, state: &'static str, error: Option<&EngineError>) -> QueryRow {
    let now = now_ms();
    let mut sql = arrival.sql;
    sql.truncate(sql.floor_char_boundary(SQL_KEPT));
    QueryRow {
        id: arrival.id,
        principal: arrival.principal,
        sql,
        kind: arrival.kind,
        state,
        started_ms: now,
        ended_ms: (!matches!(state, "planned" | "planning")).then_some(now),
        rows: 0,
        bytes_cached: 0,
        bytes_read: 0,
        bytes_expected: arrival.bytes_expected,
        error: error.map(ToString::to_string),
    }
}

/// What came of cancelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CancelOutcome {
    /// It ran, and ends now.
    Cancelled,
    /// Nothing of it runs.
    NotRunning,
    /// There is no such statement, or it is somebody else's.
    Unknown,
}

/// A statement that is being planned. Dropped before [`Planning::end`] it was cancelled: its client went away.
#[derive(Debug)]
pub(super) struct Planning {
    queries: Arc<Queries>,
    arrival: Option<Arrival>,
    token: CancellationToken,
}

impl Planning {
    /// Cancelled when the statement is.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// Planning has ended.
    pub(super) fn end(mut self) {
        if let Some(arrival) = self.arrival.take() {
            self.queries.known.lock().planning.remove(&arrival.id);
        }
    }
}

impl Drop for Planning {
    fn drop(&mut self) {
        if let Some(arrival) = self.arrival.take() {
            self.queries.known.lock().planning.remove(&arrival.id);
            self.queries.ended(arrival, Some(&EngineError::Cancelled));
        }
    }
}

/// A stream of a statement, while it lives. Dropped before its end it was cancelled, or its client went away.
#[derive(Debug)]
pub(super) struct PartGuard {
    queries: Arc<Queries>,
    id: String,
    part: u32,
    stream: u64,
    facts: Arc<ExecutionFacts>,
    token: CancellationToken,
    outcome: Option<Result<(), EngineError>>,
    /// Where the call came from: its stream is polled by nobody in particular.
    origin: Option<Arc<str>>,
}

impl PartGuard {
    /// Cancelled when the statement is.
    pub(super) fn token(&self) -> CancellationToken {
        self.token.clone()
    }

    /// The stream ended.
    pub(super) fn end(&mut self, outcome: Result<(), EngineError>) {
        self.outcome.get_or_insert(outcome);
    }
}

impl PartGuard {
    fn audit(&self, principal: &str) {
        let (outcome, error) = match &self.outcome {
            Some(Ok(())) => ("done", None),
            Some(Err(error)) => (state_of(error), Some(error.category())),
            None => ("cancelled", None),
        };
        let event = AuditEvent::Fetch {
            principal,
            query_id: &self.id,
            endpoint: Some(self.part),
            outcome,
            error,
            rows: self.facts.rows(),
            bytes: self.facts.meter().bytes_cached() + self.facts.meter().bytes_read(),
        };
        self.queries.audit.record_from(self.origin.as_deref(), &event);
    }
}

impl Drop for PartGuard {
    fn drop(&mut self) {
        let queries = Arc::clone(&self.queries);
        let mut known = queries.known.lock();
        let Some(entry) = known.by_id.get_mut(&self.id) else { return };
        self.audit(&entry.row.principal);
        entry.running.retain(|(stream, _)| *stream != self.stream);
        add_facts(&mut entry.row, &self.facts);
        match self.outcome.take() {
            Some(Ok(())) => {
                entry.delivered.insert(self.part);
            }
            Some(Err(error)) => {
                entry.row.state = state_of(&error);
                entry.row.error = Some(error.to_string());
            }
            None => entry.row.state = "cancelled",
        }
        if !entry.running.is_empty() {
            return;
        }
        if entry.row.state == "running" {
            let all = u32::try_from(entry.delivered.len()).is_ok_and(|delivered| delivered >= entry.parts);
            entry.row.state = if all { "done" } else { "planned" };
        }
        entry.row.ended_ms = (entry.row.state != "planned").then(now_ms);
    }
}

/// Ms since the epoch.
pub(super) fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_millis()).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use shard_reader::StatementMeter;

    use super::*;
    use crate::engine::OnLimit;

    fn arrival(id: &str, parts: u32) -> Arrival {
        Arrival {
            id: id.into(),
            principal: "p".into(),
            sql: "select 1".into(),
            kind: "query",
            parts,
            bytes_expected: Some(100),
            tables: Vec::new(),
        }
    }

    fn facts() -> Arc<ExecutionFacts> {
        ExecutionFacts::new("q".into(), StatementMeter::new(u64::MAX, None), OnLimit::Fail)
    }

    fn state(queries: &Queries, id: &str) -> &'static str {
        queries.rows().iter().find(|row| row.id == id).map_or("unknown", |row| row.state)
    }

    #[test]
    fn a_statement_is_done_when_all_its_parts_were_delivered() {
        let queries = Queries::new(10, AuditLog::off());
        queries.planned(arrival("q", 2));
        let mut first = queries.begin(|| arrival("q", 2), "q", 0, &facts());
        let mut second = queries.begin(|| arrival("q", 2), "q", 1, &facts());
        assert_eq!(state(&queries, "q"), "running");
        first.end(Ok(()));
        drop(first);
        assert_eq!(state(&queries, "q"), "running");
        second.end(Ok(()));
        drop(second);
        assert_eq!(state(&queries, "q"), "done");
        let mut again = queries.begin(|| arrival("q", 2), "q", 0, &facts());
        again.end(Err(EngineError::Invalid("why".into())));
        drop(again);
        assert_eq!(state(&queries, "q"), "failed");
        drop(queries.begin(|| arrival("other", 1), "other", 0, &facts()));
        assert_eq!(state(&queries, "other"), "cancelled");
    }

    #[test]
    fn the_oldest_are_forgotten_unless_they_run() {
        let queries = Queries::new(2, AuditLog::off());
        queries.planned(arrival("runs", 1));
        let running = queries.begin(|| arrival("runs", 1), "runs", 0, &facts());
        for id in ["a", "b", "c"] {
            queries.ended(arrival(id, 1), None);
        }
        let ids: Vec<String> = queries.rows().into_iter().map(|row| row.id).collect();
        assert_eq!(ids, ["runs", "c"]);
        drop(running);
        queries.ended(arrival("d", 1), None);
        assert_eq!(state(&queries, "runs"), "unknown");
    }
}
