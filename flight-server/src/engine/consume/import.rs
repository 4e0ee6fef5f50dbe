//! Positions that another system kept become a checkpoint's start.

use std::collections::BTreeMap;

use shard_reader::checkpoints::{Base, Consumer, Ends, OldPosition, ShardEnd};
use shard_reader::{Freshness, OnGap, Position, ShardId};
use tokio::time::Instant;

use super::super::error::EngineError;
use super::super::options::OptionValues;
use super::super::plan::Engine;
use super::super::statement_options::StatementOptions;
use super::positions::{StreamPositions, ms};
use super::steer::{Steered, checkpoint};

impl Engine {
    /// Lets a checkpoint start where another system's consumer had come to. Shards that are not named begin at their first record.
    ///
    /// # Errors
    /// ALREADY_EXISTS if the checkpoint has a past, unless `overwrite`.
    pub async fn import_checkpoint(
        &self,
        principal: &str,
        name: &str,
        table: &str,
        shards: &BTreeMap<ShardId, OldPosition>,
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
            whose: consumer.to_string(),
            arrived: Instant::now(),
            freshness: Freshness::Latest,
            on_gap: OnGap::Fail,
            reader,
        };
        let (tips, _) = positions.tips().await?;
        let now_ms = positions.reader.now_ms();
        let mut ends = BTreeMap::new();
        let mut unnamed = 0;
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
                None => {
                    unnamed += 1;
                    continue;
                }
            };
            ends.insert(pin.range.shard.clone(), end);
        }
        let taken = ends.len();
        // shards that the stream no longer has are left out: their records are gone
        let gone = shards.len() - taken;
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
            done: format!(
                "{taken} shards taken over; {unnamed} without a row begin at their first record; {gone} rows are of shards that the stream no longer has"
            ),
        })
    }
}
