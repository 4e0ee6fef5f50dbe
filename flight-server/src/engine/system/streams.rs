//! Streams that this process reads or has read.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;
use shard_reader::ShardFacts;

use super::super::error::EngineError;
use super::columns::{number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct Streams;

struct Row {
    name: String,
    arn: String,
    created_ms: i64,
    retention_hours: u64,
    on_demand: bool,
    shards: Vec<ShardFacts>,
}

impl Row {
    fn sum(&self, value: impl Fn(&ShardFacts) -> u64) -> Option<u64> {
        Some(self.shards.iter().map(value).sum())
    }

    fn closed(&self) -> usize {
        self.shards.iter().filter(|shard| shard.info.ending_sequence.is_some()).count()
    }
}

#[async_trait]
impl SystemTable for Streams {
    fn name(&self) -> &'static str {
        "streams"
    }

    fn comment(&self) -> &'static str {
        "streams that were read since the server started"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("stream"),
            text_field("arn"),
            time_field("created"),
            text_field("capacity"),
            number_field("retention_hours"),
            number_field("shards"),
            number_field("open_shards"),
            number_field("closed_shards"),
            number_field("records_fetched"),
            number_field("bytes_fetched"),
            number_field("records_held"),
            number_field("bytes_held"),
            number_field("lag_ms"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows: Vec<Row> = facts
            .streams()
            .iter()
            .map(|stream| Row {
                name: stream.name().to_owned(),
                arn: stream.arn().to_owned(),
                created_ms: stream.identity().created_ms,
                retention_hours: stream.retention().as_secs() / 3600,
                on_demand: stream.on_demand(),
                shards: stream.shards(),
            })
            .collect();
        rows.sort_by(|left, right| (&left.name, &left.arn, left.created_ms).cmp(&(&right.name, &right.arn, right.created_ms)));
        Ok(vec![
            text(&rows, |row| Some(&row.name)),
            text(&rows, |row| Some(&row.arn)),
            time(&rows, |row| Some(row.created_ms)),
            text(&rows, |row| Some(if row.on_demand { "on_demand" } else { "provisioned" })),
            number(&rows, |row| Some(row.retention_hours)),
            number(&rows, |row| Some(row.shards.len())),
            number(&rows, |row| Some(row.shards.len() - row.closed())),
            number(&rows, |row| Some(row.closed())),
            number(&rows, |row| row.sum(|shard| shard.counters.records_fetched)),
            number(&rows, |row| row.sum(|shard| shard.counters.bytes_fetched)),
            number(&rows, |row| row.sum(|shard| shard.records)),
            number(&rows, |row| row.sum(|shard| shard.bytes)),
            number(&rows, |row| row.shards.iter().filter_map(|shard| shard.millis_behind).max()),
        ])
    }
}
