//! What the service was asked and what it served, so that tests can assert it.

use std::collections::BTreeMap;
use std::ops::AddAssign;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::operation::Operation;

/// Sums over some calls.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct CallCounts {
    /// Calls answered, errors included. A `PutRecords` call counts once, under no shard.
    pub calls: u64,
    /// Calls answered with an error.
    pub errors: u64,
    /// Records stored (puts) or served (`GetRecords`).
    pub records: u64,
    /// Bytes of data and partition keys of these records.
    pub bytes: u64,
}

impl AddAssign for CallCounts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.errors += other.errors;
        self.records += other.records;
        self.bytes += other.bytes;
    }
}

type Key = (Operation, Option<Arc<str>>, Option<Arc<str>>);

/// Calls, records and bytes per operation, stream and shard since the start or the last [`reset`](Self::reset).
#[derive(Clone, Debug, Default)]
pub struct CallCounters(Arc<Mutex<BTreeMap<Key, CallCounts>>>);

impl CallCounters {
    /// The sums for an operation; `None` for stream or shard stands for all of them.
    #[must_use]
    pub fn get(&self, operation: Operation, stream: Option<&str>, shard: Option<&str>) -> CallCounts {
        let mut sum = CallCounts::default();
        for ((of, in_stream, in_shard), counts) in self.0.lock().iter() {
            let matches = *of == operation
                && stream.is_none_or(|wanted| in_stream.as_deref() == Some(wanted))
                && shard.is_none_or(|wanted| in_shard.as_deref() == Some(wanted));
            if matches {
                sum += *counts;
            }
        }
        sum
    }

    /// Forgets everything counted so far.
    pub fn reset(&self) {
        self.0.lock().clear();
    }

    pub(crate) fn add(&self, operation: Operation, stream: Option<&Arc<str>>, shard: Option<&Arc<str>>, counts: CallCounts) {
        *self.0.lock().entry((operation, stream.cloned(), shard.cloned())).or_default() += counts;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_follow_the_selection() {
        let counters = CallCounters::default();
        let (stream, one, two): (Arc<str>, Arc<str>, Arc<str>) = ("s".into(), "a".into(), "b".into());
        let page = |records| CallCounts {
            calls: 1,
            errors: 0,
            records,
            bytes: 10 * records,
        };
        counters.add(Operation::GetRecords, Some(&stream), Some(&one), page(3));
        counters.add(Operation::GetRecords, Some(&stream), Some(&two), page(4));
        counters.add(Operation::PutRecord, Some(&stream), Some(&two), page(5));
        assert_eq!(
            counters.get(Operation::GetRecords, None, None),
            CallCounts {
                calls: 2,
                errors: 0,
                records: 7,
                bytes: 70
            }
        );
        assert_eq!(counters.get(Operation::GetRecords, Some("s"), Some("b")).records, 4);
        assert_eq!(counters.get(Operation::GetRecords, Some("t"), None), CallCounts::default());
        counters.reset();
        assert_eq!(counters.get(Operation::PutRecord, None, None).calls, 0);
    }
}
