//! What a planned query is to the protocol: its parts, one an endpoint, and what is said of its snapshot.

use std::sync::Arc;

use serde_json::{Value, json};
use shard_reader::ShardPin;

use super::api::{PinnedTable, QueryPart};
use super::cost::{ShardReading, Total};
use super::named_shards::name_shards;
use super::plan::Statement;
use super::table::StreamTable;

/// Endpoints of one result at most: gateways cap the streams of a connection, and clients open all at once.
const MAX_ENDPOINTS: usize = 100;

/// One endpoint a shard; beyond the cap, neighbours share one. An answer without shards still has an endpoint.
pub(super) fn endpoint_groups(pins: Vec<ShardPin>) -> Vec<Vec<ShardPin>> {
    if pins.is_empty() {
        return Vec::new();
    }
    let size = pins.len().div_ceil(MAX_ENDPOINTS);
    let mut groups: Vec<Vec<ShardPin>> = Vec::with_capacity(pins.len().div_ceil(size));
    for pin in pins {
        match groups.last_mut() {
            Some(group) if group.len() < size => group.push(pin),
            _ => groups.push(vec![pin]),
        }
    }
    groups
}

pub(super) fn split_parts(whole: QueryPart, groups: Vec<Vec<ShardPin>>) -> Vec<QueryPart> {
    let parts = u32::try_from(groups.len()).unwrap_or(u32::MAX);
    let mut without_shards = QueryPart { parts, ..whole };
    for snapshot in without_shards.tables.iter_mut().filter_map(|table| table.snapshot.as_mut()) {
        snapshot.shards = Vec::new();
    }
    let part = |(part, shards): (u32, Vec<ShardPin>)| {
        let mut own = QueryPart {
            part,
            ..without_shards.clone()
        };
        for snapshot in own.tables.iter_mut().filter_map(|table| table.snapshot.as_mut()) {
            snapshot.shards.clone_from(&shards);
        }
        own
    };
    (0..parts).zip(groups).map(part).collect()
}

pub(super) fn pinned(table: &StreamTable) -> PinnedTable {
    PinnedTable {
        name: table.name().clone(),
        definition: Arc::clone(table.definition()),
        snapshot: table.snapshot().cloned(),
    }
}

pub(super) fn snapshot_facts(query_id: &str, readings: &[ShardReading], total: &Total, statement: &Statement) -> Value {
    let mut said = json!({
        "query_id": query_id,
        "rows": Value::Null,
        "bytes_cached": total.bytes_cached(),
        "bytes_read": 0,
        "bytes_to_read": total.bytes_to_read,
        "planning_ms": statement.facts.elapsed().as_millis() as u64,
    });
    let shards = readings.iter().map(|reading| {
        let mut facts = reading.facts();
        if statement.follow {
            facts["to"] = Value::Null;
            facts["complete"] = false.into();
            facts["reason"] = "followed".into();
        }
        facts
    });
    name_shards(&mut said, shards);
    if statement.follow {
        said["follow"] = true.into();
    }
    said
}
