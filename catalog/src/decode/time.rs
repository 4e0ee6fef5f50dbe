//! Dates, times of day and timestamps from text.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use arrow::datatypes::TimeUnit;
use chrono::format::{Fixed, Item, Numeric, Parsed, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};

use super::coerce::{self, Scaled};
use super::fixed::FixedPattern;
use super::zone::Zone;
use crate::FieldFormat;

/// Days from the day that `num_days_from_ce` counts from to 1970-01-01.
const EPOCH_FROM_CE: i32 = 719_163;

/// A strftime pattern, checked and compiled.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    items: Vec<Item<'static>>,
    fixed: Option<FixedPattern>,
    /// Which of the items is the name of a zone.
    zone: Option<usize>,
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

    /// A pattern that says a time of day.
    pub(crate) fn time(text: &str) -> Result<Self, String> {
        let pattern = Self::new(text)?;
        match pattern.writes().is_some_and(|written| pattern.time_of_day(&written).is_none()) {
            true => Err(format!("`{text}` does not say a complete time of day (hour and minute)")),
            false => Ok(pattern),
        }
    }

    fn new(text: &str) -> Result<Self, String> {
        let items = StrftimeItems::new(text)
            .parse_to_owned()
            .map_err(|_| format!("`{text}` is not a strftime pattern"))?;
        let is_name = |item: &Item<'_>| *item == Item::Fixed(Fixed::TimezoneName);
        let zone = items.iter().position(is_name);
        if items.iter().filter(|item| is_name(item)).count() > 1 || zone.is_some() && items.iter().any(says_an_offset) {
            return Err(format!("`{text}` says the zone twice"));
        }
        let fixed = FixedPattern::compile(&items);
        Ok(Self { items, fixed, zone })
    }

    /// What a pattern writes it must be able to read; one without a year cannot.
    fn check(&self, text: &str, reads: impl Fn(&str) -> bool) -> Result<(), String> {
        match self.writes().is_some_and(|written| !reads(&written)) {
            true => Err(format!("`{text}` does not say a complete date (year, month and day)")),
            false => Ok(()),
        }
    }

    /// 2001-07-08 09:10:11.123 UTC, all of whose parts differ, in this pattern. Parse-only items cannot be written, and so not be checked.
    fn writes(&self) -> Option<String> {
        use std::fmt::Write;
        let mut written = String::new();
        let sample = DateTime::<Utc>::from_timestamp_millis(994_583_411_123).unwrap_or_default();
        write!(written, "{}", sample.format_with_items(self.items.iter()))
            .ok()
            .map(|()| written)
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
        let (parsed, zone) = self.parse(text)?;
        let offset = parsed.offset().unwrap_or(0);
        let local = match parsed.to_naive_datetime_with_offset(offset) {
            Ok(local) => local,
            Err(_) if has_time(&parsed) => return None,
            Err(_) => parsed.to_naive_date().ok()?.and_time(NaiveTime::MIN),
        };
        let offset = match zone {
            Some(zone) => zone.offset(&local)?,
            None => offset,
        };
        let instant = local.and_utc();
        Some((
            instant.timestamp().checked_sub(i64::from(offset))?,
            instant.timestamp_subsec_nanos(),
        ))
    }

    /// Days since the epoch.
    pub(super) fn day(&self, text: &str) -> Option<i32> {
        Some(days_since_epoch(self.parse(text)?.0.to_naive_date().ok()?))
    }

    /// Nanoseconds since midnight.
    pub(super) fn time_of_day(&self, text: &str) -> Option<i64> {
        nanos_of(self.parse(text)?.0.to_naive_time().ok()?)
    }

    fn parse(&self, text: &str) -> Option<(Parsed, Option<Zone>)> {
        let mut parsed = Parsed::new();
        let Some(at) = self.zone else {
            chrono::format::parse(&mut parsed, text, self.items.iter()).ok()?;
            return Some((parsed, None));
        };
        // Chrono passes over names of zones.
        let rest = chrono::format::parse_and_remainder(&mut parsed, text, self.items[..at].iter()).ok()?;
        let (zone, rest) = Zone::split(rest)?;
        chrono::format::parse(&mut parsed, rest, self.items[at + 1..].iter()).ok()?;
        Some((parsed, Some(zone)))
    }
}

fn says_an_offset(item: &Item<'_>) -> bool {
    matches!(
        item,
        Item::Numeric(Numeric::Timestamp, _)
            | Item::Fixed(
                Fixed::TimezoneOffset
                    | Fixed::TimezoneOffsetColon
                    | Fixed::TimezoneOffsetDoubleColon
                    | Fixed::TimezoneOffsetTripleColon
                    | Fixed::TimezoneOffsetColonZ
                    | Fixed::TimezoneOffsetZ
                    | Fixed::RFC2822
                    | Fixed::RFC3339
            )
    )
}

