//! One task per shard: the only caller of the source for that shard, and the only writer of what is held of it.
//!
//! Each turn it looks at what is wanted, does one call, and looks again: so what nobody wants any more is not fetched, calls are serial, and all
//! who wait for the same thing share one. Pins go first; when they keep coming, every fourth call is a scan's.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::context::StreamContext;
use super::error::{ReadError, ReadErrorKind};
use super::fetch::{Failure, Run};
use super::following::FOLLOW_POLL;
use super::push::Push;
use super::rate::Rate;
use super::shard::{DemandFailure, Failing, Shard};
use super::tail::Tail;
use crate::{Position, SequenceNumber, ShardId, SourceError, SourceErrorKind};

/// Pins in a row before a scan has its turn.
const PINS_IN_A_ROW: u32 = 3;
/// Statements so recent keep the pace of background polls up.
pub(super) const RECENT: Duration = Duration::from_secs(60);
const POLL_RECENT: Duration = Duration::from_secs(1);
const POLL_IDLE: Duration = Duration::from_secs(30);

pub(super) struct Actor {
    pub(super) context: Arc<StreamContext>,
    pub(super) shard: Arc<Shard>,
    pub(super) rate: Rate,
    pub(super) tail: Tail,
    pub(super) push: Push,
    /// Cursors of backfills, the latest used last.
    pub(super) runs: Vec<Run>,
    /// The cursor that looks for where a range begins or ends, if that takes several calls.
    pub(super) anchor: Option<(Place, Run)>,
    /// The shard has ended: its children are to be registered before that is said.
    pub(super) closing: Option<Closing>,
    /// Consecutive replies that were short and yet not the tip.
    pub(super) short_replies: u32,
    pub(super) last_tail_read: Instant,
    /// The last reply at the tail was its tip.
    pub(super) at_tip: bool,
    pins_in_a_row: u32,
    /// The tail is where an earlier task, or an earlier process, left it.
    pub(super) resumed: bool,
}

/// A place in the shard that the service is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Horizon,
    /// The first record that arrived at or after a time.
    Time(i64),
    /// A record, if it is there.
    Record(SequenceNumber),
}

#[derive(Debug)]
pub(super) struct Closing {
    /// The end, if a record or the horizon was seen on the way.
    pub(super) position: Option<Position>,
    pub(super) children: Vec<ShardId>,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    Close,
    Tail,
    Anchor(Place),
    Backfill(Position),
    Wait(Instant),
    Stop,
}

/// Says that the task has ended, however it did.
struct Running {
    context: Arc<StreamContext>,
    shard: Arc<Shard>,
    id: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut state = self.shard.state.lock();
        if state.running == Some(self.id) {
            state.running = None;
            state.pushed = false;
        }
        if std::thread::panicking() {
            let error = ReadError::new(
                ReadErrorKind::Internal,
                &self.context.stream,
                "the shard's reader ended unexpectedly",
            );
            let error = error.at(&self.shard.id, state.tail);
            state.fail_waiters(&error);
            state.fail_demands(&DemandFailure::Error(error), |_, _| true);
        }
        drop(state);
        self.shard.changed();
    }
}

impl Actor {
    /// Runs until the shard is idle for long, or the stream's reader ends.
    pub(super) async fn run(context: Arc<StreamContext>, shard: Arc<Shard>, id: u64) {
        let running = Running {
            context: Arc::clone(&context),
            shard: Arc::clone(&shard),
            id,
        };
        let config = &context.shared.config;
        let _ = context.stop.run_until_cancelled(context.look_in_store(&shard)).await;
        shard.take_up();
        let tail = shard.state.lock().tail;
        let mut actor = Self {
            rate: Rate::new(config.calls_per_second, config.bytes_per_second, config.pace.clone()),
            tail: tail.map_or(Tail::Cold { step: 0 }, |position| Tail::Live(Run::at(position))),
            push: Push::new(),
            runs: Vec::new(),
            anchor: None,
            closing: None,
            short_replies: 0,
            last_tail_read: Instant::now(),
            at_tip: false,
            pins_in_a_row: 0,
            resumed: tail.is_some(),
            context: Arc::clone(&context),
            shard,
        };
        // Dropped in the middle of a call, a step leaves what is held as it was.
        let _ = context.stop.run_until_cancelled(actor.turns()).await;
        drop(running);
    }

