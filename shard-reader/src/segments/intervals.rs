//! Stretches of a shard, as sets.

use crate::Position;

/// A set of points between records: disjoint stretches `[from, to)`, ascending; those that touch are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Intervals(Vec<(Position, Position)>);

impl Intervals {
    pub(crate) fn insert(&mut self, from: Position, to: Position) {
        if from >= to {
            return;
        }
        let first = self.0.partition_point(|(_, end)| *end < from);
        let last = self.0.partition_point(|(start, _)| *start <= to);
        let touching = &self.0[first..last];
        let start = touching.first().map_or(from, |(start, _)| (*start).min(from));
        let end = touching.last().map_or(to, |(_, end)| (*end).max(to));
        self.0.splice(first..last, [(start, end)]);
    }

    pub(crate) fn remove(&mut self, from: Position, to: Position) {
        let first = self.0.partition_point(|(_, end)| *end <= from);
        let last = self.0.partition_point(|(start, _)| *start < to);
        if from >= to || first >= last {
            return;
        }
        let (start, end) = (self.0[first].0, self.0[last - 1].1);
        let left = (start < from).then_some((start, from));
        let right = (to < end).then_some((to, end));
        self.0.splice(first..last, left.into_iter().chain(right));
    }

    /// The parts of `[from, to)` that are not in the set.
    pub(crate) fn missing(&self, from: Position, to: Position) -> Vec<(Position, Position)> {
        let mut missing = Vec::new();
        let mut point = from;
        let first = self.0.partition_point(|(_, end)| *end <= from);
        for (start, end) in self.0[first..].iter().take_while(|(start, _)| *start < to) {
            if point < *start {
                missing.push((point, *start));
            }
            point = *end;
        }
        if point < to {
            missing.push((point, to));
        }
        missing
    }

    pub(crate) fn covers(&self, from: Position, to: Position) -> bool {
        self.missing(from, to).is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn at(point: u64) -> Position {
        Position::Before(point.into())
    }

    proptest! {
        /// Against a set of whole numbers.
        #[test]
        fn is_a_set(steps in proptest::collection::vec((any::<bool>(), 0u64..40, 0u64..12), 1..60), query in (0u64..40, 0u64..20)) {
            let (mut set, mut naive) = (Intervals::default(), BTreeSet::new());
            for (add, from, length) in steps {
                if add {
                    set.insert(at(from), at(from + length));
                    naive.extend(from..from + length);
                } else {
                    set.remove(at(from), at(from + length));
                    naive.retain(|point| !(from..from + length).contains(point));
                }
                prop_assert!(set.0.iter().all(|(from, to)| from < to));
                prop_assert!(set.0.windows(2).all(|pair| pair[0].1 < pair[1].0), "{:?}", set);
            }
            let (from, to) = (query.0, query.0 + query.1);
            let missing: Vec<u64> = (from..to).filter(|point| !naive.contains(point)).collect();
            let told = set.missing(at(from), at(to));
            let points: Vec<u64> = (from..to).filter(|point| told.iter().any(|(from, to)| *from <= at(*point) && at(*point) < *to)).collect();
            prop_assert_eq!(&points, &missing);
            prop_assert_eq!(set.covers(at(from), at(to)), missing.is_empty());
        }
    }
}
