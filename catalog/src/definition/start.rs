//! Where a query starts, as text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};
use serde::{Deserialize, Serialize};

/// Default start of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Start {
    /// The oldest record kept.
    TrimHorizon,
    /// Records that arrive after the statement.
    Latest,
    /// That long before the statement.
    Age(Duration),
    /// Records that arrived at or after this time.
    Timestamp(DateTime<Utc>),
}

impl FromStr for Start {
    type Err = String;

    /// `trim_horizon`, `latest`, an age such as `-24h` or `-1h30m` (units ms, s, m, h, d, w), RFC 3339 or `yyyy-MM-dd[ HH:mm:ss[.SSS]]` (UTC).
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        if trimmed.eq_ignore_ascii_case("trim_horizon") {
            return Ok(Self::TrimHorizon);
        }
        if trimmed.eq_ignore_ascii_case("latest") {
            return Ok(Self::Latest);
        }
        if let Some(age) = trimmed.strip_prefix('-') {
            return parse_age(age)
                .map(Self::Age)
                .ok_or_else(|| format!("`{text}` is not an age: write for example -30s, -15m, -24h, -7d or -1h30m"));
        }
        parse_time(trimmed)
            .map(Self::Timestamp)
            .ok_or_else(|| format!("`{text}` is not a start: use trim_horizon, latest, an age (-24h) or a time (2024-07-01 12:00:00, UTC unless it says an offset)"))
    }
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("trim_horizon"),
            Self::Latest => f.write_str("latest"),
            Self::Age(age) if age.subsec_millis() == 0 => write!(f, "-{}s", age.as_secs()),
            Self::Age(age) => write!(f, "-{}ms", age.as_millis()),
            Self::Timestamp(at) => f.write_str(&at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        }
    }
}

/// Digits and units (ms, s, m, h, d, w), summed.
pub(super) fn parse_age(mut rest: &str) -> Option<Duration> {
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let count: u64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let millis = match &*rest[..letters].to_ascii_lowercase() {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(count.checked_mul(millis)?))?;
        rest = &rest[letters..];
    }
    // An age that reaches before year 0 cannot be subtracted from any statement's time.
    (total <= Duration::from_secs(2000 * 366 * 86_400)).then_some(total)
}

fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(at) = DateTime::parse_from_rfc3339(text) {
        return Some(at.with_timezone(&Utc));
    }
    for pattern in ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f"] {
        if let Ok(at) = NaiveDateTime::parse_from_str(text, pattern) {
            return Some(at.and_utc());
        }
    }
    Some(NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0)?.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ages_and_times() {
        let start = |text: &str| text.parse::<Start>().unwrap();
        assert_eq!(start("trim_horizon"), Start::TrimHorizon);
        assert_eq!(start("LATEST"), Start::Latest);
        assert_eq!(start("-24h"), Start::Age(Duration::from_secs(86_400)));
        assert_eq!(start("-1h30m"), Start::Age(Duration::from_secs(5_400)));
        assert_eq!(start("-500ms"), Start::Age(Duration::from_millis(500)));
        // date -u -d '2016-07-10 12:03:56.124' +%s%3N
        let Start::Timestamp(at) = start("2016-07-10 12:03:56.124") else {
            panic!("a time")
        };
        assert_eq!(at.timestamp_millis(), 1_468_152_236_124);
        let Start::Timestamp(at) = start("2016-07-10T05:03:56-07:00") else {
            panic!("a time")
        };
        assert_eq!(at.timestamp(), 1_468_152_236);
        let Start::Timestamp(at) = start("2016-07-10") else {
            panic!("a time")
        };
        assert_eq!(at.timestamp(), 1_468_108_800);
    }

    #[test]
    fn what_is_refused() {
        for text in [
            "",
            "-",
            "-24",
            "-h",
            "-1y",
            "24h",
            "tomorrow",
            "2016-13-01",
            "-99999999999999999999d",
            "-9999999w",
        ] {
            assert!(text.parse::<Start>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_displayed_parses_again() {
        for text in ["trim_horizon", "latest", "-24h", "-1500ms", "2016-07-10T12:03:56.124Z"] {
            let start: Start = text.parse().unwrap();
            assert_eq!(start.to_string().parse::<Start>().unwrap(), start);
        }
    }
}
