//! Dates and timestamps from text.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::TimeUnit;
use chrono::format::{Item, Parsed, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Utc};

use super::coerce;
use super::fixed::FixedPattern;

/// Days from the day that `num_days_from_ce` counts from to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;

/// A strftime pattern, checked and compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    items: Vec<Item<'static>>,
    fixed: Option<FixedPattern>,
}

impl Pattern {
    /// A pattern that says a point in time: at least a date. Without an offset its text is UTC, without a time of day it is midnight.
    pub(crate) fn timestamp(text: &str) -> Result<Self, String> {
        let pattern = Self::new(text)?;
        pattern.check(text, |written| pattern.instant(written).is_some())?;
        Ok(pattern)
    }

    /// A pattern that says a date.
    pub(crate) fn date(text: &str) -> Result<Self, String> {
        let pattern = Self::new(text)?;
        pattern.check(text, |written| pattern.day(written).is_some())?;
        Ok(pattern)
    }

    fn new(text: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(text)
            .parse_to_owned()
            .map_err(|_| format!("`{text}` is not a strftime pattern"))?;
        if items.contains(&Item::Fixed(chrono::format::Fixed::TimezoneName)) {
            return Err(format!("`{text}`: `%Z` does not say an offset; use %z or %:z"));
        }
        let fixed = FixedPattern::compile(&items);
        Ok(Self { items, fixed })
    }

