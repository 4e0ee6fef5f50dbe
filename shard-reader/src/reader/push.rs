//! A shard's subscription, from the side of its task: when to subscribe, from where, and what to do when it ends.
//!
//! Nothing is buffered: the task takes an event when it has nothing else to do and between its calls, and what it does not take stays with the
//! connection, whose window is bounded.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

use super::context::StreamContext;
use crate::{ConsumerArn, FanOutError, FanOutErrorKind, OpenAt, Position, PushedRecords, SequenceNumber, ShardId, ShardSubscription};

/// A service lets a subscription live for 5 minutes; one that ends of itself after so long has lived its life.
const WHOLE_LIFE: Duration = Duration::from_secs(240);
/// A subscription that lived so long was no failure.
const SOME_LIFE: Duration = Duration::from_secs(60);
/// Within this time after a success the service refuses another subscription (5 s by its clock).
const EXCLUSIVE: Duration = Duration::from_millis(5_200);
/// One call a second for a consumer and a shard.
const FIRST_PAUSE: Duration = Duration::from_millis(1_100);
/// Events come every 5 s at least; a connection that is silent for so long is dead.
const SILENCE: Duration = Duration::from_secs(30);
/// Failures in a row after which polling takes over.
const FAILURES: u32 = 3;
/// How long polling has taken over: doubled each time.
const FIRST_FALLBACK: Duration = Duration::from_secs(60);
const LONGEST_FALLBACK: Duration = Duration::from_secs(3600);
/// Whole lives after which earlier failures are forgotten.
const CALM_LIVES: u32 = 3;

/// Where a subscription begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Everything up to here was read.
    pub(super) from: Position,
    pub(super) at: OpenAt,
    /// The first record must be this one.
    pub(super) verify: Option<SequenceNumber>,
}

/// What a subscription came to.
#[derive(Debug)]
pub(super) enum Pushed {
    /// It stands; whether it follows one that ended after its time.
    Connected {
        again: bool,
    },
    Records(Box<PushedRecords>),
    /// It ended as it does after five minutes.
    Ended,
    Failed(FanOutError),
}

/// Where the service said to subscribe after. It advances while nothing comes, and names no record.
#[derive(Clone, Copy, Debug)]
struct Continuation {
    place: SequenceNumber,
    /// No record lies between this point and the place.
    from: Position,
    at: Instant,
}

/// What follows from a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is tried again soon.
    Again,
    /// Polling takes over for so long.
    FallBack(Duration),
}

enum Link {
    Off,
    Connecting(BoxFuture<'static, Result<Box<dyn ShardSubscription>, FanOutError>>),
    On(Box<dyn ShardSubscription>),
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "Off",
            Self::Connecting(_) => "Connecting",
            Self::On(_) => "On",
        })
    }
}

/// A shard's subscription, or the want of one.
#[derive(Debug)]
pub(super) struct Push {
    link: Link,
    consumer: Option<ConsumerArn>,
    /// When the latest subscription began to stand.
    since: Option<Instant>,
    heard_at: Instant,
    not_before: Instant,
    failures: u32,
    fallbacks: u32,
    calm: u32,
    /// Its first record must be this one.
    pub(super) verify: Option<SequenceNumber>,
    /// Everything up to here was pushed, or lay before the start. A tail that stands before this point is not the one that was pushed to.
    reached: Option<Position>,
    continuation: Option<Continuation>,
    /// The next subscription follows one that ended after its time.
    again: bool,
    jitter: SmallRng,
}

