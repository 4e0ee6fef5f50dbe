//! What a pin needs of a shard, and its answer once that is known.

use std::time::Duration;

use tokio::time::Instant;

use super::actor::Place;
use super::error::ReadError;
use super::shard::{END, Horizon, ShardState};
use super::snapshot::{Freshness, PinRequest, ScanStart, ShardBounds, TipKind};
use crate::{Position, SequenceNumber};

/// A horizon that the service showed so recently is taken, whatever the clocks say of its first record's age.
const FRESH_HORIZON: Duration = Duration::from_secs(10);
/// Empty replies from the trim horizon after which the first record counts as unknown.
const HORIZON_TRIES: u32 = 3;

/// Somebody who waits for a shard's task.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) request: PinRequest,
    pub(super) bounds: ShardBounds,
    pub(super) want: Want,
    /// What the service answered meanwhile.
    resolved: Vec<(Place, Found)>,
    pub(super) failed: Option<ReadError>,
}

/// What somebody waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// The range of a statement.
    Range,
    /// The first record itself and nothing else: a scan that begins at the trim horizon.
    First,
    /// A place and nothing else.
    Place(Place),
}

/// What is at a place.
#[derive(Clone, Copy, Debug)]
pub(super) enum Found {
    At(Position),
    /// No record up to the tip, complete to this moment.
    Nothing(Instant),
    /// The service did not say so that it can be relied on.
    Unproven,
}

impl Waiter {
    pub(super) fn new(request: PinRequest, bounds: ShardBounds) -> Self {
        Self {
            request,
            bounds,
            want: Want::Range,
            resolved: Vec::new(),
            failed: None,
        }
    }

    /// Waits for something that any known tip will do for.
    pub(super) fn only(want: Want) -> Self {
        let request = PinRequest {
            start: ScanStart::TrimHorizon,
            freshness: Freshness::Cached,
            arrived: Instant::now(),
        };
        Self {
            want,
            ..Self::new(request, ShardBounds::default())
        }
    }

    pub(super) fn resolve(&mut self, place: Place, found: Found) {
        self.resolved.retain(|(known, _)| *known != place);
        self.resolved.push((place, found));
    }

    fn resolved(&self, place: Place, as_of: Option<Instant>) -> Option<Found> {
        let found = self.resolved.iter().find(|(known, _)| *known == place)?.1;
        match found {
            // what came after the service looked may belong to who came later
            Found::Nothing(looked) if as_of.is_some_and(|as_of| looked <= as_of) => None,
            found => Some(found),
        }
    }

    /// How new the tip must be; `None` = any known tip will do.
    fn as_of(&self, tip_known: bool) -> Option<Instant> {
        match self.request.freshness {
            Freshness::Latest => Some(self.request.arrived),
            Freshness::Within(age) => Some(self.request.arrived.checked_sub(age).unwrap_or(self.request.arrived)),
            Freshness::Cached if tip_known => None,
            Freshness::Cached => Some(self.request.arrived),
        }
    }

    /// Places of which one is enough to end the range there. A time to come is no bound.
    fn ends(&self, moment: &Moment) -> impl Iterator<Item = Place> + use<> {
        let time = self.bounds.before_ms.filter(|time| *time < moment.now_ms);
        self.bounds.to.map(Place::Record).into_iter().chain(time.map(Place::Time))
    }
}

/// A shard's range, pinned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) start: Position,
    pub(super) end: Position,
    pub(super) kind: TipKind,
}

/// What has to be asked of the service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// A tip that is complete to this moment.
    pub(super) tip: Option<Instant>,
    /// The first record.
    pub(super) horizon: bool,
    /// Another place.
    pub(super) place: Option<Place>,
}

/// The moment of looking.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) now: Instant,
    /// The time of day, ms since the epoch.
    pub(super) now_ms: i64,
    /// Records that arrived before are past the stream's retention (ms since the epoch).
    pub(super) cutoff_ms: i64,
    /// The bound of sequence numbers of a shard that is listed as closed.
    pub(super) ending: Option<SequenceNumber>,
}

