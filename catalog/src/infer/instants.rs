//! Texts that say more than text: dates, timestamps, UUIDs.

use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, NaiveDate, NaiveDateTime, Utc};

/// Patterns that are tried, and whether they say an offset.
pub(super) const PATTERNS: [(&str, bool); 4] = [
    // Common Log Format
    ("%d/%b/%Y:%H:%M:%S %z", true),
    // RFC 2822
    ("%a, %d %b %Y %H:%M:%S %z", true),
    // Twitter's `created_at`
    ("%a %b %d %H:%M:%S %z %Y", true),
    ("%Y/%m/%d %H:%M:%S", false),
];

/// What all texts so far are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Texts {
    /// `2024-07-01`
    pub(super) dates: bool,
    /// ISO 8601 or RFC 3339, dates alone included.
    pub(super) instants: bool,
    /// The most digits of a second's fraction.
    pub(super) digits: usize,
    /// Which of the patterns.
    pub(super) patterns: [bool; PATTERNS.len()],
    /// Canonical UUIDs.
    pub(super) uuids: bool,
}

impl Texts {
    /// Of one more text.
    pub(super) fn of(text: &str, before: Option<Self>) -> Self {
        let kinds = before.unwrap_or(Self {
            dates: true,
            instants: true,
            digits: 0,
            patterns: [true; PATTERNS.len()],
            uuids: true,
        });
        if kinds.is_plain() {
            return kinds;
        }
        let dates = is_date(text);
        let mut patterns = kinds.patterns;
        for (still, (pattern, offset)) in patterns.iter_mut().zip(PATTERNS) {
            *still = *still
                && match offset {
                    true => DateTime::parse_from_str(text, pattern).is_ok(),
                    false => NaiveDateTime::parse_from_str(text, pattern).is_ok(),
                };
        }
        Self {
            dates: kinds.dates && dates,
            instants: kinds.instants && (dates || is_instant(text)),
            digits: kinds.digits.max(fraction_digits(text)),
            patterns,
            uuids: kinds.uuids && is_uuid(text),
        }
    }

    /// What both are.
    pub(super) fn and(self, other: Self) -> Self {
        let mut patterns = self.patterns;
        for (own, other) in patterns.iter_mut().zip(other.patterns) {
            *own = *own && other;
        }
        Self {
            dates: self.dates && other.dates,
            instants: self.instants && other.instants,
            digits: self.digits.max(other.digits),
            patterns,
            uuids: self.uuids && other.uuids,
        }
    }

    /// Nothing but text.
    fn is_plain(self) -> bool {
        !self.dates && !self.instants && !self.uuids && self.patterns.iter().all(|pattern| !pattern)
    }
}

fn is_date(text: &str) -> bool {
    text.len() == 10 && NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok()
}

/// As the decoder reads a timestamp without a pattern.
fn is_instant(text: &str) -> bool {
    let bytes = text.as_bytes();
    let looks = bytes.len() >= 16 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-' && matches!(bytes[10], b'T' | b' ');
    looks && string_to_datetime(&Utc, text).is_ok()
}

fn fraction_digits(text: &str) -> usize {
    text.split_once('.')
        .map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count())
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}
