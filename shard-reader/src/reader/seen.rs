//! What was ever read of a shard, held or not: how much lies between which points, and when it arrived. This is what estimates are made of.

use arrow::array::Array;
use arrow::compute;

use crate::{Position, Records};

/// Stretches of a shard that were read. Disjoint, ascending; those that touch are one.
#[derive(Debug, Default)]
pub(super) struct Seen(Vec<SeenStretch>);

/// Between two points lie so many records and no others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SeenStretch {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) records: u64,
    /// Payloads and partition keys.
    pub(super) bytes: u64,
    /// Least and greatest arrival time, ms since the epoch; `None` if a record had none.
    pub(super) arrivals: Option<(i64, i64)>,
}

impl SeenStretch {
    fn of(from: Position, to: Position, records: &Records) -> Self {
        let rows = records.lower_bound(from)..records.lower_bound(to);
        let arrivals = records.arrivals().slice(rows.start, rows.len());
        let known = arrivals.null_count() == 0;
        Self {
            from,
            to,
            records: records.record_count(rows.clone()) as u64,
            bytes: records.wire_bytes(rows),
            arrivals: compute::min(&arrivals).zip(compute::max(&arrivals)).filter(|_| known),
        }
    }

    fn join(self, next: Self) -> Self {
        let arrivals = match (self.arrivals, next.arrivals) {
            _ if self.records == 0 => next.arrivals,
            _ if next.records == 0 => self.arrivals,
            (Some(one), Some(other)) => Some((one.0.min(other.0), one.1.max(other.1))),
            _ => None,
        };
        Self {
            from: self.from,
            to: next.to,
            records: self.records + next.records,
            bytes: self.bytes + next.bytes,
            arrivals,
        }
    }
}

impl Seen {
    /// These records are all there is between two points.
    pub(super) fn add(&mut self, from: Position, to: Position, records: &Records) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|stretch| stretch.to < from);
        let last = self.0.partition_point(|stretch| stretch.from <= to);
        let mut joined: Option<SeenStretch> = None;
        let mut point = from;
        let mut join = |piece: SeenStretch| {
            joined = Some(joined.map_or(piece, |known| known.join(piece)));
        };
        for known in &self.0[first..last] {
            if point < known.from {
                join(SeenStretch::of(point, known.from, records));
            }
            join(*known);
            point = point.max(known.to);
        }
        if point < to {
            join(SeenStretch::of(point, to, records));
        }
        self.0.splice(first..last, joined);
    }

    /// All of it, ascending.
    pub(super) fn stretches(&self) -> &[SeenStretch] {
        &self.0
    }

    /// Records before this point are gone from the service: nobody can ask for them again.
    pub(super) fn drop_before(&mut self, point: Position) {
        self.0.retain(|stretch| stretch.to > point);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RecordsBuilder, SequenceNumber};

    fn records(numbers: std::ops::Range<u64>) -> Records {
        let mut builder = RecordsBuilder::with_capacity(0, 0, 0);
        for number in numbers {
            // 10 bytes with the key, one a second
            builder.push(SequenceNumber::from(number), Some("k"), Some(number as i64 * 1000), b"nine byte");
        }
        builder.finish()
    }

    fn before(number: u64) -> Position {
        Position::Before(SequenceNumber::from(number))
    }

    type Figures = (u64, u64, Option<(i64, i64)>);

    fn figures(seen: &Seen) -> Vec<Figures> {
        seen.stretches()
            .iter()
            .map(|stretch| (stretch.records, stretch.bytes, stretch.arrivals))
            .collect()
    }

    #[test]
    fn what_is_read_twice_counts_once() {
        let mut seen = Seen::default();
        seen.add(before(10), before(20), &records(10..20));
        seen.add(before(30), before(40), &records(30..40));
        assert_eq!(
            figures(&seen),
            [(10, 100, Some((10_000, 19_000))), (10, 100, Some((30_000, 39_000)))]
        );
        seen.add(before(15), before(35), &records(15..35));
        assert_eq!(figures(&seen), [(30, 300, Some((10_000, 39_000)))]);
        seen.add(before(15), before(35), &records(15..35));
        seen.add(before(40), before(45), &records(0..0));
        assert_eq!(figures(&seen), [(30, 300, Some((10_000, 39_000)))]);
        assert_eq!((seen.stretches()[0].from, seen.stretches()[0].to), (before(10), before(45)));
    }

    #[test]
    fn what_is_gone_is_forgotten() {
        let mut seen = Seen::default();
        seen.add(before(10), before(20), &records(10..20));
        seen.add(before(30), before(40), &records(30..40));
        seen.drop_before(before(20));
        assert_eq!(figures(&seen), [(10, 100, Some((30_000, 39_000)))]);
    }
}
