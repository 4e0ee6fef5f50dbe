//! The pace of one shard's GetRecords: a budget of calls and bytes, and what to do when throttled.
//!
//! 5 calls/s and 2 MB/s per shard belong to all consumers of the account, so ours is a part of it, halved when throttled and regained slowly (AIMD).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use tokio::time::Instant;

const FIRST_BACKOFF: Duration = Duration::from_millis(100);
const LAST_BACKOFF: Duration = Duration::from_secs(5);
/// The part of the pace that is left when throttled again and again.
const LEAST_PART: f64 = 0.1;

/// A part of the budget, from 0 to 1, that can change while readers read: all readers of a process have one.
#[derive(Clone, Debug)]
pub struct Pace(Arc<AtomicU64>);

impl Pace {
    /// From now on this part.
    pub fn set(&self, part: f64) {
        self.0.store(part.clamp(LEAST_PART, 1.0).to_bits(), Ordering::Relaxed);
    }

    /// The part now.
    pub fn get(&self) -> f64 {
        f64::from_bits(self.0.load(Ordering::Relaxed))
    }
}

impl Default for Pace {
    /// All of the budget.
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(1.0_f64.to_bits())))
    }
}

#[derive(Debug)]
pub(super) struct Rate {
    pace: Pace,
    calls: Option<Bucket>,
    bytes: Option<Bucket>,
    /// For a statement that waits to be planned: twice the bytes, which by default is all that a shard gives, and none in advance. A page of 10 MiB from
    /// the far end of the stream must not hold up the search for the tip for longer than Kinesis itself does (5 s).
    planning: Option<Bucket>,
    /// Consecutive failures.
    failures: u32,
    resume_at: Option<Instant>,
    jitter: SmallRng,
}

/// A token bucket that may go into debt: the size of a page is known only when it is there.
#[derive(Debug)]
struct Bucket {
    most_per_second: f64,
    /// Tokens at most.
    capacity: f64,
    per_second: f64,
    tokens: f64,
    updated: Instant,
}

impl Bucket {
    fn new(per_second: f64, capacity: f64, now: Instant) -> Self {
        Self {
            most_per_second: per_second,
            capacity,
            per_second,
            tokens: capacity,
            updated: now,
        }
    }

    fn refill(&mut self, now: Instant, pace: f64) {
        let elapsed = now.saturating_duration_since(self.updated).as_secs_f64();
        self.tokens = (self.tokens + elapsed * self.per_second * pace).min(self.capacity);
        self.updated = now;
    }

    /// How long until there are so many tokens.
    fn wait(&mut self, wanted: f64, now: Instant, pace: f64) -> Duration {
        self.refill(now, pace);
        let missing = wanted.min(self.capacity) - self.tokens;
        if missing <= 0.0 {
            Duration::ZERO
        } else {
            Duration::from_secs_f64(missing / (self.per_second * pace))
        }
    }
}

impl Rate {
    pub(super) fn new(calls_per_second: Option<f64>, bytes_per_second: Option<u64>, pace: Pace) -> Self {
        let now = Instant::now();
        let calls = calls_per_second.filter(|rate| *rate > 0.0);
        let bytes = bytes_per_second.filter(|rate| *rate > 0).map(|rate| rate as f64);
        Self {
            pace,
            calls: calls.map(|rate| Bucket::new(rate, rate.max(1.0), now)),
            bytes: bytes.map(|rate| Bucket::new(rate, rate, now)),
            planning: bytes.map(|rate| Bucket::new(rate * 2.0, 0.0, now)),
            failures: 0,
            resume_at: None,
            // tests run the same schedule each time
            jitter: SmallRng::seed_from_u64(if cfg!(test) { 0 } else { rand::random() }),
        }
    }

    /// When the next call may be made; `None` = now.
    pub(super) fn ready_at(&mut self, planning: bool) -> Option<Instant> {
        let (now, pace) = (Instant::now(), self.pace.get());
        let calls = self.calls.as_mut().map_or(Duration::ZERO, |bucket| bucket.wait(1.0, now, pace));
        let bytes = if planning { &mut self.planning } else { &mut self.bytes };
        let bytes = bytes.as_mut().map_or(Duration::ZERO, |bucket| bucket.wait(0.0, now, pace));
        let at = (now + calls.max(bytes)).max(self.resume_at.unwrap_or(now));
        (at > now).then_some(at)
    }

    pub(super) fn call(&mut self) {
        if let Some(bucket) = &mut self.calls {
            bucket.tokens -= 1.0;
        }
    }

