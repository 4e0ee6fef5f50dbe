//! Records on their way, in batches that PutRecords takes.

use super::verify::Content;

/// PutRecords takes 500 records a call.
pub(crate) const MAX_RECORDS: usize = 500;
/// PutRecords takes 5 MiB a call, partition keys included (AWS raised it to 10 MiB; services that speak its protocol have not all followed).
pub(crate) const MAX_BYTES: usize = 5 << 20;

/// One record to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Partition key.
    pub(crate) key: String,
    /// Where it goes, if not where its partition key says.
    pub(crate) explicit_hash_key: Option<u128>,
    /// Payload.
    pub(crate) data: Vec<u8>,
    /// What must be found in it, if that is not just itself.
    pub(crate) content: Option<Content>,
}

impl Record {
    /// A record that is itself.
    pub(crate) const fn plain(key: String, data: Vec<u8>) -> Self {
        Self {
            key,
            explicit_hash_key: None,
            data,
            content: None,
        }
    }

    /// User records in it.
    pub(crate) fn users(&self) -> u64 {
        self.content.as_ref().map_or(1, Content::users)
    }

    /// What it counts against the limits.
    pub(crate) fn size(&self) -> usize {
        self.key.len() + self.data.len()
    }
}

/// Gathers records; hands out a batch as soon as the next record would break a limit.
#[derive(Debug)]
pub(crate) struct Batcher {
    records: Vec<Record>,
    bytes: usize,
    max_records: usize,
}

impl Batcher {
    /// At most `max_records` a batch (and never more than PutRecords takes).
    pub(crate) fn new(max_records: usize) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            max_records: max_records.clamp(1, MAX_RECORDS),
        }
    }

    /// Adds a record; returns the batch that is full, if one is. A record that alone breaks the limit of bytes is a batch of its own, for the
    /// service to judge.
    pub(crate) fn push(&mut self, record: Record) -> Option<Vec<Record>> {
        let size = record.size();
        let full = if self.bytes + size > MAX_BYTES { self.take() } else { None };
        self.bytes += size;
        self.records.push(record);
        // Both at once cannot be: a batch that was just taken leaves one record, and a limit of one record means it was empty before.
        full.or_else(|| {
            if self.records.len() >= self.max_records {
                self.take()
            } else {
                None
            }
        })
    }

    /// What is left.
    pub(crate) fn take(&mut self) -> Option<Vec<Record>> {
        self.bytes = 0;
        let records = std::mem::take(&mut self.records);
        (!records.is_empty()).then_some(records)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn batches_keep_to_the_limits_and_hold_every_record_in_order(
            sizes in prop::collection::vec(prop_oneof![4 => 0..2000_usize, 1 => 0..(3_usize << 20), 1 => Just(MAX_BYTES - 3), 1 => Just(MAX_BYTES + 1)], 0..60),
            max_records in 0..9_usize,
        ) {
            let records: Vec<_> = sizes.iter().enumerate().map(|(n, size)| Record::plain(format!("{n:03}"), vec![0; *size])).collect();
            let mut batcher = Batcher::new(max_records);
            let mut batches: Vec<_> = records.iter().cloned().filter_map(|record| batcher.push(record)).collect();
            batches.extend(batcher.take());
            for batch in &batches {
                let bytes: usize = batch.iter().map(|record| 3 + record.data.len()).sum();
                prop_assert!(!batch.is_empty() && batch.len() <= max_records.max(1));
                prop_assert!(bytes <= 5_242_880 || batch.len() == 1, "{bytes} bytes in {} records", batch.len());
            }
            prop_assert_eq!(batches.concat(), records);
        }
    }

    #[test]
    fn five_hundred_small_records_are_one_batch() {
        let mut batcher = Batcher::new(usize::MAX);
        let batches: Vec<_> = (0..1001)
            .filter_map(|n| batcher.push(Record::plain(n.to_string(), vec![])))
            .map(|b| b.len())
            .collect();
        assert_eq!((batches, batcher.take().map(|b| b.len())), (vec![500, 500], Some(1)));
    }
}
