//! Shards of the streams that this process reads.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;
use shard_reader::ShardFacts;

use super::super::error::EngineError;
use super::columns::{flag, millis, number, number_field, text, text_field};
use super::{Facts, SystemTable};

/// The owner where there is no other node.
const LOCAL: &str = "local";

#[derive(Debug)]
pub(super) struct Shards;

struct Row {
    stream: String,
    shard: ShardFacts,
    /// The node that reads it, as this one sees it.
    owner: String,
}

#[async_trait]
impl SystemTable for Shards {
    fn name(&self) -> &'static str {
        "shards"
    }

    fn comment(&self) -> &'static str {
        "shards of these streams: lineage, lag, what is held, what was done for them"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("stream"),
            text_field("shard"),
            text_field("parent"),
            text_field("adjacent_parent"),
            text_field("hash_start"),
            text_field("hash_end"),
            text_field("starting_sequence"),
            text_field("ending_sequence"),
            text_field("state"),
            text_field("first"),
            text_field("tip"),
            number_field("tip_age_ms"),
            number_field("millis_behind"),
            number_field("segments"),
            number_field("records_held"),
            number_field("bytes_held"),
            number_field("scans"),
            text_field("owner"),
            text_field("reading"),
            Field::new("running", datafusion::arrow::datatypes::DataType::Boolean, true),
            number_field("get_records_calls"),
            number_field("records_fetched"),
            number_field("records_refetched"),
            number_field("bytes_fetched"),
            number_field("throttles"),
            number_field("iterator_expiries"),
            number_field("gaps"),
            text_field("failing"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows: Vec<Row> = facts
            .streams()
            .iter()
            .flat_map(|stream| {
                stream.shards().into_iter().map(|shard| Row {
                    stream: stream.name().to_owned(),
                    owner: facts.nodes.owner(stream.arn(), &shard.info.id).unwrap_or_else(|| LOCAL.to_owned()),
                    shard,
                })
            })
            .collect();
        rows.sort_by(|left, right| (&left.stream, &left.shard.info.id).cmp(&(&right.stream, &right.shard.info.id)));
        Ok(vec![
            text(&rows, |row| Some(&row.stream)),
            text(&rows, |row| Some(&row.shard.info.id)),
            text(&rows, |row| row.shard.info.parent.as_ref()),
            text(&rows, |row| row.shard.info.adjacent_parent.as_ref()),
            text(&rows, |row| Some(row.shard.info.hash_start)),
            text(&rows, |row| Some(row.shard.info.hash_end)),
            text(&rows, |row| row.shard.info.starting_sequence),
            text(&rows, |row| row.shard.info.ending_sequence),
            text(&rows, |row| Some(row.shard.state)),
            text(&rows, |row| row.shard.first),
            text(&rows, |row| row.shard.tip),
            number(&rows, |row| row.shard.tip_age.map(millis)),
            number(&rows, |row| row.shard.millis_behind),
            number(&rows, |row| Some(row.shard.segments)),
            number(&rows, |row| Some(row.shard.records)),
            number(&rows, |row| Some(row.shard.bytes)),
            number(&rows, |row| Some(row.shard.scans)),
            text(&rows, |row| Some(&row.owner)),
            text(&rows, |row| Some(row.shard.read_by)),
            flag(&rows, |row| Some(row.shard.running)),
            number(&rows, |row| Some(row.shard.counters.get_records_calls)),
            number(&rows, |row| Some(row.shard.counters.records_fetched)),
            number(&rows, |row| Some(row.shard.counters.records_refetched)),
            number(&rows, |row| Some(row.shard.counters.bytes_fetched)),
            number(&rows, |row| Some(row.shard.counters.throttles)),
            number(&rows, |row| Some(row.shard.counters.iterator_expiries)),
            number(&rows, |row| Some(row.shard.counters.gaps)),
            text(&rows, |row| row.shard.failing.as_ref()),
        ])
    }
}