/// Whether a text that has no complete time of day says a part of one.
fn has_time(parsed: &Parsed) -> bool {
    parsed.hour_div_12().is_some() || parsed.hour_mod_12().is_some() || parsed.minute().is_some() || parsed.timestamp().is_some()
}

/// Days since 1970-01-01.
pub(super) fn days_since_epoch(date: NaiveDate) -> i32 {
    date.num_days_from_ce() - EPOCH_FROM_CE
}

/// How a text says a point in time.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    /// ISO 8601 / RFC 3339 text (no offset = UTC, a date alone = midnight), or an integer: milliseconds since the epoch.
    Plain,
    Pattern(Box<Pattern>),
    Rfc2822,
    /// A number of units since the epoch, or since midnight; fractions too.
    Epoch(TimeUnit),
}

impl Reading {
    /// `compile` is the check of patterns that fits the type.
    pub(crate) fn new(format: Option<&FieldFormat>, compile: fn(&str) -> Result<Pattern, String>) -> Result<Self, String> {
        Ok(match format {
            None | Some(FieldFormat::Iso8601 | FieldFormat::Base64 | FieldFormat::Hex) => Self::Plain,
            Some(FieldFormat::Pattern(pattern)) => Self::Pattern(Box::new(compile(pattern)?)),
            Some(FieldFormat::Rfc2822) => Self::Rfc2822,
            Some(FieldFormat::Epoch(unit)) => Self::Epoch(*unit),
        })
    }

    /// Seconds and nanoseconds since the epoch.
    pub(crate) fn instant(&self, text: &str) -> Option<(i64, u32)> {
        match self {
            Self::Plain => plain_instant(text),
            Self::Pattern(pattern) => pattern.instant(text),
            Self::Rfc2822 => {
                let instant = DateTime::parse_from_rfc2822(text.trim_ascii()).ok()?;
                Some((instant.timestamp(), instant.timestamp_subsec_nanos()))
            }
            Self::Epoch(unit) => {
                let nanos = units_as_nanos(text, *unit)?;
                let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?;
                Some((seconds, u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?))
            }
        }
    }

    /// Nanoseconds since midnight.
    fn time_of_day(&self, text: &str) -> Option<i64> {
        match self {
            Self::Pattern(pattern) => pattern.time_of_day(text),
            Self::Epoch(unit) => i64::try_from(units_as_nanos(text, *unit)?).ok(),
            Self::Plain | Self::Rfc2822 => {
                let text = text.trim_ascii();
                let form = if text.len() > 5 { "%H:%M:%S%.f" } else { "%H:%M" };
                let shape = text.len() >= 5 && text.as_bytes()[2] == b':';
                nanos_of(NaiveTime::parse_from_str(text, form).ok().filter(|_| shape)?)
            }
        }
    }

    /// Days since the epoch.
    fn day(&self, text: &str) -> Option<i32> {
        match self {
            Self::Plain => {
                let text = text.trim_ascii();
                let shape = text.len() == 10 && text.as_bytes()[4] == b'-' && text.as_bytes()[7] == b'-';
                NaiveDate::parse_from_str(text, "%Y-%m-%d")
                    .ok()
                    .filter(|_| shape)
                    .map(days_since_epoch)
            }
            Self::Pattern(pattern) => pattern.day(text),
            // The day as it is written, in its own zone.
            Self::Rfc2822 => Some(days_since_epoch(DateTime::parse_from_rfc2822(text.trim_ascii()).ok()?.date_naive())),
            Self::Epoch(_) => day_of(self.instant(text)?.0),
        }
    }
}

/// The day, in UTC, of seconds since the epoch.
pub(super) fn day_of(seconds: i64) -> Option<i32> {
    i32::try_from(seconds.div_euclid(86_400)).ok()
}

/// Cut off towards the past.
fn units_as_nanos(text: &str, unit: TimeUnit) -> Option<i128> {
    let places = match unit {
        TimeUnit::Second => 9,
        TimeUnit::Millisecond => 6,
        TimeUnit::Microsecond => 3,
        TimeUnit::Nanosecond => 0,
    };
    Scaled::parse(text, places).map(Scaled::floor)
}

/// A leap second has no place of its own in a day.
fn nanos_of(time: NaiveTime) -> Option<i64> {
    let nanos = i64::from(time.nanosecond());
    (nanos < 1_000_000_000).then(|| i64::from(time.num_seconds_from_midnight()) * 1_000_000_000 + nanos)
}