impl ShardState {
    /// The answer for a waiter, or what it still needs.
    pub(super) fn answer(&mut self, id: u64, moment: &Moment) -> Result<Result<Pinned, Needs>, ReadError> {
        if let Some(error) = self.waiters.get_mut(&id).and_then(|waiter| waiter.failed.take()) {
            return Err(error);
        }
        let Some(waiter) = self.waiters.get(&id) else {
            return Ok(Err(Needs::default()));
        };
        let mut needs = Needs::default();
        let (start, end) = match waiter.want {
            Want::Range => {
                let end = self.range_end(waiter, moment, &mut needs);
                let start = self.range_start(waiter, end.map(|(end, _)| end), moment, &mut needs);
                (start, end)
            }
            Want::First => (self.first(false, moment, &mut needs), Some((END, TipKind::Cached))),
            Want::Place(place) => {
                let found = self.look(waiter, place, None, moment, &mut needs);
                let start = found.map(|found| match found {
                    Found::At(position) => position,
                    Found::Nothing(_) | Found::Unproven => END,
                });
                (start, Some((END, TipKind::Cached)))
            }
        };
        Ok(match (start, end) {
            // a record that came after the tip was seen is not in the range
            (Some(start), Some((end, kind))) => Ok(Pinned {
                start: start.min(end),
                end,
                kind,
            }),
            _ => Err(needs),
        })
    }

    fn range_end(&self, waiter: &Waiter, moment: &Moment, needs: &mut Needs) -> Option<(Position, TipKind)> {
        let as_of = waiter.as_of(self.tip.is_some());
        for place in waiter.ends(moment) {
            match self.look(waiter, place, as_of, moment, needs) {
                Some(Found::At(found)) => {
                    let end = if let Place::Record(sequence) = place {
                        Position::after_record(sequence)
                    } else {
                        found
                    };
                    return Some((end, TipKind::Bounded));
                }
                Some(Found::Nothing(_) | Found::Unproven) => {}
                None => return None,
            }
        }
        let end = self.end(as_of, waiter.request.arrived, moment);
        if end.is_none() {
            needs.tip = as_of;
        }
        end
    }

    fn range_start(&self, waiter: &Waiter, end: Option<Position>, moment: &Moment, needs: &mut Needs) -> Option<Position> {
        let as_of = waiter.as_of(self.tip.is_some());
        let bounds = &waiter.bounds;
        if waiter.request.start == ScanStart::Latest {
            return end;
        }
        let mut lowest = None;
        if let Some(sequence) = bounds.from
            && let Found::At(position) = self.look(waiter, Place::Record(sequence), as_of, moment, needs)?
        {
            lowest = Some(position);
        }
        let time = match waiter.request.start {
            // the record is known to be there, so nothing before it is needed
            ScanStart::TrimHorizon if lowest.is_some() => return lowest,
            ScanStart::TrimHorizon | ScanStart::Latest => bounds.from_ms,
            ScanStart::Timestamp(time) => Some(bounds.from_ms.map_or(time, |from| from.max(time))),
        };
        let Some(time) = time else {
            return self.first(true, moment, needs);
        };
        if let Some(position) = end.and_then(|end| self.older_than(time, end, moment)) {
            return Some(position);
        }
        let start = match self.look(waiter, Place::Time(time), as_of, moment, needs)? {
            Found::At(position) => Some(position),
            Found::Nothing(_) | Found::Unproven => end,
        };
        start.map(|start| lowest.map_or(start, |lowest| lowest.max(start)))
    }

    /// What is at a place, where what is held proves it or the service said so.
    fn look(&self, waiter: &Waiter, place: Place, as_of: Option<Instant>, moment: &Moment, needs: &mut Needs) -> Option<Found> {
        let held = match place {
            Place::Time(time) => self.time_in_memory(time, moment).ok().map(Found::At),
            Place::Record(sequence) => self.holds(sequence).then_some(Found::At(Position::Before(sequence))),
            Place::Horizon => None,
        };
        let found = held.or_else(|| waiter.resolved(place, as_of));
        if found.is_none() {
            needs.place.get_or_insert(place);
        }
        found
    }

    /// Where the shard begins; with `unknown`, the trim horizon itself once it was asked for in vain.
    fn first(&self, unknown: bool, moment: &Moment, needs: &mut Needs) -> Option<Position> {
        let horizon = self.horizon_start(moment);
        let unknown = (unknown && self.horizon_tries >= HORIZON_TRIES).then_some(Position::TrimHorizon);
        needs.horizon = horizon.is_none() && unknown.is_none();
        horizon.or(unknown)
    }

