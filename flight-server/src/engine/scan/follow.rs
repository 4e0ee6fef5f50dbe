//! The rows of a stream that is followed: as they come, filtered and projected like any other.

use std::collections::HashMap;
use std::slice;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result as DfResult;
use futures::stream::{self, BoxStream, StreamExt};
use shard_reader::{FollowScan, Followed, ScanTotals, SegmentSlice, ShardId, ShardPin};

use super::super::error::EngineError;
use super::super::facts::{ExecutionFacts, ScanSlot};
use super::rows::RowPlan;

struct FollowedRows {
    scan: FollowScan,
    rows: Arc<RowPlan>,
    facts: Arc<ExecutionFacts>,
    shards: HashMap<ShardId, FollowedShard>,
}

/// What was read of a shard so far.
struct FollowedShard {
    slot: ScanSlot,
    /// Rows that came before.
    before: i64,
    totals: ScanTotals,
}

/// The rows of `scan`; shards that the filters rule out are not read.
pub(super) fn rows(scan: FollowScan, rows: Arc<RowPlan>, facts: Arc<ExecutionFacts>) -> BoxStream<'static, DfResult<RecordBatch>> {
    let scan = if rows.counts_records() {
        scan
    } else {
        let plan = Arc::clone(&rows);
        scan.only(move |pin| !plan.pruning.shards(slice::from_ref(pin)).is_empty())
    };
    let state = FollowedRows {
        scan,
        rows,
        facts,
        shards: HashMap::new(),
    };
    stream::try_unfold(state, |mut state| async move { Ok(Some((state.next().await?, state))) }).boxed()
}

impl FollowedRows {
    async fn next(&mut self) -> DfResult<RecordBatch> {
        loop {
            match self.scan.next().await {
                Ok(Followed::Rows { shard, slice }) => {
                    if let Some(batch) = self.taken(&shard, &slice)? {
                        return Ok(batch);
                    }
                }
                Ok(Followed::Gap { shard, gap }) => {
                    let slot = self.shard(&shard).slot;
                    self.facts.gap(slot, &gap);
                }
                Ok(Followed::Ended { shard, position }) => {
                    let FollowedShard { slot, totals, .. } = *self.shard(&shard);
                    self.facts.done(slot, position, totals);
                }
                Err(error) => return Err(EngineError::from(error).into_datafusion()),
            }
        }
    }

    fn shard(&mut self, pin: &ShardPin) -> &mut FollowedShard {
        self.shards.entry(pin.range.shard.clone()).or_insert_with(|| FollowedShard {
            slot: self.facts.begin(&self.rows.table, pin),
            before: 0,
            totals: ScanTotals::default(),
        })
    }

    fn taken(&mut self, pin: &ShardPin, slice: &SegmentSlice) -> DfResult<Option<RecordBatch>> {
        let rows = Arc::clone(&self.rows);
        let records = slice.segment.records();
        let bytes = records.wire_bytes(slice.rows.clone());
        let shard = self.shard(pin);
        let produced = rows.rows(pin, slice, shard.before, rows.pruning.reach())?;
        shard.before = shard.before.saturating_add(i64::try_from(produced.rows).unwrap_or(i64::MAX));
        shard.totals.records += slice.rows.len() as u64;
        if slice.cached {
            shard.totals.bytes_cached += bytes;
        } else {
            shard.totals.bytes_read += bytes;
        }
        let (slot, totals) = (shard.slot, shard.totals);
        self.facts.left(slot, records.end_of(slice.rows.end - 1), totals);
        Ok(produced.batch)
    }
}
