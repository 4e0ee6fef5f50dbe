//! The time the service goes by.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

/// The service's clock: the system's, or one that stands still until it is told otherwise.
///
/// Clones share one time. Arrival timestamps, iterator expiry, retention, `MillisBehindLatest`, the real limits, the
/// life and the heartbeats of subscriptions, and the `Date` header all go by it; only [`Fault::Delay`](crate::Fault::Delay) waits in real time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// A clock that stands still holds the time in `millis`, a running one its distance to the system's.
    stands_still: bool,
    millis: AtomicI64,
    /// Tells those who wait for a time that the clock was moved.
    moved: watch::Sender<()>,
}

impl Clock {
    /// A clock that runs with the system's.
    #[must_use]
    pub fn system() -> Self {
        Self(Arc::new(Inner {
            stands_still: false,
            millis: AtomicI64::new(0),
            moved: watch::Sender::new(()),
        }))
    }

    /// A clock that stands at `millis` since the Unix epoch and moves only by [`advance`](Self::advance) and [`set`](Self::set).
    #[must_use]
    pub fn manual(millis: i64) -> Self {
        Self(Arc::new(Inner {
            stands_still: true,
            millis: AtomicI64::new(millis),
            moved: watch::Sender::new(()),
        }))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        let millis = self.0.millis.load(Ordering::SeqCst);
        if self.0.stands_still {
            millis
        } else {
            system_ms().saturating_add(millis)
        }
    }

    /// Moves the clock forward; a running one keeps running from there.
    pub fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.0.millis.fetch_add(by, Ordering::SeqCst);
        self.0.moved.send_replace(());
    }

    /// Sets the clock to `millis` since the Unix epoch; a running one keeps running from there.
    pub fn set(&self, millis: i64) {
        let stored = if self.0.stands_still {
            millis
        } else {
            millis.saturating_sub(system_ms())
        };
        self.0.millis.store(stored, Ordering::SeqCst);
        self.0.moved.send_replace(());
    }

    /// Waits until it is that time (ms since the Unix epoch), however the clock is moved meanwhile.
    pub(crate) async fn sleep_until(&self, at_ms: i64) {
        let mut moved = self.0.moved.subscribe();
        loop {
            moved.borrow_and_update();
            let left = at_ms.saturating_sub(self.now_ms());
            let Some(left) = u64::try_from(left).ok().filter(|left| *left > 0) else {
                return;
            };
            // the sender lives as long as the clock
            if self.0.stands_still {
                let _ = moved.changed().await;
            } else {
                let _ = tokio::time::timeout(Duration::from_millis(left), moved.changed()).await;
            }
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::system()
    }
}

fn system_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_stands_until_it_is_moved() {
        let clock = Clock::manual(1_000);
        let other = clock.clone();
        assert_eq!(clock.now_ms(), 1_000);
        other.advance(Duration::from_millis(250));
        assert_eq!(clock.now_ms(), 1_250);
        other.set(5);
        assert_eq!(clock.now_ms(), 5);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_time_wakes_when_it_is_set() {
        let clock = Clock::manual(1_000);
        let mut waiting = tokio::task::JoinSet::new();
        let waiter = clock.clone();
        waiting.spawn(async move { waiter.sleep_until(2_000).await });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_millis(999));
        tokio::task::yield_now().await;
        assert!(waiting.try_join_next().is_none());
        clock.set(2_000);
        waiting.join_next().await.unwrap().unwrap();
        Clock::system().sleep_until(0).await;
    }

    #[test]
    fn a_running_clock_runs_on_from_where_it_is_put() {
        let clock = Clock::system();
        let before = clock.now_ms();
        clock.advance(Duration::from_secs(3_600));
        assert!(clock.now_ms() >= before + 3_600_000);
        clock.set(10_000);
        assert!((10_000..70_000).contains(&clock.now_ms()));
    }
}