    fn end(&self, as_of: Option<Instant>, arrived: Instant, moment: &Moment) -> Option<(Position, TipKind)> {
        if let Some(closed) = self.closed_at {
            return Some((closed, TipKind::Closed));
        }
        if let Some(tip) = self.tip {
            let kind = if tip.as_of > arrived { tip.kind } else { TipKind::Cached };
            return as_of.is_none_or(|as_of| tip.as_of > as_of).then_some((tip.end, kind));
        }
        // A closed shard takes no more records: all it has lies before the bound, and its last record need not be looked for.
        let ending = moment.ending.filter(|_| self.tail.is_none())?;
        Some((Position::after_record(ending), TipKind::Closed))
    }

    /// Whether a place is where ranges end, and none begins.
    pub(super) fn is_end_alone(&self, place: Place) -> bool {
        let ends = |waiter: &Waiter| {
            let start = match waiter.request.start {
                ScanStart::Timestamp(time) => Some(time).max(waiter.bounds.from_ms),
                ScanStart::TrimHorizon | ScanStart::Latest => waiter.bounds.from_ms,
            };
            let begins = match place {
                Place::Record(sequence) => waiter.bounds.from == Some(sequence) && waiter.bounds.to != Some(sequence),
                Place::Time(time) => start == Some(time),
                Place::Horizon => true,
            };
            waiter.want == Want::Range && !begins
        };
        self.waiters.values().all(ends)
    }

    /// What all waiters need together.
    pub(super) fn needs(&mut self, moment: &Moment) -> Needs {
        let ids: Vec<u64> = self
            .waiters
            .iter()
            .filter(|(_, waiter)| waiter.failed.is_none())
            .map(|(id, _)| *id)
            .collect();
        let mut all = Needs::default();
        for id in ids {
            if let Ok(Err(needs)) = self.answer(id, moment) {
                all.tip = match (all.tip, needs.tip) {
                    (Some(a), Some(b)) => Some(a.min(b)),
                    (a, b) => a.or(b),
                };
                all.horizon |= needs.horizon;
                all.place = all.place.or(needs.place);
            }
        }
        all
    }

    /// Where the shard begins. The service decides what has expired: by our clock a record is only suspected to be gone, and the service is asked again.
    fn horizon_start(&self, moment: &Moment) -> Option<Position> {
        let horizon = self.horizon?;
        let expired = horizon.arrival_ms.is_some_and(|arrival| arrival < moment.cutoff_ms);
        let seen_within = |observed| moment.now.saturating_duration_since(observed) < FRESH_HORIZON;
        let fresh = horizon.observed.is_some_and(seen_within);
        (!expired || fresh).then_some(horizon.start)
    }

    /// The first record at or after a time, where what is held proves it; else the point up to which all is known to be older.
    ///
    /// The proof begins with a place before which everything is older: the horizon, or one that the service named.
    fn time_in_memory(&self, time: i64, moment: &Moment) -> Result<Position, Option<Position>> {
        let begin = self.horizon_start(moment).max(self.arrivals.all_before(time));
        let mut reached = begin.ok_or(None)?;
        for (_, stretch) in self.coverage.run(reached, END) {
            let (_, latest) = stretch.segment.arrival_range();
            if latest >= time {
                let records = stretch.segment.records();
                let newer = |row: &usize| records.arrival(*row).is_none_or(|arrival| arrival >= time);
                if let Some(row) = (records.lower_bound(reached)..records.len()).find(newer) {
                    return Ok(records.start_of(row));
                }
            }
            reached = stretch.to;
        }
        Err(Some(reached))
    }

    /// The range's end, if everything before it is known to be older than a time.
    fn older_than(&self, time: i64, end: Position, moment: &Moment) -> Option<Position> {
        let known_to = self.time_in_memory(time, moment).err().flatten();
        known_to.filter(|known_to| *known_to >= end).map(|_| end)
    }

    pub(super) fn holds(&self, sequence: SequenceNumber) -> bool {
        let wanted = Position::Before(sequence);
        self.coverage.at(wanted).is_some_and(|(_, stretch)| {
            let records = stretch.segment.records();
            let row = records.lower_bound(wanted);
            row < records.len() && records.sequence(row) == sequence
        })
    }

    /// A read from the trim horizon or from where the horizon was empty began with this record.
    pub(super) fn saw_first(&mut self, start: Position, arrival_ms: Option<i64>, observed: Instant) {
        self.horizon = Some(Horizon {
            start,
            arrival_ms,
            observed: Some(observed),
        });
        self.horizon_tries = 0;
        self.begin_following(start);
        // to be remembered
        self.came(0);
    }
}
