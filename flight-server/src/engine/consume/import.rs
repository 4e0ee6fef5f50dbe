//! Positions that another system kept become a checkpoint's start.

use std::collections::{BTreeMap, BTreeSet};

use shard_reader::checkpoints::{Base, Consumer, Ends, OldPosition, ShardEnd, add_finished_parents};
use shard_reader::{Freshness, OnGap, Position, ShardId, ShardInfo};
use tokio::time::Instant;

use super::super::error::EngineError;
use super::super::options::OptionValues;
use super::super::plan::Engine;
use super::super::statement_options::StatementOptions;
use super::positions::{StreamPositions, WAYS_OF_CHECKPOINTS, ms};
use super::steer::{Steered, checkpoint};

/// Shards that the answer names.
const SHARDS_NAMED: usize = 10;

/// How far another system's consumer had come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldPositions {
    /// By shard.
    pub shards: BTreeMap<ShardId, OldPosition>,
    /// They are leases of the Kinesis Client Library, which drops those of shards that it has finished.
    pub are_leases: bool,
}

impl Engine {
    /// Lets a checkpoint start where another system's consumer had come to. Shards that are not named begin at their first record.
    ///
    /// # Errors
    /// ALREADY_EXISTS if the checkpoint has a past, unless `overwrite`. FAILED_PRECONDITION if none of the shards is the stream's.
    pub async fn import_checkpoint(
        &self,
        principal: &str,
        name: &str,
        table: &str,
        old: OldPositions,
        overwrite: bool,
    ) -> Result<Steered, EngineError> {
        let options = StatementOptions::resolve(&OptionValues::default())?;
        let reader = self.stream_of(&options, table).await?;
        let consumer = Consumer {
            name: checkpoint(name)?,
            stream: reader.arn().into(),
        };
        let store = self.consumers().store();
        let head = store.head(&consumer).await?;
        if head.is_some() && !overwrite {
            return Err(EngineError::Exists(format!("{consumer} has a past; --overwrite replaces it")));
        }
        let positions = StreamPositions {
            ways_on: WAYS_OF_CHECKPOINTS,
            whose: consumer.to_string(),
            arrived: Instant::now(),
            freshness: Freshness::Latest,
            on_gap: OnGap::Fail,
            reader,
        };
        let (tips, _) = positions.tips().await?;
        let now_ms = positions.reader.now_ms();
        let mut shards = old.shards;
        let named: BTreeSet<ShardId> = shards.keys().cloned().collect();
        if old.are_leases {
            let listed = positions.reader.shards().into_iter().map(|shard| shard.info);
            add_finished_parents(&mut shards, &listed.collect::<Vec<ShardInfo>>());
        }
        let gone = named
            .iter()
            .filter(|shard| !tips.shards.iter().any(|pin| pin.range.shard == **shard))
            .count();
        if gone == named.len() {
            return Err(EngineError::FailedPrecondition(format!(
                "none of the {gone} rows names a shard that stream {} has",
                consumer.stream
            )));
        }
        let mut ends = BTreeMap::new();
        let mut first = Vec::new();
        for pin in &tips.shards {
            let end = match shards.get(&pin.range.shard) {
                Some(OldPosition::At(position)) => ShardEnd {
                    position: *position,
                    closed_ms: None,
                },
                Some(OldPosition::ShardEnd) => ShardEnd {
                    position: pin.shard_end.map_or(pin.range.end, Position::after_record),
                    closed_ms: Some(now_ms),
                },
                Some(OldPosition::First) | None => {
                    first.push(pin.range.shard.to_string());
                    continue;
                }
            };
            ends.insert(pin.range.shard.clone(), end);
        }
        // records of shards that the stream no longer has are gone
        let done = told(ends.len(), &first, gone);
        let base = Base {
            ends: Ends {
                as_of_ms: None,
                retention_ms: ms(positions.reader.retention()),
                shards: ends,
            },
            stated: "import".into(),
            at_ms: now_ms,
        };
        let seen = head.as_ref().map(|head| head.version);
        let head = store
            .set_base(&consumer, positions.reader.identity(), seen, &base, principal)
            .await?;
        Ok(Steered {
            consumer,
            next: Some(head.next),
            done,
        })
    }
}

fn told(taken: usize, first: &[String], gone: usize) -> String {
    let mut told = format!("{taken} shards taken over");
    if !first.is_empty() {
        let names = first[..first.len().min(SHARDS_NAMED)].join(", ");
        let more = match first.len().saturating_sub(SHARDS_NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        told += &format!("; {} begin at their first record: {names}{more}", first.len());
    }
    if gone > 0 {
        told += &format!("; {gone} rows are of shards that the stream no longer has");
    }
    told
}