    pub(super) fn succeeded(&mut self, bytes: u64) {
        self.failures = 0;
        self.resume_at = None;
        let pace = self.pace.get();
        for bucket in [&mut self.bytes, &mut self.planning].into_iter().flatten() {
            bucket.refill(Instant::now(), pace);
            bucket.tokens -= bytes as f64;
        }
        for bucket in [&mut self.calls, &mut self.bytes, &mut self.planning].into_iter().flatten() {
            bucket.per_second = (bucket.per_second + bucket.most_per_second * 0.05).min(bucket.most_per_second);
        }
    }

    /// Throttled: half the pace, and a pause.
    pub(super) fn throttled(&mut self) {
        for bucket in [&mut self.calls, &mut self.bytes, &mut self.planning].into_iter().flatten() {
            let least = bucket.most_per_second * LEAST_PART;
            bucket.per_second = (bucket.per_second / 2.0).max(least);
        }
        self.failed();
    }

    /// Failed: a pause that doubles, with jitter.
    pub(super) fn failed(&mut self) {
        let most = FIRST_BACKOFF.saturating_mul(1 << self.failures.min(10)).min(LAST_BACKOFF);
        let pause = most.mul_f64(self.jitter.random_range(0.5..=1.0));
        self.failures = self.failures.saturating_add(1);
        self.resume_at = Some(Instant::now() + pause);
    }

    /// A pause of so long before the next call.
    pub(super) fn pause(&mut self, pause: Duration) {
        self.resume_at = Some(Instant::now() + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn keeps_to_calls_and_bytes() {
        let mut rate = Rate::new(Some(2.0), Some(1000), Pace::default());
        let begin = Instant::now();
        for _ in 0..22 {
            if let Some(at) = rate.ready_at(false) {
                tokio::time::sleep_until(at).await;
            }
            rate.call();
            rate.succeeded(1);
        }
        // a burst of two, then two a second
        assert_eq!(begin.elapsed().as_secs(), 10);
        rate.succeeded(10_000);
        let begin = Instant::now();
        let planning = rate.ready_at(true).unwrap() - begin;
        assert_eq!(planning.as_secs(), 5);
        tokio::time::sleep_until(rate.ready_at(false).unwrap()).await;
        // what is over the bytes of this second is paid back before the next call
        assert!((8..=10).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    }

    /// Two processes that both take a shard for theirs, for a minute.
    #[tokio::test(start_paused = true)]
    async fn two_at_half_the_pace_keep_to_the_budget_of_one() {
        async fn calls(pace: Pace, seconds: u64) -> usize {
            let mut rate = Rate::new(Some(2.0), Some(1_000_000), pace);
            // the burst with which a reader begins
            for _ in 0..2 {
                rate.call();
                rate.succeeded(1);
            }
            let end = Instant::now() + Duration::from_secs(seconds);
            let mut calls = 0;
            while let Some(at) = rate.ready_at(false).or(Some(Instant::now())).filter(|at| *at < end) {
                tokio::time::sleep_until(at).await;
                rate.call();
                rate.succeeded(1);
                calls += 1;
            }
            calls
        }
        let pace = Pace::default();
        pace.set(0.5);
        let (one, other) = tokio::join!(calls(pace.clone(), 60), calls(pace.clone(), 60));
        assert!(
            (118..=120).contains(&(one + other)),
            "{one} and {other} calls in 60 s at 2 a second"
        );
        pace.set(1.0);
        assert!((118..=120).contains(&calls(pace, 60).await));
    }

    #[tokio::test(start_paused = true)]
    async fn throttling_slows_down_and_recovers() {
        let mut rate = Rate::new(Some(4.0), None, Pace::default());
        for _ in 0..3 {
            rate.throttled();
        }
        let pause = rate.ready_at(false).unwrap() - Instant::now();
        assert!(pause >= Duration::from_millis(200) && pause <= LAST_BACKOFF, "{pause:?}");
        assert!(rate.calls.as_ref().unwrap().per_second < 1.0);
        for _ in 0..30 {
            rate.succeeded(0);
        }
        assert!((rate.calls.as_ref().unwrap().per_second - 4.0).abs() < 1e-9);
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_budget_only_failures_pause() {
        let mut rate = Rate::new(None, None, Pace::default());
        for _ in 0..1000 {
            rate.call();
            rate.succeeded(1 << 30);
            assert!(rate.ready_at(false).is_none());
        }
        rate.failed();
        assert!(rate.ready_at(false).is_some());
    }
}