    async fn turns(&mut self) {
        loop {
            let tend_at = self.tend_push();
            self.take_pushed();
            let action = self.choose();
            match action {
                Action::Stop => return,
                Action::Wait(until) => self.wait(tend_at.map_or(until, |at| at.min(until)), true).await,
                Action::Close | Action::Tail | Action::Anchor(_) | Action::Backfill(_) => {
                    // what to do is chosen again after the pause: who dropped meanwhile is not fetched for, and a statement that came goes first
                    let planning = !self.shard.state.lock().waiters.is_empty();
                    if let Some(ready) = self.rate.ready_at(planning) {
                        self.wait(ready, true).await;
                        continue;
                    }
                    self.pins_in_a_row = match action {
                        Action::Tail | Action::Anchor(_) => self.pins_in_a_row.saturating_add(1),
                        _ => 0,
                    };
                    let began = Instant::now();
                    let done = match action {
                        Action::Close => self.close().await,
                        Action::Tail => self.read_tail().await,
                        Action::Anchor(place) => self.read_anchor(place).await,
                        Action::Backfill(position) => self.backfill(position).await,
                        Action::Wait(_) | Action::Stop => Ok(()),
                    };
                    if let Err(failure) = done {
                        if failure.is_suspicious() && self.context.check_incarnation(began).await.is_err() {
                            // all that waits is told by the reader's end
                            return;
                        }
                        self.failed(action, failure);
                    }
                    self.shard.changed();
                }
            }
        }
    }

    fn choose(&mut self) -> Action {
        if self.closing.is_some() {
            return Action::Close;
        }
        let moment = self.context.moment(&self.shard);
        let mut state = self.shard.state.lock();
        let needs = state.needs(&moment);
        let live = matches!(self.tail, Tail::Live(_));
        let follow_at = (live && !self.push.is_on() && state.wants_tail()).then(|| {
            if self.at_tip {
                self.last_tail_read + FOLLOW_POLL
            } else {
                moment.now
            }
        });
        let followed = follow_at.filter(|at| *at <= moment.now).map(|_| Action::Tail);
        let tail = needs.tip.map(|_| Action::Tail);
        let horizon = needs.horizon.then_some(Place::Horizon);
        let anchor = horizon.or(needs.place).map(Action::Anchor);
        // A cold shard's first page may be all there is, so it comes before looking for the tip.
        let pin = if live { tail.or(anchor).or(followed) } else { anchor.or(tail) };
        let wanted = state.wanted(moment.cutoff_ms);
        if wanted.load.is_some() && !state.loading {
            drop(state);
            self.context.start_loading(&self.shard);
            state = self.shard.state.lock();
        }
        match (pin, wanted.fetch) {
            (Some(pin), None) => return pin,
            (Some(pin), Some(_)) if self.pins_in_a_row < PINS_IN_A_ROW => return pin,
            (_, Some(position)) => return Action::Backfill(position),
            (None, None) => {}
        }
        let config = &self.context.shared.config;
        let statement = state.last_statement;
        let idle_at = statement + config.idle_stop;
        if !state.waiters.is_empty() || !state.demands.is_empty() {
            // they wait for nothing of ours at the moment, and wake us when they do
            state.last_statement = moment.now;
        } else if moment.now >= idle_at {
            state.running = None;
            return Action::Stop;
        }
        let mut until = idle_at.max(moment.now + Duration::from_millis(1));
        if let Some(at) = follow_at {
            until = until.min(at);
        }
        if config.background_poll && live && state.closed_at.is_none() && !self.push.is_on() {
            let every = if moment.now.saturating_duration_since(statement) < RECENT {
                POLL_RECENT
            } else {
                POLL_IDLE
            };
            let poll_at = self.last_tail_read + every;
            if poll_at <= moment.now {
                return Action::Tail;
            }
            until = until.min(poll_at);
        }
        Action::Wait(until)
    }