    /// What a pattern writes it must be able to read; one without a year cannot.
    fn check(&self, text: &str, reads: impl Fn(&str) -> bool) -> Result<(), String> {
        use std::fmt::Write;
        let mut written = String::new();
        // 2001-07-08 09:10:11.123 UTC, all of whose parts differ. Parse-only items cannot be written, and so not be checked.
        let sample = DateTime::<Utc>::from_timestamp_millis(994_583_411_123).unwrap_or_default();
        match write!(written, "{}", sample.format_with_items(self.items.iter())) {
            Ok(()) if !reads(&written) => Err(format!("`{text}` does not say a complete date (year, month and day)")),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Seconds and nanoseconds since the epoch.
    pub(super) fn instant(&self, text: &str) -> Option<(i64, u32)> {
        if let Some(seconds) = self.fixed.as_ref().and_then(|fixed| fixed.seconds(text.as_bytes())) {
            return Some((seconds, 0));
        }
        self.slow_instant(text)
    }

    /// [`Self::instant`] by chrono alone.
    pub(super) fn slow_instant(&self, text: &str) -> Option<(i64, u32)> {
        let parsed = self.parse(text)?;
        let offset = parsed.offset().unwrap_or(0);
        let local = match parsed.to_naive_datetime_with_offset(offset) {
            Ok(local) => local,
            Err(_) if has_time(&parsed) => return None,
            Err(_) => parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN),
        };
        let instant = local.and_utc();
        Some((
            instant.timestamp().checked_sub(i64::from(offset))?,
            instant.timestamp_subsec_nanos(),
        ))
    }

    /// Days since the epoch.
    pub(super) fn day(&self, text: &str) -> Option<i32> {
        Some(days_since_epoch(self.parse(text)?.to_naive_date().ok()?))
    }

    fn parse(&self, text: &str) -> Option<Parsed> {
        let mut parsed = Parsed::new();
        chrono::format::parse(&mut parsed, text, self.items.iter()).ok()?;
        Some(parsed)
    }
}

/// Whether a text that has no complete time of day says a part of one.
fn has_time(parsed: &Parsed) -> bool {
    parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() || parsed.minute().is_some() || parsed.timestamp().is_some()
}

/// Days since 1970-01-01.
pub(super) fn days_since_epoch(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// A timestamp column's rule: its pattern, or without one ISO 8601 / RFC 3339 text (no offset = UTC, a date alone = midnight) or an integer,
/// which is milliseconds since the epoch. What is finer than the unit is cut off (towards the past).
#[derive(Debug)]
pub(super) struct TimestampParser {
    pattern: Option<Pattern>,
    unit: TimeUnit,
    /// The last text and its value: log lines repeat the same second.
    last_text: String,
    last_value: Option<i64>,
}

impl TimestampParser {
    pub(super) fn new(pattern: Option<Pattern>, unit: TimeUnit) -> Self {
        Self {
            pattern,
            unit,
            last_text: String::new(),
            last_value: None,
        }
    }

    /// Units since the epoch.
    pub(super) fn parse(&mut self, text: &str) -> Option<i64> {
        if self.last_value.is_some() && text == self.last_text {
            return self.last_value;
        }
        let (seconds, nanos) = match &self.pattern {
            Some(pattern) => pattern.instant(text)?,
            None => plain_instant(text)?,
        };
        let value = in_unit(seconds, nanos, self.unit)?;
        self.last_text.clear();
        self.last_text.push_str(text);
        self.last_value = Some(value);
        Some(value)
    }
}

fn plain_instant(text: &str) -> Option<(i64, u32)> {
    let text = text.trim_ascii();
    // A date holds a second `-` (or a `T`, a `:`), a number does not; so no text is both.
    if let Some(millis) = coerce::integer(text) {
        let nanos = u32::try_from(millis.rem_euclid(1000)).ok()? * 1_000_000;
        return Some((millis.div_euclid(1000), nanos));
    }
    // Arrow's parser also takes names of zones where the build has a zone database; an instant here says its offset in digits or `Z`.
    let plain = |(at, b): (usize, u8)| b.is_ascii_digit() || b"-+:. Zz".contains(&b) || (at == 10 && matches!(b, b'T' | b't'));
    if !(0..).zip(text.bytes()).all(plain) {
        return None;
    }
    let instant = string_to_datetime(&Utc, text).ok()?;
    Some((instant.timestamp(), instant.timestamp_subsec_nanos()))
}

fn in_unit(seconds: i64, nanos: u32, unit: TimeUnit) -> Option<i64> {
    let (per_second, nanos_per_unit) = match unit {
        TimeUnit::Second => (1, 1_000_000_000),
        TimeUnit::Millisecond => (1_000, 1_000_000),
        TimeUnit::Microsecond => (1_000_000, 1_000),
        TimeUnit::Nanosecond => (1_000_000_000, 1),
    };
    // In 128 bits, since before the epoch the product alone may exceed the range that the sum is in.
    i64::try_from(i128::from(seconds) * per_second + i128::from(nanos / nanos_per_unit)).ok()
}

/// A date column's rule: its pattern, or without one ISO 8601 (`2024-07-01`).
#[derive(Debug)]
pub(super) struct DateParser {
    pattern: Option<Pattern>,
}

impl DateParser {
    pub(super) fn new(pattern: Option<Pattern>) -> Self {
        Self { pattern }
    }

    /// Days since the epoch.
    pub(super) fn parse(&self, text: &str) -> Option<i32> {
        match &self.pattern {
            Some(pattern) => pattern.day(text),
            None => {
                let text = text.trim_ascii();
                let shape = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
                NaiveDate::parse_from_str(text, "%Y-%m-%d")
                    .ok()
                    .filter(|_| shape)
                    .map(days_since_epoch)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(pattern: Option<&str>, unit: TimeUnit, text: &str) -> Option<i64> {
        let mut parser = TimestampParser::new(pattern.map(|pattern| Pattern::timestamp(pattern).unwrap()), unit);
        let first = parser.parse(text);
        assert_eq!(parser.parse(text), first, "the cache agrees");
        first
    }

    #[test]
    fn patterned_timestamps() {
        // date -d '1995-08-01 00:00:01 -0400' +%s
        let log = Some("%d/%b/%Y:%H:%M:%S %z");
        assert_eq!(parse(log, TimeUnit::Second, "01/Aug/1995:00:00:01 -0400"), Some(807_249_601));
        assert_eq!(
            parse(log, TimeUnit::Millisecond, "01/aug/1995:00:00:01 -0400"),
            Some(807_249_601_000)
        );
        for bad in [
            "",
            "junk",
            "32/Aug/1995:00:00:01 -0400",
            "01/Aug/1995:00:00:01",
            "01/Aug/1995:00:00:01 -0400 x",
            "01/Aug/1995:24:00:00 -0400",
        ] {
            assert_eq!(parse(log, TimeUnit::Second, bad), None, "{bad}");
        }
        // The whole minute before the epoch with a fraction: cut off towards the past.
        assert_eq!(
            parse(Some("%Y-%m-%d %H:%M:%S%.f"), TimeUnit::Second, "1969-12-31 23:59:59.9"),
            Some(-1)
        );
        assert_eq!(parse(Some("%s"), TimeUnit::Millisecond, "12"), Some(12_000));
        assert_eq!(parse(Some("%Y%m%d"), TimeUnit::Second, "19700102"), Some(86_400));
    }

    #[test]
    fn plain_timestamps() {
        let ms = |text: &str| parse(None, TimeUnit::Millisecond, text);
        // date -u -d '2016-07-10 12:03:56.124' +%s%3N
        for text in [
            "2016-07-10T12:03:56.124Z",
            "2016-07-10 12:03:56.124",
            "2016-07-10T05:03:56.124-07:00",
            "1468152236124",
            "1468152236124.0",
        ] {
            assert_eq!(ms(text), Some(1_468_152_236_124), "{text}");
        }
        assert_eq!(ms("2016-07-10"), Some(1_468_108_800_000));
        assert_eq!(
            parse(None, TimeUnit::Second, "-1"),
            Some(-1),
            "one millisecond before the epoch lies in second -1"
        );
        assert_eq!(
            parse(None, TimeUnit::Nanosecond, "1677-09-21T00:12:43.145224192Z"),
            Some(i64::MIN),
            "the first nanosecond that fits"
        );
        for bad in [
            "",
            "12.5",
            "yesterday",
            "2016-07-10T25:00:00Z",
            "2016-02-30",
            "2016-07-10 12:03:56 Europe/Berlin",
            "true",
        ] {
            assert_eq!(ms(bad), None, "{bad}");
        }
        assert_eq!(
            parse(None, TimeUnit::Nanosecond, "2300-01-01"),
            None,
            "beyond 64 bits of nanoseconds"
        );
    }

    #[test]
    fn dates() {
        let plain = DateParser::new(None);
        assert_eq!(plain.parse("1970-01-02"), Some(1));
        assert_eq!(plain.parse("1969-12-31"), Some(-1));
        for bad in ["", "1970-1-2", "19700102", "1970-01-02T00:00:00Z", "1"] {
            assert_eq!(plain.parse(bad), None, "{bad}");
        }
        let patterned = DateParser::new(Some(Pattern::date("%d.%m.%Y").unwrap()));
        assert_eq!(patterned.parse("02.01.1970"), Some(1));
    }

    #[test]
    fn patterns_that_cannot_work_are_refused() {
        assert!(Pattern::timestamp("%Q").unwrap_err().contains("not a strftime pattern"));
        assert!(Pattern::timestamp("%H:%M:%S").unwrap_err().contains("complete date"));
        assert!(Pattern::timestamp("%d/%b").unwrap_err().contains("complete date"));
        assert!(Pattern::timestamp("constant").unwrap_err().contains("complete date"));
        assert!(Pattern::timestamp("%Y-%m-%d %I:%M").is_err(), "hours of 12 without am or pm");
        assert!(Pattern::timestamp("%Y-%m-%d %H:%M:%S %Z").unwrap_err().contains("%z"));
        assert!(Pattern::date("%H:%M").is_err());
        assert!(Pattern::timestamp("%Y-%m-%d").is_ok());
        assert!(Pattern::timestamp("%+").is_ok());
    }
}