impl Push {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        Self {
            link: Link::Off,
            consumer: None,
            since: None,
            heard_at: now,
            not_before: now,
            failures: 0,
            fallbacks: 0,
            calm: 0,
            verify: None,
            reached: None,
            continuation: None,
            again: false,
            // tests run the same schedule each time
            jitter: SmallRng::seed_from_u64(if cfg!(test) { 0 } else { rand::random() }),
        }
    }

    /// Whether records are pushed.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.link, Link::On(_))
    }

    pub(super) fn is_off(&self) -> bool {
        matches!(self.link, Link::Off)
    }

    /// When it may be tried, if that is later than now.
    pub(super) fn not_before(&self) -> Option<Instant> {
        Some(self.not_before).filter(|at| *at > Instant::now())
    }

    /// The place to subscribe after instead of the record at a point: no record lies between, and all that follows is younger than `age`.
    pub(super) fn continuation(&self, position: Position, age: Duration) -> Option<SequenceNumber> {
        let known = self.continuation?;
        (known.from <= position && known.at.elapsed() < age).then_some(known.place)
    }

    /// An event was taken, up to a point.
    pub(super) fn took(&mut self, to: Position, place: Option<SequenceNumber>) {
        self.reached = Some(to);
        self.continuation = place.map(|place| Continuation {
            place,
            from: to,
            at: Instant::now(),
        });
    }

    /// Whether what comes next follows this point without a gap.
    pub(super) fn goes_on_from(&self, position: Position) -> bool {
        self.reached.is_some_and(|reached| reached <= position)
    }

    /// Begins to subscribe.
    pub(super) fn connect(&mut self, context: &Arc<StreamContext>, shard: &ShardId, consumer: ConsumerArn, place: Place) {
        let Place { from, at, verify } = place;
        tracing::debug!(stream = %context.stream, %shard, %consumer, ?at, "subscribing");
        self.reached = Some(from);
        let (context, shard, arn) = (Arc::clone(context), shard.clone(), consumer.clone());
        self.consumer = Some(consumer);
        self.verify = verify;
        self.heard_at = Instant::now();
        // Holds no permit of the calls in flight: it is not polled while the task makes a call of its own, which needs one.
        self.link = Link::Connecting(Box::pin(async move {
            match context.source.fan_out() {
                Some(fan_out) => fan_out.subscribe(&context.stream, &arn, &shard, at).await,
                None => Err(FanOutError::new(FanOutErrorKind::Invalid, "the source cannot push")),
            }
        }));
    }

    /// What comes next; never, without a subscription. Cancel safe.
    pub(super) async fn next(&mut self) -> Pushed {
        match &mut self.link {
            Link::Off => std::future::pending().await,
            Link::Connecting(connecting) => {
                let connected = connecting.await;
                self.heard_at = Instant::now();
                match connected {
                    Ok(subscription) => {
                        self.since = Some(self.heard_at);
                        self.link = Link::On(subscription);
                        let again = std::mem::take(&mut self.again);
                        Pushed::Connected { again }
                    }
                    Err(error) => {
                        self.link = Link::Off;
                        Pushed::Failed(error)
                    }
                }
            }
            Link::On(subscription) => {
                let silence = self.heard_at + SILENCE;
                let Ok(next) = tokio::time::timeout_at(silence, subscription.next()).await else {
                    let message = format!("nothing came for {SILENCE:?}");
                    return Pushed::Failed(FanOutError::new(FanOutErrorKind::Unavailable, message));
                };
                self.heard_at = Instant::now();
                match next {
                    Ok(Some(records)) => Pushed::Records(Box::new(records)),
                    Ok(None) if self.lived() >= WHOLE_LIFE => Pushed::Ended,
                    Ok(None) => {
                        let message = format!("the subscription ended after {:?}", self.lived());
                        Pushed::Failed(FanOutError::new(FanOutErrorKind::Unavailable, message))
                    }
                    Err(error) => Pushed::Failed(error),
                }
            }
        }
    }

    fn lived(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Ends the subscription, if there is one.
    pub(super) fn off(&mut self) {
        self.link = Link::Off;
        self.verify = None;
        // what follows waits until the service takes another one
        let exclusive = self.since.map_or(self.not_before, |since| since + EXCLUSIVE);
        self.not_before = self.not_before.max(exclusive);
    }

    /// It ended after its time.
    pub(super) fn ended(&mut self) {
        self.off();
        (self.failures, self.again) = (0, true);
        self.calm += 1;
        if self.calm >= CALM_LIVES {
            self.fallbacks = 0;
        }
    }

    /// It failed: what now. Another process that takes over is left alone for longer each time, so that two do not take from each other in turn.
    pub(super) fn failed(&mut self, kind: FanOutErrorKind) -> Verdict {
        let stood = self.is_on();
        if stood && self.lived() >= SOME_LIFE {
            self.failures = 0;
        }
        self.off();
        self.failures += 1;
        let hopeless = match kind {
            FanOutErrorKind::InUse => stood,
            FanOutErrorKind::Denied | FanOutErrorKind::Invalid => true,
            FanOutErrorKind::LimitExceeded | FanOutErrorKind::NotFound | FanOutErrorKind::Unavailable => false,
        };
        let pause = if hopeless || self.failures >= FAILURES {
            let most = FIRST_FALLBACK.saturating_mul(1 << self.fallbacks.min(10)).min(LONGEST_FALLBACK);
            (self.fallbacks, self.failures, self.calm) = (self.fallbacks.saturating_add(1), 0, 0);
            Verdict::FallBack(most.mul_f64(self.jitter.random_range(0.8..=1.2)))
        } else {
            Verdict::Again
        };
        let wait = match (pause, kind) {
            (Verdict::FallBack(pause), _) => pause,
            (Verdict::Again, FanOutErrorKind::InUse) => EXCLUSIVE.mul_f64(self.jitter.random_range(1.0..=1.5)),
            (Verdict::Again, _) => FIRST_PAUSE.saturating_mul(1 << self.failures.min(4)),
        };
        self.not_before = self.not_before.max(Instant::now() + wait);
        pause
    }

    /// The consumer that was last subscribed.
    pub(super) fn consumer(&self) -> Option<&ConsumerArn> {
        self.consumer.as_ref()
    }
}