/// A timestamp column's rule. What is finer than the unit is cut off (towards the past).
#[derive(Debug)]
pub(super) struct TimestampParser {
    reading: Reading,
    unit: TimeUnit,
    /// As in the Presto connector: integers are milliseconds beside any reading, and what is no number of units is 0.
    presto: bool,
    /// The last text and its value: log lines repeat the same second.
    last_text: String,
    last_value: Option<i64>,
}

impl TimestampParser {
    pub(crate) fn new(reading: Reading, unit: TimeUnit, presto: bool) -> Self {
        Self {
            reading,
            unit,
            presto,
            last_text: String::new(),
            last_value: None,
        }
    }

    /// Units since the epoch.
    pub(super) fn parse(&mut self, text: &str) -> Option<i64> {
        if self.last_value.is_some() && text == self.last_text {
            return self.last_value;
        }
        let (seconds, nanos) = match self.reading.instant(text) {
            Some(instant) => instant,
            None if self.presto => match self.reading {
                Reading::Epoch(_) => (0, 0),
                _ => Reading::Epoch(TimeUnit::Millisecond).instant(text)?,
            },
            None => return None,
        };
        let value = in_unit(seconds, nanos, self.unit)?;
        self.last_text.clear();
        self.last_text.push_str(text);
        self.last_value = Some(value);
        Some(value)
    }

    /// An instant that is no text.
    pub(super) fn of(&self, seconds: i64, nanos: u32) -> Option<i64> {
        in_unit(seconds, nanos, self.unit)
    }
}

fn plain_instant(text: &str) -> Option<(i64, u32)> {
    let text = text.trim_ascii();
    if let Some(instant) = usual_instant(text.as_bytes()) {
        return Some(instant);
    }
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

/// The usual spelling, `2016-07-10T12:03:56` with a blank for the `T`, a `Z`, and whole digits of a fraction at will; all others are left to arrow's parser.
fn usual_instant(text: &[u8]) -> Option<(i64, u32)> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let shape = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if shape.iter().any(|(at, byte)| head[*at] != *byte) || !matches!(head[10], b'T' | b' ') {
        return None;
    }
    let number = |range: std::ops::Range<usize>| {
        head[range].iter().try_fold(0_u32, |value, byte| {
            byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
        })
    };
    let below = |limit: u32, at: usize| number(at..at + 2).filter(|value| *value < limit);
    let date = NaiveDate::from_ymd_opt(i32::try_from(number(0..4)?).ok()?, number(5..7)?, number(8..10)?)?;
    let seconds = below(24, 11)? * 3600 + below(60, 14)? * 60 + below(60, 17)?;
    let tail = tail.strip_suffix(b"Z").unwrap_or(tail);
    let nanos = match tail.split_first() {
        None => 0,
        Some((b'.', digits)) if (1..=9).contains(&digits.len()) => {
            digits.iter().chain(&[b'0'; 8]).take(9).try_fold(0_u32, |value, byte| {
                byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0'))
            })?
        }
        Some(_) => return None,
    };
    Some((i64::from(days_since_epoch(date)) * 86_400 + i64::from(seconds), nanos))
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

/// A date column's rule: ISO 8601 (`2024-07-01`) where nothing else is said.
#[derive(Debug)]
pub(crate) struct DateParser {
    reading: Reading,
}

impl DateParser {
    pub(crate) fn new(reading: Reading) -> Self {
        Self { reading }
    }

    /// Days since the epoch.
    pub(crate) fn parse(&self, text: &str) -> Option<i32> {
        self.reading.day(text)
    }
}

/// A time column's rule: ISO 8601 (`09:55:06.5`, `09:55`) where nothing else is said. What is finer than the unit is cut off.
#[derive(Debug)]
pub(crate) struct TimeParser {
    reading: Reading,
    unit: TimeUnit,
}

impl TimeParser {
    pub(crate) fn new(reading: Reading, unit: TimeUnit) -> Self {
        Self { reading, unit }
    }

    /// Units since midnight.
    pub(crate) fn parse(&self, text: &str) -> Option<i64> {
        self.of(self.reading.time_of_day(text)?)
    }

    /// Of nanoseconds since midnight.
    pub(super) fn of(&self, nanos: i64) -> Option<i64> {
        let per_unit = match self.unit {
            TimeUnit::Second => 1_000_000_000,
            TimeUnit::Millisecond => 1_000_000,
            TimeUnit::Microsecond => 1_000,
            TimeUnit::Nanosecond => 1,
        };
        (0..86_400_000_000_000).contains(&nanos).then(|| nanos / per_unit)
    }
}

#[cfg(test)]
mod tests;
