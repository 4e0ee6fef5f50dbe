//! Which shards share a partition, and where its rows end.

use datafusion::arrow::array::RecordBatch;
use datafusion::common::Result as DfResult;
use datafusion::physical_plan::execution_plan::Boundedness;
use futures::stream::{self, StreamExt};
use shard_reader::ShardPin;

/// Into how many partitions shards go: no more than there are shards, and at least `least`, so that a plan over an empty snapshot still runs.
pub(super) fn partition_count(shards: usize, target: usize, least: usize) -> usize {
    target.clamp(1, shards.max(1)).max(least)
}

/// A limit ends what has no end.
pub(super) fn boundedness(follow: bool, limit: Option<usize>) -> Boundedness {
    if follow && limit.is_none() {
        Boundedness::Unbounded {
            requires_infinite_memory: false,
        }
    } else {
        Boundedness::Bounded
    }
}

/// So many partitions, of which some may be empty; neighbours share one.
pub(super) fn partition(pins: Vec<ShardPin>, count: usize) -> Vec<Vec<ShardPin>> {
    let mut partitions: Vec<Vec<ShardPin>> = vec![Vec::new(); count];
    let total = pins.len().max(1);
    for (index, pin) in pins.into_iter().enumerate() {
        partitions[index * count / total].push(pin);
    }
    partitions
}

/// The first rows.
pub(super) fn limited(
    rows: impl futures::Stream<Item = DfResult<RecordBatch>> + Send + Unpin + 'static,
    limit: usize,
) -> impl futures::Stream<Item = DfResult<RecordBatch>> + Send {
    stream::try_unfold((rows, limit), |(mut rows, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        match rows.next().await {
            None => Ok(None),
            Some(Err(error)) => Err(error),
            Some(Ok(batch)) => {
                let batch = if batch.num_rows() > left { batch.slice(0, left) } else { batch };
                let left = left - batch.num_rows();
                Ok(Some((batch, (rows, left))))
            }
        }
    })
}
