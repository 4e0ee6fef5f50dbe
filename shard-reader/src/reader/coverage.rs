//! What is held of one shard: disjoint stretches of the shard, each a segment.
//!
//! A stretch `[from, to)` says: every record that lies between these two points is in its segment (there is at least one). Stretches that touch
//! (`to` of one equals `from` of the next) are contiguous; anything else between them is unknown. This makes the algebra that of intervals over
//! the order of positions: a page read from `from` up to `to` fills the holes that it overlaps, and only these, so no record is ever held twice.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::records::SegmentMaker;
use crate::{Position, Records, Segment};

/// Neighbours are merged while small: a slow trickle must not make thousands of segments.
const MERGED_BYTES: usize = 256 << 10;
const MERGED_ROWS: usize = 8192;

#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) to: Position,
    pub(super) segment: Arc<Segment>,
}

#[derive(Debug, Default)]
pub(super) struct Coverage {
    stretches: BTreeMap<Position, Stretch>,
    /// Everything ever fetched, disjoint and ascending, to tell a second fetch from the first.
    fetched: Vec<(Position, Position)>,
}

impl Coverage {
    /// The stretch that a point lies in (at its `from` or inside, not at its `to`).
    pub(super) fn at(&self, position: Position) -> Option<(Position, &Stretch)> {
        let (from, stretch) = self.stretches.range(..=position).next_back()?;
        (position < stretch.to).then_some((*from, stretch))
    }

    /// The last stretch that begins before a point.
    pub(super) fn before(&self, position: Position) -> Option<(Position, &Stretch)> {
        self.stretches.range(..position).next_back().map(|(from, stretch)| (*from, stretch))
    }

    /// How far records are held without a hole from a point on, looking at no more than `most` segments; and at how many it looked.
    pub(super) fn reach(&self, position: Position, most: usize) -> (Position, usize) {
        let (mut reached, mut segments) = (position, 0);
        while segments < most
            && let Some((_, stretch)) = self.at(reached)
        {
            reached = stretch.to;
            segments += 1;
        }
        (reached, segments)
    }

    /// The segments held without a hole from a point on, up to `end`, each with the end of its stretch.
    pub(super) fn run(&self, position: Position, end: Position) -> impl Iterator<Item = (Position, &Stretch)> {
        let mut reached = position;
        std::iter::from_fn(move || {
            if reached >= end {
                return None;
            }
            let (from, stretch) = self.at(reached)?;
            reached = stretch.to;
            Some((from, stretch))
        })
    }

    /// Bytes on the wire of what is held between two points.
    pub(super) fn run_bytes(&self, from: Position, to: Position) -> u64 {
        let first = self.at(from).map_or(from, |(first, _)| first);
        self.stretches
            .range(first..to)
            .map(|(_, stretch)| {
                let records = stretch.segment.records();
                records.wire_bytes(records.lower_bound(from)..records.lower_bound(to))
            })
            .sum()
    }

    /// Adds records that are all there is between `from` and `to`; what is held already is skipped. A `trickle` is
    /// merged with what lies just before it. Returns how many of the records had been fetched before.
    ///
    /// Neither point lies inside a record: the user records of an aggregate stay together in one segment, so that a rule about the whole aggregate
    /// can be applied to any part of it.
    pub(super) fn insert(&mut self, from: Position, to: Position, records: &Records, trickle: bool, maker: &SegmentMaker) -> u64 {
        debug_assert!(!records.splits(from) && !records.splits(to));
        if from >= to {
            return 0;
        }
        let fetched_before = self.mark_fetched(from, to, records);
        self.fill(from, to, records, trickle, |records| maker.fetched(records), maker);
        fetched_before
    }

    /// Adds records that were stored: this process did not fetch them now.
    pub(super) fn insert_loaded(&mut self, from: Position, to: Position, records: &Records, maker: &SegmentMaker) {
        self.mark_fetched(from, to, records);
        self.fill(from, to, records, false, |records| maker.loaded(records), maker);
    }

