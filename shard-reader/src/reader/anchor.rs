//! Places that the service is asked for: where ranges begin and end.

use std::time::Duration;

use tokio::time::Instant;

use super::actor::{Actor, Closing, Place};
use super::answer::{Found, Want};
use super::fetch::{CONTRADICTED_AFTER, Failure, Run};
use super::snapshot::TipKind;
use super::tail::Tail;
use crate::{OpenAt, Page, Position, SequenceNumber, SourceErrorKind};

/// A time this close to now may lie in the future for a service that refuses such.
const CLOCK_SLACK: Duration = Duration::from_secs(300);

impl Actor {
    /// One page from a place.
    pub(super) async fn read_anchor(&mut self, place: Place) -> Result<(), Failure> {
        let live = matches!(self.tail, Tail::Live(_));
        let mut run = match self.anchor.take() {
            Some((known, run)) if known == place => run,
            _ => match place {
                Place::Horizon => Run::at(Position::TrimHorizon),
                Place::Time(time) => Run::at_place(OpenAt::Timestamp(time)),
                Place::Record(sequence) => Run::at_place(OpenAt::At(sequence)),
            },
        };
        let asked_at = Instant::now();
        let limit = self.anchor_limit(place, &run, live);
        let page = match self.fetch(&mut run, limit).await {
            Ok(page) => page,
            Err(Failure::Source(error)) if error.kind == SourceErrorKind::Invalid && self.is_about_now(place) => {
                self.resolve(place, Found::Nothing(asked_at));
                return Ok(());
            }
            Err(Failure::Source(error)) if refuses_record(place, error.kind) => {
                self.resolve(place, Found::Unproven);
                return Ok(());
            }
            Err(failure) => {
                self.anchor = Some((place, run));
                return Err(failure);
            }
        };
        let Some(page) = page else {
            self.anchor = Some((place, run));
            return Ok(());
        };
        let tip = run.complete_as_of(&page);
        self.absorb(&mut run, &page)?;
        // where records are held that lie further on, an assumed tip says nothing of the first one, unless it lasts
        let known = {
            let state = self.shard.state.lock();
            // or where a scan knows that there was one
            state.coverage.stretches().next().is_some() || state.waiters.values().any(|waiter| waiter.want == Want::First)
        };
        let doubtful = place == Place::Horizon && known && run.empty_for() < CONTRADICTED_AFTER;
        let believed = |kind: TipKind| kind != TipKind::Assumed || !doubtful;
        let ended = page.next.is_none().then(Instant::now);
        let reached = tip.filter(|(as_of, kind)| self.is_tip(*as_of, page.requested_at) && believed(*kind));
        let tip_as_of = ended.or(reached.map(|(as_of, _)| as_of));
        let found = match place {
            Place::Horizon => self.horizon_found(&page, tip_as_of.is_some()),
            Place::Time(time) => self.time_found(time, &page, tip_as_of),
            Place::Record(sequence) => self.record_found(sequence, &page, tip_as_of),
        };
        let reads_on = run.position.is_some_and(|position| position != Position::TrimHorizon);
        if tip_as_of.is_some() && !live && run.position.is_some() {
            let read = self.tail_read(&run, &page, tip).await;
            self.tail = Tail::Live(run);
            read?;
        } else if !found {
            self.pause_after(&page);
            self.anchor = Some((place, run));
        } else if page.next.is_some() && reads_on {
            self.keep(run);
        } else if page.next.is_none() && run.position.is_none() && !live {
            self.closing = Some(Closing {
                position: None,
                children: page.children,
            });
        }
        Ok(())
    }

    /// Where only the place is asked for and nothing is read from it, its first record is enough. Some services then answer with others first; so
    /// only the first reply is that short.
    fn anchor_limit(&self, place: Place, run: &Run, live: bool) -> u32 {
        let place_alone = match place {
            Place::Horizon => live,
            Place::Time(_) | Place::Record(_) => run.is_unread() && self.shard.state.lock().is_end_alone(place),
        };
        if place_alone { 1 } else { self.page_limit() }
    }

    fn horizon_found(&self, page: &Page, at_tip: bool) -> bool {
        if !page.records.is_empty() {
            return true;
        }
        let mut state = self.shard.state.lock();
        if at_tip {
            let start = state.closed_at.or(state.tail).unwrap_or(Position::TrimHorizon);
            state.saw_first(start, None, page.requested_at);
            state.drop_before(start);
        } else {
            state.horizon_tries += 1;
        }
        at_tip
    }

    /// The first record of a page that arrived at or after the time that was asked for. Some services answer with older records where none is new
    /// enough: these are passed over.
    pub(super) fn first_since(&self, time: i64, page: &Page) -> Option<Position> {
        let records = &page.records;
        let row = (0..records.len()).find(|row| records.arrival(*row).is_none_or(|arrival| arrival >= time))?;
        let place = records.start_of(row);
        self.shard.state.lock().arrivals.learn(time, place);
        Some(place)
    }

    fn time_found(&self, time: i64, page: &Page, tip_as_of: Option<Instant>) -> bool {
        let found = self.first_since(time, page).map(Found::At).or(tip_as_of.map(Found::Nothing));
        if let Some(found) = found {
            self.resolve(Place::Time(time), found);
        }
        found.is_some()
    }

    /// Only the record itself proves that it is there: what a service does with a number that is no record's is its own affair.
    fn record_found(&self, wanted: SequenceNumber, page: &Page, tip_as_of: Option<Instant>) -> bool {
        let found = match page.records.is_empty() {
            false if page.records.sequence(0) == wanted => Found::At(Position::Before(wanted)),
            true if tip_as_of.is_none() => return false,
            _ => Found::Unproven,
        };
        self.resolve(Place::Record(wanted), found);
        true
    }

    fn resolve(&self, place: Place, found: Found) {
        for waiter in self.shard.state.lock().waiters.values_mut() {
            waiter.resolve(place, found);
        }
    }

    fn is_about_now(&self, place: Place) -> bool {
        matches!(place, Place::Time(time) if time > self.context.now_ms() - CLOCK_SLACK.as_millis() as i64)
    }
}

/// Some services do not know a number that is no record's.
fn refuses_record(place: Place, error: SourceErrorKind) -> bool {
    matches!(place, Place::Record(_)) && matches!(error, SourceErrorKind::Invalid | SourceErrorKind::NotFound)
}
