//! What a planned query is to the protocol: its parts, one an endpoint, and what is said of its snapshot.

use std::sync::Arc;

use serde_json::{Value, json};
use shard_reader::ShardPin;

use super::api::{PinnedTable, QueryPart};
use super::cost::{ShardReading, Total};
use super::named_shards::name_shards;
use super::options::OptionValue;
use super::plan::Statement;
use super::table::StreamTable;

/// Endpoints of one result, unless the statement says otherwise: gateways cap the streams of a connection, and clients open all at once.
pub(super) const DEFAULT_MAX_ENDPOINTS: usize = 32;

/// What a statement may ask for: beyond that, FlightInfo is a burden of its own.
const MOST_ENDPOINTS: i64 = 1000;

/// A value of the option `max_endpoints`.
pub(super) fn endpoint_count(text: &str) -> Result<OptionValue, String> {
    match text.parse::<i64>() {
        Ok(number) if (1..=MOST_ENDPOINTS).contains(&number) => Ok(OptionValue::Int(number)),
        _ => Err(format!("`{text}` is no number from 1 to {MOST_ENDPOINTS}")),
    }
}

/// One endpoint a shard; with more shards than `most`, neighbours share one, evenly. An answer without shards still has an endpoint.
pub(super) fn endpoint_groups<T>(shards: Vec<T>, most: usize) -> Vec<Vec<T>> {
    let (all, groups) = (shards.len(), shards.len().min(most));
    let mut shards = shards.into_iter();
    let end = |group: usize| group * all / groups;
    (0..groups)
        .map(|group| shards.by_ref().take(end(group + 1) - end(group)).collect())
        .collect()
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
        history: table.history().map(|history| history.pinned.clone()),
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
    let histories: Vec<Value> = statement.named.iter().filter_map(history_facts).collect();
    if !histories.is_empty() {
        said["histories"] = histories.into();
    }
    said
}

fn history_facts(table: &StreamTable) -> Option<Value> {
    let history = table.history()?;
    Some(json!({
        "table": table.name().to_string(),
        "offload": history.pinned.offload,
        "version": history.pinned.version,
        "iteration": history.mark.iteration.0,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_has_an_endpoint_until_there_are_too_many() {
        assert_eq!(endpoint_groups::<u32>(Vec::new(), 32), Vec::<Vec<u32>>::new());
        assert_eq!(endpoint_groups(vec![1, 2, 3], 32), [[1], [2], [3]]);
        assert_eq!(endpoint_groups(vec![1, 2, 3, 4, 5], 2), [vec![1, 2], vec![3, 4, 5]]);
        let shared = endpoint_groups((0..100).collect(), 32);
        assert_eq!(shared.len(), 32);
        assert!(shared.iter().all(|group| group.len() == 3 || group.len() == 4), "{shared:?}");
        assert_eq!(shared.concat(), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn no_endpoint_is_no_number_of_endpoints() {
        assert_eq!(endpoint_count("1"), Ok(OptionValue::Int(1)));
        for wrong in ["0", "-1", "1001", "all"] {
            assert!(endpoint_count(wrong).is_err(), "{wrong}");
        }
    }
}
