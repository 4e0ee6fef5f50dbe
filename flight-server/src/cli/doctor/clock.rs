//! The service's clock beside this machine's.

use std::sync::Arc;

use aws_sdk_kinesis::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_kinesis::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_kinesis::error::BoxError;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;

use super::report::{Outcome, Report};

/// A reply's date has whole seconds, and comes later than it says.
const UNCERTAIN_MS: i64 = 2_000;
/// AWS refuses signatures that are older or younger (Signature Version 4, "Elements of a request").
const REFUSED_MS: i64 = 300_000;

/// The least difference that replies showed, in ms: the service's time less ours.
#[derive(Debug, Clone, Default)]
pub(super) struct ServiceClock(Arc<Mutex<Option<i64>>>);

impl ServiceClock {
    fn note(&self, date: &str, now: DateTime<Utc>) {
        let Ok(date) = DateTime::parse_from_rfc2822(date) else { return };
        // Dates are cut to seconds: half of one is what is lost on average.
        let difference = date.timestamp_millis() + 500 - now.timestamp_millis();
        let mut least = self.0.lock();
        if least.is_none_or(|known| difference.abs() < known.abs()) {
            *least = Some(difference);
        }
    }

    /// What was seen so far.
    pub(super) fn report(&self, about: &str, report: &mut Report) {
        let (outcome, text) = verdict(*self.0.lock());
        report.add(about, "clock", outcome, text);
    }
}

fn verdict(difference: Option<i64>) -> (Outcome, String) {
    let Some(difference) = difference else {
        return (Outcome::Unknown, "no reply had a date".to_owned());
    };
    let seconds = difference as f64 / 1000.0;
    let side = if difference > 0 { "behind" } else { "ahead of" };
    match difference.abs() {
        0..=UNCERTAIN_MS => (Outcome::Ok, "agrees with the service's within 2 s".to_owned()),
        off if off < REFUSED_MS => (
            Outcome::Warning,
            format!(
                "is {:.0} s {side} the service's: statements by time read another span than is meant; synchronize it",
                seconds.abs()
            ),
        ),
        _ => (
            Outcome::Failed,
            format!(
                "is {:.0} s {side} the service's: AWS refuses what is signed 5 minutes off; synchronize it",
                seconds.abs()
            ),
        ),
    }
}

impl Intercept for ServiceClock {
    fn name(&self) -> &'static str {
        "service clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(date) = context.response().headers().get("date") {
            self.note(date, Utc::now());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_difference_counts_since_replies_come_late() {
        let clock = ServiceClock::default();
        assert_eq!(verdict(*clock.0.lock()).0, Outcome::Unknown);
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        clock.note("Thu, 26 Nov 2026 07:00:00 GMT", at("2026-11-26T07:00:09Z"));
        clock.note("Thu, 26 Nov 2026 07:00:10 GMT", at("2026-11-26T07:00:10.700Z"));
        clock.note("no date", at("2026-11-26T07:00:10Z"));
        assert_eq!(*clock.0.lock(), Some(-200));
        assert_eq!(verdict(Some(-200)).0, Outcome::Ok);
    }

    #[test]
    fn what_aws_refuses_fails() {
        let (outcome, text) = verdict(Some(61_000));
        assert_eq!(outcome, Outcome::Warning);
        assert!(text.starts_with("is 61 s behind the service's"), "{text}");
        let (outcome, text) = verdict(Some(-300_000));
        assert_eq!(outcome, Outcome::Failed);
        assert!(text.starts_with("is 300 s ahead of the service's"), "{text}");
    }
}