    fn fill(
        &mut self,
        from: Position,
        to: Position,
        records: &Records,
        trickle: bool,
        make: impl Fn(Records) -> Arc<Segment>,
        maker: &SegmentMaker,
    ) {
        let mut point = from;
        while point < to {
            if let Some((_, stretch)) = self.at(point) {
                point = stretch.to;
                continue;
            }
            let next = self
                .stretches
                .range((Bound::Excluded(point), Bound::Unbounded))
                .next()
                .map(|(from, _)| *from);
            let hole_end = next.map_or(to, |next| next.min(to));
            let rows = records.lower_bound(point)..records.lower_bound(hole_end);
            if rows.is_empty() {
                self.close_hole(point, hole_end);
            } else if rows.len() == records.len() {
                self.add(point, hole_end, make(records.clone()), trickle, maker);
            } else {
                // a part of a page must not keep the whole page's memory
                let part = Records::concat(&[&records.slice(rows.start, rows.len())]);
                self.add(point, hole_end, make(part), trickle, maker);
            }
            point = hole_end;
        }
    }

    /// There is nothing between these points: a neighbour's stretch grows over them.
    fn close_hole(&mut self, from: Position, to: Position) {
        if let Some((_, before)) = self.stretches.range_mut(..from).next_back()
            && before.to == from
        {
            before.to = to;
        } else if let Some(after) = self.stretches.remove(&to) {
            self.stretches.insert(from, after);
        }
    }

    fn add(&mut self, from: Position, to: Position, segment: Arc<Segment>, trickle: bool, maker: &SegmentMaker) {
        let (mut from, mut segment) = (from, segment);
        // Like carrying in a binary counter: a record is copied a logarithmic number of times.
        while trickle
            && let Some((before_from, before)) = self.stretches.range(..from).next_back()
            && before.to == from
            && before.segment.raw_bytes() <= 2 * segment.raw_bytes()
            && before.segment.raw_bytes() + segment.raw_bytes() < MERGED_BYTES
            && before.segment.records().len() + segment.records().len() <= MERGED_ROWS
        {
            segment = maker.merged(&before.segment, &segment);
            from = *before_from;
            self.stretches.remove(&from);
        }
        self.stretches.insert(from, Stretch { to, segment });
    }

    fn mark_fetched(&mut self, from: Position, to: Position, records: &Records) -> u64 {
        let first = self.fetched.partition_point(|(_, end)| *end < from);
        let last = self.fetched.partition_point(|(start, _)| *start <= to);
        let overlapping = &self.fetched[first..last];
        let before = overlapping
            .iter()
            .map(|(start, end)| {
                let rows = records.lower_bound((*start).max(from))..records.lower_bound((*end).min(to));
                records.record_count(rows) as u64
            })
            .sum();
        let start = overlapping.first().map_or(from, |(start, _)| (*start).min(from));
        let end = overlapping.last().map_or(to, |(_, end)| (*end).max(to));
        self.fetched.splice(first..last, [(start, end)]);
        before
    }

    /// Drops the segment whose stretch begins at `from`, if nobody else holds it and it was not used since `used`.
    pub(super) fn evict(&mut self, from: Position, used: u64) -> Option<Stretch> {
        let stretch = self.stretches.get(&from)?;
        if stretch.segment.used() != used || Arc::strong_count(&stretch.segment) > 1 {
            return None;
        }
        self.stretches.remove(&from)
    }

    /// Drops stretches that end at or before a point.
    pub(super) fn drop_before(&mut self, position: Position) -> Vec<Arc<Segment>> {
        let mut dropped = Vec::new();
        while let Some(first) = self.stretches.first_entry()
            && first.get().to <= position
        {
            dropped.push(first.remove().segment);
        }
        dropped
    }

    /// All stretches, ascending.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (Position, &Stretch)> {
        self.stretches.iter().map(|(from, stretch)| (*from, stretch))
    }
}

#[cfg(test)]
mod tests;
