//! Named consumers: how far each has come, and who is at work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;
use shard_reader::checkpoints::{CheckpointStore, Consumer, Ends, Head, IterationStart};
use shard_reader::{ShardFacts, StreamReader};

use super::super::error::EngineError;
use super::columns::{number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct Checkpoints;

struct Row {
    consumer: Consumer,
    head: Head,
    ends: Option<Ends>,
    lag_ms: Option<i64>,
}

#[async_trait]
impl SystemTable for Checkpoints {
    fn name(&self) -> &'static str {
        "checkpoints"
    }

    fn comment(&self) -> &'static str {
        "named consumers and how far they have come"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("checkpoint"),
            text_field("stream"),
            time_field("stream_created"),
            number_field("committed_iteration"),
            time_field("committed_at"),
            number_field("next_iteration"),
            number_field("open_iteration"),
            time_field("opened_at"),
            text_field("owner"),
            number_field("shards"),
            time_field("complete_to"),
            number_field("lag_ms"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let streams = facts.readers.streams();
        let mut rows = Vec::new();
        for (consumer, head) in facts.checkpoints.consumers().await? {
            if !facts.sees(&consumer) {
                continue;
            }
            let ends = starts_at(facts.checkpoints.as_ref(), &consumer, head.start).await?;
            let reader = streams.iter().find(|reader| *reader.identity() == head.stream);
            let lag_ms = ends.as_ref().and_then(|ends| lag_ms(ends, reader));
            rows.push(Row {
                consumer,
                head,
                ends,
                lag_ms,
            });
        }
        Ok(vec![
            text(&rows, |row| Some(row.consumer.name.as_str())),
            text(&rows, |row| Some(&row.consumer.stream)),
            time(&rows, |row| Some(row.head.stream.created_ms)),
            number(&rows, |row| row.head.committed.as_ref().map(|(number, ..)| number.0)),
            time(&rows, |row| row.head.committed.as_ref().map(|(_, _, at_ms)| *at_ms)),
            number(&rows, |row| Some(row.head.next.0)),
            number(&rows, |row| row.head.open.as_ref().map(|open| open.number.0)),
            time(&rows, |row| row.head.open.as_ref().map(|open| open.opened_ms)),
            text(&rows, |row| row.head.open.as_ref().map(|open| &open.owner.0)),
            number(&rows, |row| row.ends.as_ref().map(|ends| ends.shards.len())),
            time(&rows, |row| row.ends.as_ref().and_then(|ends| ends.as_of_ms)),
            number(&rows, |row| row.lag_ms),
        ])
    }
}

/// The ends that an iteration follows on, if they are kept.
pub(super) async fn starts_at(
    store: &dyn CheckpointStore,
    consumer: &Consumer,
    start: IterationStart,
) -> Result<Option<Ends>, EngineError> {
    Ok(match start {
        IterationStart::Base(number) => store.base(consumer, number).await?.map(|base| base.ends),
        IterationStart::After(number) => store.iteration(consumer, number).await?.map(|before| before.ends),
    })
}

/// An idle shard is asked for its tip once in half a minute: one that is known for no longer than this counts as its tip now (ms).
const TIP_IS_FRESH_MS: i64 = 60_000;

/// How long ago everything was consumed; 0 where this process knows of nothing behind the ends.
fn lag_ms(ends: &Ends, reader: Option<&Arc<StreamReader>>) -> Option<i64> {
    let reader = reader?;
    let since_pinned = ends.as_of_ms.map(|as_of| reader.now_ms().saturating_sub(as_of).max(0));
    let shards = reader.shards();
    let since_seen = if shards.is_empty() { None } else { since_at_end(ends, &shards) };
    match since_seen {
        Some(age) if age <= TIP_IS_FRESH_MS => Some(0),
        Some(age) => Some(since_pinned.map_or(age, |pinned| pinned.min(age))),
        None => since_pinned,
    }
}

/// For how long (ms) nobody has looked whether there is something behind the ends; `None` where there is, or where it is not known.
fn since_at_end(ends: &Ends, shards: &[ShardFacts]) -> Option<i64> {
    shards.iter().try_fold(0, |longest, shard| {
        let consumed = ends.shards.get(&shard.info.id)?.position;
        let (tip, age) = (shard.tip?, shard.tip_age?);
        let age = if shard.state == "closed" { Duration::ZERO } else { age };
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        (consumed >= tip).then_some(longest.max(age))
    })
}

#[cfg(test)]
mod tests {
    use shard_reader::checkpoints::ShardEnd;
    use shard_reader::{Position, SequenceNumber, ShardCounters, ShardInfo};

    use super::*;

    fn shard(number: u64, state: &'static str, tip: Option<u64>, age: u64) -> ShardFacts {
        ShardFacts {
            info: ShardInfo {
                id: number.to_string().as_str().into(),
                parent: None,
                adjacent_parent: None,
                hash_start: 0,
                hash_end: 0,
                starting_sequence: None,
                ending_sequence: None,
            },
            state,
            running: true,
            read_by: "polling",
            first: None,
            tip: tip.map(|tip| Position::after_record(SequenceNumber::from(tip))),
            tip_age: tip.map(|_| Duration::from_secs(age)),
            millis_behind: None,
            segments: 0,
            records: 0,
            bytes: 0,
            scans: 0,
            counters: ShardCounters::default(),
            failing: None,
        }
    }

    #[test]
    fn a_tip_counts_for_as_long_as_somebody_looks() {
        let end = |number: u64, sequence: u64| {
            let end = ShardEnd {
                position: Position::after_record(SequenceNumber::from(sequence)),
                closed_ms: None,
            };
            (number.to_string().as_str().into(), end)
        };
        let ends = Ends {
            as_of_ms: None,
            retention_ms: 0,
            shards: [end(0, 10), end(1, 20)].into(),
        };
        let closed = shard(0, "closed", Some(10), 5_000);
        assert_eq!(
            since_at_end(&ends, &[closed.clone(), shard(1, "tailing", Some(20), 7)]),
            Some(7_000)
        );
        assert_eq!(since_at_end(&ends, &[closed.clone(), shard(1, "tailing", Some(21), 0)]), None);
        assert_eq!(since_at_end(&ends, &[closed.clone(), shard(1, "cold", None, 0)]), None);
        assert_eq!(since_at_end(&ends, &[closed, shard(2, "tailing", Some(1), 0)]), None, "a new shard");
    }
}
