//! The records of a page -> its user records.

use bytes::Bytes;

use super::MAGIC;
use super::aggregate::Aggregate;
use crate::{Records, RecordsBuilder};

/// A page's rows.
#[derive(Debug)]
pub(crate) struct Deaggregated {
    /// User records.
    pub(crate) records: Records,
    /// Records that begin like an aggregate and passed as they are.
    pub(crate) look_alikes: u64,
}

/// Arrow addresses the texts of a column with 31 bits.
const MOST_COLUMN_BYTES: usize = i32::MAX as usize;

/// Every aggregate among `records` becomes its user records. A run without one is given back as it is, without a copy.
///
/// # Errors
/// The rows' partition keys or payloads are more than a column holds (2 GiB), which takes more than three times what a reply of Kinesis holds.
pub(crate) fn deaggregate(records: Records) -> Result<Deaggregated, String> {
    let data = records.data();
    let mut candidates = (0..records.len()).filter(|row| data.value(*row).starts_with(MAGIC)).peekable();
    if candidates.peek().is_none() {
        drop(candidates);
        return Ok(Deaggregated { records, look_alikes: 0 });
    }
    let payloads = Bytes::from_owner(Payloads(data.values().clone()));
    let offsets = data.value_offsets();
    let (mut aggregates, mut look_alikes) = (Vec::new(), 0);
    for row in candidates {
        match Aggregate::parse(&payloads.slice(offsets[row] as usize..offsets[row + 1] as usize)) {
            Ok(aggregate) => aggregates.push((row, aggregate)),
            Err(reason) => {
                look_alikes += 1;
                tracing::debug!(sequence = %records.sequence(row), %reason, "a record begins like an aggregate and is none");
            }
        }
    }
    if aggregates.is_empty() {
        return Ok(Deaggregated { records, look_alikes });
    }
    let records = expanded(&records, &aggregates)?;
    Ok(Deaggregated { records, look_alikes })
}

/// The user records of a record, in order: partition keys and payloads. `None` if it is no aggregate.
pub fn user_records(record: &[u8]) -> Option<Vec<(String, Vec<u8>)>> {
    if !record.starts_with(MAGIC) {
        return None;
    }
    let aggregate = Aggregate::parse(&Bytes::copy_from_slice(record)).ok()?;
    let rows = aggregate.rows().map(|row| (row.partition_key.to_owned(), row.data.to_vec()));
    Some(rows.collect())
}

fn expanded(records: &Records, aggregates: &[(usize, Aggregate)]) -> Result<Records, String> {
    let plain = |of: fn(&Records, std::ops::Range<usize>) -> usize| {
        let all = of(records, 0..records.len());
        all - aggregates.iter().map(|(row, _)| of(records, *row..*row + 1)).sum::<usize>()
    };
    let added = |of: fn(&Aggregate) -> usize| aggregates.iter().map(|(_, aggregate)| of(aggregate)).sum::<usize>();
    let rows = records.len() - aggregates.len() + added(Aggregate::len);
    let data_bytes = plain(Records::data_bytes) + added(|aggregate| aggregate.data_bytes);
    let key_bytes = plain(Records::key_bytes) + added(|aggregate| aggregate.key_bytes);
    if data_bytes.max(key_bytes) > MOST_COLUMN_BYTES {
        return Err(format!(
            "a reply whose user records take {} bytes is too large",
            data_bytes + key_bytes
        ));
    }
    let mut builder = RecordsBuilder::with_capacity(rows, data_bytes, key_bytes);
    let mut next = 0;
    for (row, aggregate) in aggregates {
        (next..*row).for_each(|row| builder.push_run_row(records, row));
        next = row + 1;
        let (sequence, arrival) = (records.sequence(*row), records.arrival(*row));
        for (sub, user) in (0u32..).zip(aggregate.rows()) {
            builder.push_user_record((sequence, sub), user.hash_key, Some(user.partition_key), arrival, user.data);
        }
    }
    (next..records.len()).for_each(|row| builder.push_run_row(records, row));
    Ok(builder.finish())
}

/// Payloads that slices of them keep alive.
struct Payloads(arrow::buffer::Buffer);

impl AsRef<[u8]> for Payloads {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
