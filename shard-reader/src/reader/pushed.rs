//! Fan-out at the tip: a shard's task takes what is pushed, as it takes pages.
//!
//! Polling reads the backlog and proves tips; once the tail is near the tip and somebody is interested, a subscription goes on from there, and the
//! polls between statements rest. What is pushed extends what is held like a page. It never dates a tip: when an event was made is not known, so a
//! statement that wants everything up to now still asks once.

use futures::FutureExt as _;
use tokio::time::Instant;

use super::actor::{Actor, Closing, RECENT};
use super::consumer::NotYet;
use super::fetch::{Failure, Run, SAFE_AGE};
use super::push::{Place, Pushed, Verdict};
use super::snapshot::TipKind;
use super::tail::Tail;
use crate::{FanOutError, FanOutErrorKind, OpenAt, Page, Position, PushedRecords};

/// A tail that is no further behind the tip is at it: the rest is pushed.
const NEAR_TIP_MS: u64 = 10_000;
/// Events taken at once between two calls.
const EVENTS_AT_ONCE: usize = 16;

impl Actor {
    /// Subscribes, or ends the subscription, as is wanted now. The answer is when to look again, if nothing else happens.
    pub(super) fn tend_push(&mut self) -> Option<Instant> {
        let name = self
            .context
            .shared
            .config
            .fan_out
            .as_ref()
            .map(|fan_out| fan_out.consumer.clone())?;
        self.context.source.fan_out()?;
        let Some(place) = self.place_to_push_from() else {
            self.end_push();
            return None;
        };
        if !self.push.is_off() {
            return None;
        }
        if !self.is_push_wanted() {
            return None;
        }
        if let Some(at) = self.push.not_before() {
            return Some(at);
        }
        match self.context.consumer(&name) {
            Ok(consumer) => {
                self.push.connect(&self.context, &self.shard.id, consumer, place);
                None
            }
            Err(NotYet::Asked) => None,
            Err(NotYet::Failed(until)) => Some(until),
        }
    }

    fn is_push_wanted(&self) -> bool {
        let Tail::Live(run) = &self.tail else { return false };
        let state = self.shard.state.lock();
        let interest = !state.demands.is_empty() || !state.waiters.is_empty() || state.last_statement.elapsed() < RECENT;
        let near = run.behind.is_some_and(|(behind, _)| behind <= NEAR_TIP_MS);
        interest && state.tip.is_some_and(|tip| near || tip.kind == TipKind::Assumed)
    }

    /// Where a subscription goes on; none without a tail, or at the end of the shard.
    ///
    /// A service passes expired records over in silence. What comes after the tail cannot have expired while the tail is known to have been at the tip
    /// not long ago; else the subscription begins with the tail's own record, which must be there.
    fn place_to_push_from(&self) -> Option<Place> {
        let Tail::Live(run) = &self.tail else { return None };
        let ended = self.closing.is_some() || self.shard.state.lock().closed_at.is_some();
        if ended || run.is_looking() {
            return None;
        }
        let from = run.position?;
        let continuation = self.push.continuation(from, SAFE_AGE);
        let risky = run.near_trim(self.context.retention(), self.context.now_ms());
        let (at, verify) = match from {
            Position::TrimHorizon => (continuation.map_or(OpenAt::TrimHorizon, OpenAt::After), None),
            Position::Before(sequence) => (OpenAt::At(sequence), Some(sequence)),
            Position::After(sequence, _) if risky => (OpenAt::At(sequence), Some(sequence)),
            Position::After(sequence, _) => (OpenAt::After(continuation.map_or(sequence, |place| place.max(sequence))), None),
        };
        Some(Place { from, at, verify })
    }

    /// Takes what is there already, so that a task that makes call after call does not leave it lying.
    pub(super) fn take_pushed(&mut self) {
        for _ in 0..EVENTS_AT_ONCE {
            let Some(pushed) = self.push.next().now_or_never() else { return };
            self.pushed(pushed);
        }
    }

