//! Pins the snapshot of a statement: per stream once, whatever the number of references to it.

use std::collections::BTreeMap;

use catalog::{Start, TableName};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;
use futures::future::try_join_all;
use shard_reader::{Freshness, PinRequest, ScanStart, Snapshot};
use tokio::time::Instant;

use super::error::EngineError;
use super::options::Freshness as FreshnessOption;
use super::plan::Statement;
use super::scan::ArrivalBounds;
use super::table::StreamTable;

/// How much earlier than a lower bound on `_message_timestamp` reading starts: arrival times are not exactly in order.
const ARRIVAL_SLACK_MS: i64 = 10_000;

/// The streams that a plan scans, each once.
pub(super) fn scanned(plan: &LogicalPlan) -> Result<Vec<StreamTable>, EngineError> {
    let mut found: BTreeMap<TableName, StreamTable> = BTreeMap::new();
    each_scan(plan, |table, _| {
        found.insert(table.name().clone(), table);
    })?;
    Ok(found.into_values().collect())
}

fn each_scan(plan: &LogicalPlan, mut see: impl FnMut(StreamTable, ArrivalBounds)) -> Result<(), EngineError> {
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = StreamTable::of(provider.as_ref())
        {
            see(table, ArrivalBounds::from_filters(&scan.filters));
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// Pins every table that the statement scans and that no ticket has pinned.
pub(super) async fn pin(statement: &Statement, arrived: Instant) -> Result<(), EngineError> {
    let mut from: BTreeMap<TableName, i64> = BTreeMap::new();
    each_scan(&statement.plan, |table, bounds| {
        let lowest = from.entry(table.name().clone()).or_insert(i64::MAX);
        *lowest = (*lowest).min(bounds.from);
    })?;
    let mut by_stream: BTreeMap<(String, String), Vec<StreamTable>> = BTreeMap::new();
    for table in &statement.tables {
        by_stream.entry(table.stream_key().await?).or_default().push(table.clone());
    }
    let freshness = match statement.options.freshness {
        FreshnessOption::Latest => Freshness::Latest,
        FreshnessOption::Cached => Freshness::Cached,
        FreshnessOption::Within(age) => Freshness::Within(age),
    };
    let from = &from;
    let streams = by_stream.into_values().map(|tables| async move {
        let mut first: Option<Snapshot> = None;
        for table in tables {
            let bound = from.get(table.name()).copied().unwrap_or(i64::MIN);
            let start = start(statement, &table, bound);
            let mut snapshot = table.reader().await?.pin(&PinRequest { start, freshness, arrived }).await?;
            match &first {
                None => first = Some(snapshot.clone()),
                Some(first) => same_end(&mut snapshot, first),
            }
            table.pin(snapshot)?;
        }
        Ok::<(), EngineError>(())
    });
    try_join_all(streams).await?;
    Ok(())
}

/// Tables over one stream see the same end, whatever their starts.
fn same_end(snapshot: &mut Snapshot, first: &Snapshot) {
    snapshot.shards.retain_mut(|pin| {
        let Some(known) = first.shards.iter().find(|known| known.range.shard == pin.range.shard) else {
            return false;
        };
        pin.range.end = known.range.end;
        pin.range.start = pin.range.start.min(known.range.end);
        true
    });
}

fn start(statement: &Statement, table: &StreamTable, bound: i64) -> ScanStart {
    let now_ms = statement.now_ns / 1_000_000;
    let earliest = match statement.options.start.unwrap_or(table.definition().start) {
        Start::Latest => return ScanStart::Latest,
        Start::TrimHorizon => None,
        Start::Age(age) => Some(now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))),
        Start::Timestamp(time) => Some(time.timestamp_millis()),
    };
    let bound = (bound != i64::MIN && bound != i64::MAX && !table.counts_records()).then(|| bound.saturating_sub(ARRIVAL_SLACK_MS));
    match (earliest, bound) {
        (Some(earliest), Some(bound)) => ScanStart::Timestamp(earliest.max(bound)),
        (Some(only), None) | (None, Some(only)) => ScanStart::Timestamp(only),
        (None, None) => ScanStart::TrimHorizon,
    }
}
