//! EXPLAIN and EXPLAIN ANALYZE: beside the plan, what it reads or has read, shard by shard.

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray};
use datafusion::common::format::ExplainFormat;
use datafusion::logical_expr::LogicalPlan;
use futures::StreamExt;
use futures::stream;
use serde_json::{Map, Value, json};

use super::cost::{self, Prices, ShardReading, Total};
use super::distribution::Distribution;
use super::error::EngineError;
use super::facts::ExecutionFacts;
use super::plan::Statement;

/// Shards of which a page is read where nothing else tells; and how many at once.
const PROBES: usize = 64;
const PROBES_AT_ONCE: usize = 16;
/// A page takes no longer, or the shard's figures stay unknown.
const PROBE_TIME: Duration = Duration::from_secs(10);

/// A statement that explains another.
pub(super) enum Explained {
    /// Without running it.
    Plan { plan: Arc<LogicalPlan>, json: bool },
    /// After running it.
    Run { json: bool },
}

/// What a plan explains, if it does.
pub(super) fn explained(plan: &LogicalPlan) -> Option<Explained> {
    match plan {
        LogicalPlan::Explain(explain) => Some(Explained::Plan {
            plan: Arc::clone(&explain.plan),
            json: explain.explain_format == ExplainFormat::PostgresJSON,
        }),
        LogicalPlan::Analyze(analyze) => Some(Explained::Run {
            json: analyze.format == ExplainFormat::PostgresJSON,
        }),
        _ => None,
    }
}

/// Rows about what the explained plan would read.
pub(super) async fn snapshot_rows(
    statement: &Statement,
    plan: &LogicalPlan,
    json: bool,
    prices: &Prices,
    distribution: Option<&dyn Distribution>,
) -> Result<RecordBatch, EngineError> {
    let state = &statement.state;
    let physical = state.query_planner().create_physical_plan(plan, state).await?;
    let readings = probed(cost::readings(&physical)).await;
    let mut rows: Vec<(&str, Value)> = readings.iter().map(|reading| ("snapshot", of_shard(reading, prices))).collect();
    let total = Total::of(&readings, prices);
    let mut all = json!({
        "shards": readings.len(),
        "memory": total.bytes_in_memory,
        "stored": total.bytes_stored,
        "to_read": total.bytes_to_read,
        "calls": total.calls,
        "seconds": total.time.map(seconds),
        "dollars": total.dollars,
    });
    if let (Err(refused), Some(all)) = (cost::check(&readings, &statement.options), all.as_object_mut()) {
        all.insert("limit".into(), refused.to_string().into());
    }
    rows.push(("snapshot_total", all));
    if let Some(distribution) = distribution
        && let Some(spread) = distribution.spread(physical, state, Arc::default()).await?
    {
        rows.push(("distributed_plan", distribution.explained(&spread).into()));
    }
    batch(&rows, json)
}

/// Where nothing tells what a shard holds, one page of it is read; it stays cached, so a statement that follows reads it no more.
async fn probed(readings: Vec<ShardReading>) -> Vec<ShardReading> {
    let mut left = PROBES;
    let probes = readings.into_iter().map(|mut reading| {
        let wanted = reading.estimate.bytes_to_read.is_none() && left > 0;
        left -= usize::from(wanted);
        async move {
            if wanted {
                match tokio::time::timeout(PROBE_TIME, reading.reader.probe(reading.pin.range.clone())).await {
                    Ok(Ok(read)) => {
                        reading.probed = read;
                        reading.estimate = reading.reader.estimate(&reading.pin.range);
                    }
                    Ok(Err(error)) => tracing::debug!(%error, "no page for an estimate"),
                    Err(_) => tracing::debug!(shard = %reading.pin.range.shard, "no page for an estimate in time"),
                }
            }
            reading
        }
    });
    stream::iter(probes).buffered(PROBES_AT_ONCE).collect().await
}

fn of_shard(reading: &ShardReading, prices: &Prices) -> Value {
    let estimate = &reading.estimate;
    json!({
        "table": reading.table.to_string(),
        "stream": reading.reader.name(),
        "shard": reading.pin.range.shard,
        "from": reading.pin.range.start,
        "to": reading.pin.range.end,
        "tip": format!("{:?}", reading.pin.tip).to_lowercase(),
        "memory": estimate.bytes_in_memory,
        "stored": estimate.bytes_stored,
        "to_read": estimate.bytes_to_read,
        "calls": estimate.calls,
        "seconds": estimate.time.map(seconds),
        "dollars": reading.dollars(prices),
        "source": reading.source(),
    })
}

/// Rows about what a plan that ran has read.
pub(super) fn read_rows(facts: &ExecutionFacts, json: bool) -> Result<RecordBatch, EngineError> {
    let shards = facts.shards();
    let mut rows: Vec<(&str, Value)> = shards
        .iter()
        .map(|shard| {
            let read = json!({
                "table": shard.table.to_string(),
                "shard": shard.range.shard,
                "from": shard.range.start,
                "to": shard.to,
                "complete": shard.complete,
                "reason": shard.reason,
                "records": shard.totals.records,
                "cached": shard.totals.bytes_cached,
                "read": shard.totals.bytes_read,
                "calls": shard.totals.calls,
            });
            ("read", read)
        })
        .collect();
    let meter = facts.meter();
    rows.push((
        "read_total",
        json!({
            "shards": shards.len(),
            "records": shards.iter().map(|shard| shard.totals.records).sum::<u64>(),
            "cached": meter.bytes_cached(),
            "read": meter.bytes_read(),
            "calls": meter.calls(),
            "planning_ms": facts.planning().map(|time| time.as_millis() as u64),
            "total_ms": facts.elapsed().as_millis() as u64,
        }),
    ));
    batch(&rows, json)
}

fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}

fn batch(rows: &[(&str, Value)], json: bool) -> Result<RecordBatch, EngineError> {
    let kinds: StringArray = rows.iter().map(|(kind, _)| Some(*kind)).collect();
    let plans: StringArray = rows
        .iter()
        .map(|(_, row)| {
            Some(match row {
                Value::String(text) if !json => text.clone(),
                row if json => row.to_string(),
                row => in_words(row.as_object()),
            })
        })
        .collect();
    RecordBatch::try_from_iter([("plan_type", Arc::new(kinds) as ArrayRef), ("plan", Arc::new(plans) as ArrayRef)])
        .map_err(|error| EngineError::Internal(error.to_string()))
}

/// `name=value` after `name=value`.
fn in_words(row: Option<&Map<String, Value>>) -> String {
    let value = |value: &Value| match value {
        Value::Null => "unknown".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let pairs = row.into_iter().flatten().map(|(name, known)| format!("{name}={}", value(known)));
    pairs.collect::<Vec<_>>().join(", ")
}
