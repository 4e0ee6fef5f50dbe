//! The limits of one shard, as on AWS: 1 MiB/s and 1,000 records/s in; 2 MiB/s and 5 `GetRecords` a second out, with a pause of 5 s after a page
//! of 10 MiB; 5 `GetShardIterator` a second. What subscriptions give does not count: each has 2 MiB/s of its own.

/// One shard's budgets.
#[derive(Debug)]
pub(crate) struct ShardLimiter {
    bytes_in: Bucket,
    records_in: Bucket,
    bytes_out: Bucket,
    calls_out: Bucket,
    iterators: Bucket,
    paused_until_ms: i64,
}

const MIB: f64 = 1_048_576.0;
const PAUSE_AFTER_FULL_PAGE_MS: i64 = 5_000;

impl ShardLimiter {
    pub(crate) fn new() -> Self {
        Self {
            bytes_in: Bucket::new(MIB),
            records_in: Bucket::new(1_000.0),
            bytes_out: Bucket::new(2.0 * MIB),
            calls_out: Bucket::new(5.0),
            iterators: Bucket::new(5.0),
            paused_until_ms: i64::MIN,
        }
    }

    /// Whether a record of `bytes` may be put now; takes it from the budget if so.
    pub(crate) fn put(&mut self, now_ms: i64, bytes: u64) -> bool {
        #[expect(clippy::cast_precision_loss, reason = "a record has at most some MiB")]
        let bytes = bytes as f64;
        let fits = self.bytes_in.covers(now_ms, bytes) && self.records_in.covers(now_ms, 1.0);
        if fits {
            self.bytes_in.take(bytes);
            self.records_in.take(1.0);
        }
        fits
    }

    /// Whether `GetRecords` may be called now.
    pub(crate) fn get(&mut self, now_ms: i64) -> bool {
        let fits = now_ms >= self.paused_until_ms && self.bytes_out.covers(now_ms, f64::MIN_POSITIVE) && self.calls_out.covers(now_ms, 1.0);
        if fits {
            self.calls_out.take(1.0);
        }
        fits
    }

    /// Notes a page that was served, and whether it was cut at the largest size.
    pub(crate) fn served(&mut self, now_ms: i64, bytes: u64, full: bool) {
        #[expect(clippy::cast_precision_loss, reason = "a page has at most some MiB")]
        self.bytes_out.take(bytes as f64);
        if full {
            self.paused_until_ms = now_ms + PAUSE_AFTER_FULL_PAGE_MS;
        }
    }

    /// Whether `GetShardIterator` may be called now.
    pub(crate) fn iterator(&mut self, now_ms: i64) -> bool {
        let fits = self.iterators.covers(now_ms, 1.0);
        if fits {
            self.iterators.take(1.0);
        }
        fits
    }
}

/// A token bucket that holds one second's worth; it may go into debt.
#[derive(Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    tokens: f64,
    filled_at_ms: Option<i64>,
}

impl Bucket {
    pub(crate) fn new(per_second: f64) -> Self {
        Self {
            per_second,
            tokens: per_second,
            filled_at_ms: None,
        }
    }

    fn covers(&mut self, now_ms: i64, amount: f64) -> bool {
        let since_ms = now_ms.saturating_sub(self.filled_at_ms.unwrap_or(now_ms)).max(0);
        self.filled_at_ms = Some(now_ms);
        #[expect(clippy::cast_precision_loss, reason = "a bucket is full long before")]
        let refill = since_ms as f64 / 1_000.0 * self.per_second;
        self.tokens = (self.tokens + refill).min(self.per_second);
        self.tokens >= amount.min(self.per_second)
    }

    /// When the debt is paid: now, if there is none.
    pub(crate) fn paid_at(&mut self, now_ms: i64) -> i64 {
        if self.covers(now_ms, 0.0) {
            return now_ms;
        }
        #[expect(clippy::cast_possible_truncation, reason = "an event's debt is paid within seconds")]
        let wait_ms = (-self.tokens / self.per_second * 1_000.0).ceil() as i64;
        now_ms.saturating_add(wait_ms)
    }

    pub(crate) fn take(&mut self, amount: f64) {
        self.tokens -= amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_takes_a_thousand_records() {
        let mut limiter = ShardLimiter::new();
        assert_eq!((0..2_000).filter(|_| limiter.put(0, 100)).count(), 1_000);
        assert_eq!((0..2_000).filter(|_| limiter.put(500, 100)).count(), 500);
    }

    #[test]
    fn a_second_takes_a_mebibyte() {
        let mut limiter = ShardLimiter::new();
        assert!(limiter.put(0, 600_000));
        assert!(!limiter.put(0, 600_000));
        assert!(limiter.put(0, 400_000));
        assert!(
            limiter.put(1_000, 1_048_576 + 256),
            "a record of the largest size goes into an idle shard"
        );
    }

    #[test]
    fn a_second_gives_five_calls() {
        let mut limiter = ShardLimiter::new();
        assert_eq!((0..12).filter(|_| limiter.get(0)).count(), 5);
        assert!(!limiter.get(199));
        assert!(limiter.get(400));
    }

    #[test]
    fn a_large_page_is_paid_for_and_a_full_one_pauses() {
        let mut limiter = ShardLimiter::new();
        assert!(limiter.get(0));
        limiter.served(0, 6 << 20, false);
        assert!(!limiter.get(1_900), "4 MiB in debt");
        assert!(limiter.get(2_100));
        limiter.served(2_100, 10 << 20, true);
        assert!(!limiter.get(7_099));
        assert!(limiter.get(7_200));
    }
}