    /// Waits until a time, taking what is pushed; with `wakes`, also until somebody wants something.
    pub(super) async fn wait(&mut self, until: Instant, wakes: bool) {
        tokio::select! {
            biased;
            pushed = self.push.next() => self.pushed(pushed),
            () = self.shard.wake.notified(), if wakes => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    fn pushed(&mut self, pushed: Pushed) {
        match pushed {
            Pushed::Connected { again } => {
                self.shard.state.lock().pushed = true;
                self.tally(|counters| &counters.subscriptions, 1);
                self.tally(|counters| &counters.resubscriptions, u64::from(again));
            }
            Pushed::Records(records) => {
                if let Err(error) = self.take_in(*records) {
                    self.push_failed(&error);
                }
            }
            Pushed::Ended => {
                self.push.ended();
                self.shard.state.lock().pushed = false;
            }
            Pushed::Failed(error) => self.push_failed(&error),
        }
    }

    fn end_push(&mut self) {
        if !self.push.is_off() {
            self.push.off();
            self.shard.state.lock().pushed = false;
        }
    }

    fn push_failed(&mut self, error: &FanOutError) {
        if error.kind == FanOutErrorKind::NotFound
            && let Some(consumer) = self.push.consumer()
        {
            self.context.forget_consumer(consumer);
        }
        let verdict = self.push.failed(error.kind);
        self.shard.state.lock().pushed = false;
        let (stream, shard) = (&self.context.stream, &self.shard.id);
        match verdict {
            Verdict::Again => tracing::debug!(%stream, %shard, %error, "subscription failed"),
            Verdict::FallBack(pause) => {
                self.tally(|counters| &counters.fallbacks, 1);
                tracing::warn!(%stream, %shard, %error, retry_in = ?pause, "no fan-out: the shard is read by polling");
            }
        }
    }

    fn take_in(&mut self, pushed: PushedRecords) -> Result<(), FanOutError> {
        let Tail::Live(mut run) = std::mem::replace(&mut self.tail, Tail::Cold { step: 0 }) else {
            return Err(FanOutError::new(FanOutErrorKind::Unavailable, "the tail was lost"));
        };
        let taken = match run.position {
            Some(position) if self.push.goes_on_from(position) => self.take_in_at(&mut run, position, pushed),
            // another cursor has become the tail, and stands before what was pushed
            _ => {
                self.end_push();
                Ok(())
            }
        };
        self.tail = Tail::Live(run);
        taken.map_err(|failure| match failure {
            Failure::Source(error) => FanOutError::new(FanOutErrorKind::Unavailable, error.message),
            // polling looks at the place anew, and finds out
            Failure::Gone(_, message) | Failure::Protocol(message) => FanOutError::new(FanOutErrorKind::Invalid, message),
        })
    }

    fn take_in_at(&mut self, run: &mut Run, position: Position, pushed: PushedRecords) -> Result<(), Failure> {
        let wire_bytes = pushed.records.wire_bytes(0..pushed.records.len());
        tracing::trace!(
            shard = %self.shard.id,
            %position,
            records = pushed.records.len(),
            continuation = ?pushed.continuation,
            millis_behind = pushed.millis_behind,
            ended = pushed.children.is_some(),
            "pushed"
        );
        self.tally(|counters| &counters.events, 1);
        self.tally(|counters| &counters.records, pushed.records.len() as u64);
        self.tally(|counters| &counters.bytes, wire_bytes);
        let records = self.user_records(pushed.records)?;
        if !records.is_ascending() {
            return Err(Failure::Protocol("what was pushed is not in order".into()));
        }
        if let Some(wanted) = self.push.verify.filter(|_| !records.is_empty()) {
            let first = records.sequence(0);
            if first != wanted {
                return Err(Failure::Gone(
                    position,
                    format!("record {wanted} is gone: {first} was pushed first"),
                ));
            }
            self.push.verify = None;
        }
        // a statement may have polled meanwhile what is pushed now; an aggregate stays whole
        let known = match position.sequence() {
            Some(sequence) if records.splits(position) => records.lower_bound(Position::Before(sequence)),
            _ => records.lower_bound(position),
        };
        self.tally(|counters| &counters.refetched, records.record_count(0..known) as u64);
        let page = Page {
            records: records.slice(known, records.len() - known),
            next: None,
            millis_behind: Some(pushed.millis_behind),
            children: Vec::new(),
            requested_at: Instant::now(),
            full: false,
            wire_bytes,
        };
        run.push(|run| self.absorb(run, &page))?;
        if !page.records.is_empty() {
            let mut state = self.shard.state.lock();
            state.tail = run.position;
            // what was complete to a moment still is
            if let (Some(tip), Some(end)) = (&mut state.tip, run.position) {
                tip.end = tip.end.max(end);
            }
        }
        self.push.took(run.position.unwrap_or(position), pushed.continuation);
        match (pushed.continuation, pushed.children) {
            (None, Some(children)) => {
                self.closing = Some(Closing {
                    position: run.position,
                    children,
                });
                self.end_push();
            }
            (None, None) => {
                let message = "an event names neither where to go on nor children".into();
                return Err(Failure::Protocol(message));
            }
            (Some(_), _) => {}
        }
        Ok(())
    }
}
