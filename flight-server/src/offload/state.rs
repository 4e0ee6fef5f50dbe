//! What this process knows of a job: what it did, and what went wrong.

use std::time::Duration;

use rand::RngExt;
use tokio::time::Instant;

use super::error::OffloadError;
use super::step::Stepped;

/// The first wait after an error that may pass.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Counted since the process began.
#[derive(Debug, Clone, Default)]
pub(super) struct JobState {
    pub(super) iterations: u64,
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) bad_records: u64,
    pub(super) errors: u64,
    pub(super) watermark_ms: Option<i64>,
    /// The newest partition of time that is complete.
    pub(super) complete: Option<String>,
    pub(super) last_error: Option<String>,
    pub(super) failed_ms: Option<i64>,
    /// Errors in a row.
    failures: u32,
    /// When it is looked at next; `None`: at once.
    pub(super) due: Option<Instant>,
    pub(super) maintained: Option<Instant>,
    pub(super) running: bool,
}

impl JobState {
    pub(super) fn stepped(&mut self, stepped: &Stepped) {
        self.iterations += 1;
        self.rows += stepped.rows;
        self.files += stepped.files;
        self.bytes += stepped.bytes;
        self.bad_records += stepped.bad_records;
        self.watermark_ms = stepped.watermark_ms.or(self.watermark_ms);
        if stepped.complete.is_some() {
            self.complete.clone_from(&stepped.complete);
        }
        self.went_right();
    }

    pub(super) fn went_right(&mut self) {
        (self.failures, self.last_error, self.failed_ms) = (0, None, None);
    }

    /// How long to wait before the next attempt.
    pub(super) fn failed(&mut self, error: &OffloadError, every: Duration, now_ms: i64) -> Duration {
        if matches!(error, OffloadError::Outrun(_)) {
            // the job goes on, by somebody else; should that one end, it must not stand for longer than it is told to
            return every.mul_f64(rand::rng().random_range(0.5..1.0));
        }
        self.errors += 1;
        self.failures = self.failures.saturating_add(1);
        self.last_error = Some(error.to_string());
        self.failed_ms = Some(now_ms);
        if !error.is_retriable() {
            return every;
        }
        let most = LONGEST_WAIT.max(every);
        let doubled = FIRST_WAIT.saturating_mul(1 << self.failures.saturating_sub(1).min(10)).min(most);
        doubled.mul_f64(rand::rng().random_range(0.5..1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_tried_again_soon_and_then_less_often() {
        let every = Duration::from_secs(5);
        let mut state = JobState::default();
        let passing = OffloadError::Unavailable("gone".into());
        let waits: Vec<Duration> = (0..40).map(|_| state.failed(&passing, every, 7)).collect();
        assert!(waits[0] <= FIRST_WAIT, "{waits:?}");
        assert!(
            waits.iter().all(|wait| *wait <= LONGEST_WAIT && *wait >= FIRST_WAIT / 2),
            "{waits:?}"
        );
        assert!(waits[39] >= LONGEST_WAIT / 2, "{waits:?}");
        assert_eq!(
            (state.errors, state.failed_ms, state.last_error.as_deref()),
            (40, Some(7), Some("gone"))
        );
        assert_eq!(state.failed(&OffloadError::Invalid("wrong".into()), every, 8), every);
        state.stepped(&Stepped {
            rows: 3,
            ..Stepped::default()
        });
        assert_eq!((state.rows, state.iterations, state.last_error.clone()), (3, 1, None));
        assert!(state.failed(&passing, every, 9) <= FIRST_WAIT, "counted anew");
        let outrun = OffloadError::Outrun("others are faster".into());
        let waits: Vec<Duration> = (0..40).map(|_| state.failed(&outrun, every, 10)).collect();
        assert!(waits.iter().all(|wait| *wait <= every && *wait >= every / 2), "{waits:?}");
        assert_eq!(
            (state.errors, state.last_error.as_deref()),
            (42, Some("gone")),
            "no error of the job"
        );
    }
}
