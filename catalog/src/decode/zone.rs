//! Names of time zones.

use chrono::offset::MappedLocalTime;
use chrono::{FixedOffset, NaiveDateTime, Offset, TimeZone};
use chrono_tz::Tz;

/// The short names that RFC 5322 gives a meaning ("obs-zone"), and UTC's; hours east of Greenwich. All others are several zones' names.
const SHORT: [(&str, i32); 12] = [
    ("UTC", 0),
    ("GMT", 0),
    ("UT", 0),
    ("Z", 0),
    ("EST", -5),
    ("EDT", -4),
    ("CST", -6),
    ("CDT", -5),
    ("MST", -7),
    ("MDT", -6),
    ("PST", -8),
    ("PDT", -7),
];

/// A zone that has a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    Fixed(i32),
    Named(Tz),
}

impl Zone {
    /// The zone whose name a text begins with: a short name, or one of the time zone database (`Europe/Berlin`); and what follows.
    pub(super) fn split(text: &str) -> Option<(Self, &str)> {
        let belongs = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '+' | '-');
        let (name, rest) = text.split_at(text.find(|c| !belongs(c)).unwrap_or(text.len()));
        let fixed = SHORT
            .iter()
            .find(|(short, _)| *short == name)
            .map(|(_, hours)| Self::Fixed(hours * 3_600));
        let zone = fixed.or_else(|| name.parse().ok().map(Self::Named))?;
        Some((zone, rest))
    }

    /// Seconds east of Greenwich at a local time: the earlier instant where clocks are put back, none where they skip it.
    pub(super) fn offset(self, local: &NaiveDateTime) -> Option<i32> {
        let seconds = |offset: FixedOffset| offset.local_minus_utc();
        match self {
            Self::Fixed(seconds) => Some(seconds),
            Self::Named(zone) => match zone.offset_from_local_datetime(local) {
                MappedLocalTime::Single(offset) | MappedLocalTime::Ambiguous(offset, _) => Some(seconds(offset.fix())),
                MappedLocalTime::None => None,
            },
        }
    }
}