    /// Whether a page that is complete to `as_of` shows the tip to those who wait; if nobody does, whether it was complete when it was asked for.
    pub(super) fn is_tip(&self, as_of: Instant, requested_at: Instant) -> bool {
        let moment = self.context.moment(&self.shard);
        let needed = self.shard.state.lock().needs(&moment).tip;
        needed.map_or(as_of >= requested_at, |needed| as_of > needed)
    }

    /// A call succeeded.
    pub(super) fn recovered(&self) {
        self.shard.state.lock().failing = None;
    }

    fn failed(&mut self, action: Action, failure: Failure) {
        match failure {
            Failure::Source(error) => match error.kind {
                SourceErrorKind::Throttled => {
                    self.tally(|counters| &counters.throttles, 1);
                    self.rate.throttled();
                    self.note_failing(error);
                }
                SourceErrorKind::ExpiredIterator => {
                    // the first time it is only old; again and again it is the service
                    let repeated = self.shard.state.lock().failing.is_some();
                    if repeated {
                        self.rate.failed();
                    }
                    self.note_failing(error);
                }
                SourceErrorKind::Unavailable => {
                    self.rate.failed();
                    self.note_failing(error);
                }
                SourceErrorKind::NotFound | SourceErrorKind::Denied => {
                    self.rate.failed();
                    let error = ReadError::of_source(&self.context.stream, &error).at(&self.shard.id, None);
                    let mut state = self.shard.state.lock();
                    state.fail_waiters(&error);
                    state.fail_demands(&DemandFailure::Error(error), |_, _| true);
                }
                SourceErrorKind::Invalid => {
                    let error = ReadError::of_source(&self.context.stream, &error);
                    self.give_up(action, error);
                }
            },
            Failure::Gone(position, message) => self.gone(action, position, message),
            Failure::Protocol(message) => {
                let error = ReadError::new(ReadErrorKind::Internal, &self.context.stream, message);
                self.give_up(action, error);
            }
        }
    }

    /// The service will not do this: those who wait for it fail, others go on.
    fn give_up(&mut self, action: Action, error: ReadError) {
        self.rate.failed();
        let mut state = self.shard.state.lock();
        match action {
            Action::Backfill(position) => {
                let error = error.at(&self.shard.id, Some(position));
                state.fail_demands(&DemandFailure::Error(error), |demand, _| demand.waiting);
            }
            _ => state.fail_waiters(&error.at(&self.shard.id, None)),
        }
    }

    fn gone(&mut self, action: Action, position: Position, message: String) {
        let mut state = self.shard.state.lock();
        // what was known of the horizon is out of date
        state.horizon = None;
        state.horizon_tries = 0;
        state.drop_before(position);
        state.forget_first();
        match action {
            Action::Backfill(point) => {
                state.fail_demands(&DemandFailure::Gone(message), |demand, coverage| {
                    demand.position <= point && demand.end > point && coverage.reach(demand.position, usize::MAX).0 == point
                });
            }
            _ => {
                // Nobody was promised what lay between: the shard is looked at anew.
                tracing::debug!(shard = %self.shard.id, %position, message, "tail position expired");
                state.tail = None;
                state.tip = None;
                self.tail = Tail::Cold { step: 0 };
                self.anchor = None;
            }
        }
    }

    fn note_failing(&self, error: SourceError) {
        let now = Instant::now();
        let mut state = self.shard.state.lock();
        let since = state.failing.as_ref().map_or(now, |failing| failing.since);
        let position = state.tail;
        if now.saturating_duration_since(since) >= self.context.shared.config.scan_timeout {
            let error = ReadError::of_source(&self.context.stream, &error).at(&self.shard.id, position);
            state.fail_demands(&DemandFailure::Error(error), |demand, _| demand.waiting);
        }
        state.failing = Some(Failing { since, error });
    }
}
