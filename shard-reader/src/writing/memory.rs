//! Putting into a memory stream.

use async_trait::async_trait;

use super::sink::{Acknowledgement, EntryOutcome, OutgoingRecord, RecordSink};
use crate::aggregation::hash_of_partition_key;
use crate::memory::PutFate;
use crate::{MemorySource, SourceError, SourceErrorKind};

#[async_trait]
impl RecordSink for MemorySource {
    async fn put(&self, stream: &str, records: &[OutgoingRecord]) -> Result<Vec<EntryOutcome>, SourceError> {
        tokio::time::sleep(self.next_delay()).await;
        let fate = self.put_fate(stream)?;
        if let PutFate::Fail(kind) = fate {
            return Err(SourceError::new(kind, format!("scripted: {kind:?}")));
        }
        let outcomes = records.iter().enumerate().map(|(index, record)| {
            if let PutFate::Refuse { every } = fate
                && index % every == 0
            {
                return Err(SourceError::new(
                    SourceErrorKind::Throttled,
                    "ProvisionedThroughputExceededException",
                ));
            }
            let hash = record.explicit_hash_key.unwrap_or_else(|| hash_of_partition_key(&record.key));
            let shard = self
                .shard_of(hash)
                .ok_or_else(|| SourceError::new(SourceErrorKind::Invalid, "no shard takes the record"))?;
            match self.put(&shard, &record.key, &record.data) {
                Some(sequence) => Ok(Acknowledgement { shard, sequence }),
                None => Err(SourceError::new(SourceErrorKind::Unavailable, "the shard was closed")),
            }
        });
        let outcomes = outcomes.collect();
        match fate {
            PutFate::Lost => Err(SourceError::new(SourceErrorKind::Unavailable, "the reply was lost")),
            _ => Ok(outcomes),
        }
    }

    async fn create(&self, _: &str, _: Option<u32>) -> Result<(), SourceError> {
        self.revive();
        Ok(())
    }
}
