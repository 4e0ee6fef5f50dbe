//! What the name of a stored segment says: everything that is needed to know whether to read it.
//!
//! `FROM_TO_ROWS_BYTES_EARLIEST_LATEST_CHECKSUM.v1.parquet`, each part of a fixed width, so that names are listed in the order of positions, and made
//! of characters that every file system and object store takes. A position is the sequence number ([`PADDED_DIGITS`] decimal digits), `-`, and 0 for
//! the point before the record or one more than the sub-sequence number for the point after (10 digits).
//!
//! Two more facts of a shard are names alone, of empty files: `first_POSITION_ARRIVAL.mark` (its oldest record) and `end_POSITION.mark` (it ends there).

use std::fmt;

use sha2::{Digest, Sha256};

use crate::{PADDED_DIGITS, Position, SequenceNumber};

/// Version of the layout of a file.
pub(crate) const FORMAT: &str = "v1";
const SEGMENT: &str = ".v1.parquet";
const MARK: &str = ".mark";
/// A file that is being written.
pub(crate) const TEMPORARY: &str = "tmp-";

/// The first half of the SHA-256 of a whole file.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Checksum([u8; 16]);

impl Checksum {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Self(half)
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// A stored segment: records `[from, to)` of a shard, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentName {
    pub(crate) from: Position,
    pub(crate) to: Position,
    pub(crate) rows: u32,
    /// Payloads and partition keys.
    pub(crate) wire_bytes: u64,
    /// Least and greatest arrival time, ms since the epoch.
    pub(crate) arrivals: (i64, i64),
    pub(crate) checksum: Checksum,
}

/// What a file in a shard's directory is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileName {
    Segment(SegmentName),
    First(FirstRecord),
    /// The shard has ended here.
    End(Position),
}

/// The oldest record of a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstRecord {
    /// Just before it.
    pub(crate) start: Position,
    /// Ms since the epoch.
    pub(crate) arrival_ms: i64,
}

/// The most that its digits in a name hold.
const MOST_BYTES: u64 = (1 << 40) - 1;
const MOST_MILLIS: i64 = (1 << 48) - 1;

impl SegmentName {
    /// Whether a name can say all of it.
    pub(crate) fn is_sayable(&self) -> bool {
        let millis = |time: i64| (0..=MOST_MILLIS).contains(&time);
        can_say(self.from)
            && can_say(self.to)
            && self.from < self.to
            && self.rows > 0
            && self.wire_bytes <= MOST_BYTES
            && millis(self.arrivals.0)
            && millis(self.arrivals.1)
            && self.arrivals.0 <= self.arrivals.1
    }
}

impl FirstRecord {
    pub(crate) fn is_sayable(&self) -> bool {
        can_say(self.start) && (0..=MOST_MILLIS).contains(&self.arrival_ms)
    }
}

/// Whether a name can say this point: the trim horizon is no fixed one.
pub(crate) fn can_say(position: Position) -> bool {
    position.sequence().is_some_and(|sequence| sequence.padded().len() == PADDED_DIGITS)
}

impl FileName {
    /// `None`: not a name of ours.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let parsed = if let Some(text) = text.strip_suffix(SEGMENT) {
            Self::Segment(parse_segment(text)?)
        } else {
            let text = text.strip_suffix(MARK)?;
            if let Some(text) = text.strip_prefix("first_") {
                let (start, arrival) = text.split_once('_')?;
                Self::First(FirstRecord {
                    start: parse_position(start)?,
                    arrival_ms: i64::from_str_radix(arrival, 16).ok()?,
                })
            } else {
                Self::End(parse_position(text.strip_prefix("end_")?)?)
            }
        };
        // one text for one meaning
        (parsed.to_string() == text).then_some(parsed)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Segment(name) => name.fmt(f),
            Self::First(first) => write!(f, "first_{}_{:012x}{MARK}", Point(first.start), first.arrival_ms),
            Self::End(position) => write!(f, "end_{}{MARK}", Point(*position)),
        }
    }
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}_{}_{:08x}_{:010x}_{:012x}_{:012x}_{:?}{SEGMENT}",
            Point(self.from),
            Point(self.to),
            self.rows,
            self.wire_bytes,
            self.arrivals.0,
            self.arrivals.1,
            self.checksum
        )
    }
}

struct Point(Position);

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (sequence, within) = match self.0 {
            // never written: see `can_say`
            Position::TrimHorizon => (SequenceNumber::from(0), 0),
            Position::Before(sequence) => (sequence, 0),
            Position::After(sequence, sub) => (sequence, u64::from(sub) + 1),
        };
        write!(f, "{}-{within:010}", sequence.padded())
    }
}

fn parse_position(text: &str) -> Option<Position> {
    let (sequence, within) = text.split_once('-')?;
    let (sequence, within): (SequenceNumber, u64) = (sequence.parse().ok()?, within.parse().ok()?);
    Some(match within.checked_sub(1) {
        None => Position::Before(sequence),
        Some(sub) => Position::After(sequence, u32::try_from(sub).ok()?),
    })
}

fn parse_segment(text: &str) -> Option<SegmentName> {
    let parts: Vec<&str> = text.split('_').collect();
    let [from, to, rows, bytes, earliest, latest, checksum] = parts.try_into().ok()?;
    let name = SegmentName {
        from: parse_position(from)?,
        to: parse_position(to)?,
        rows: u32::from_str_radix(rows, 16).ok()?,
        wire_bytes: u64::from_str_radix(bytes, 16).ok()?,
        arrivals: (i64::from_str_radix(earliest, 16).ok()?, i64::from_str_radix(latest, 16).ok()?),
        checksum: Checksum(u128::from_str_radix(checksum, 16).ok()?.to_be_bytes()),
    };
    name.is_sayable().then_some(name)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn position() -> impl Strategy<Value = Position> {
        let sequence = proptest::collection::vec(any::<u8>(), 23).prop_map(|bytes| {
            // 23 bytes are at most 56 digits
            let mut wide = [0; 24];
            wide[1..].copy_from_slice(&bytes);
            SequenceNumber::from_bytes(wide)
        });
        let sequence = prop_oneof![sequence, any::<u64>().prop_map(SequenceNumber::from)];
        (sequence, proptest::option::of(any::<u32>())).prop_map(|(sequence, sub)| match sub {
            None => Position::Before(sequence),
            Some(sub) => Position::After(sequence, sub),
        })
    }

    prop_compose! {
        fn name()(
            (a, b) in (position(), position()).prop_filter("two points", |(a, b)| a != b),
            rows in 1u32..,
            wire_bytes in 0..=MOST_BYTES,
            early in 0..=MOST_MILLIS,
            late in 0..=MOST_MILLIS,
            checksum in any::<[u8; 16]>(),
        ) -> SegmentName {
            let arrivals = (early.min(late), early.max(late));
            SegmentName { from: a.min(b), to: a.max(b), rows, wire_bytes, arrivals, checksum: Checksum(checksum) }
        }
    }

    proptest! {
        #[test]
        fn names_say_what_they_were_made_of_and_sort_as_positions_do(a in name(), b in name(), arrival_ms in 0..=MOST_MILLIS) {
            for name in [FileName::Segment(a), FileName::First(FirstRecord { start: a.from, arrival_ms }), FileName::End(a.to)] {
                let text = name.to_string();
                prop_assert_eq!(FileName::parse(&text), Some(name));
                prop_assert!(text.len() < 255, "a file system's limit");
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{}", text);
                prop_assert!(!text.starts_with(TEMPORARY));
            }
            prop_assert_eq!(a.to_string().cmp(&b.to_string()), (a.from, a.to).cmp(&(b.from, b.to)).then(a.to_string().cmp(&b.to_string())));
        }

        #[test]
        fn no_other_text_is_taken_for_a_name(name in name(), at in 0usize..226, byte in 33u8..127) {
            let text = name.to_string();
            let mut other = text.clone().into_bytes();
            let at = at % other.len();
            other[at] = byte;
            let other = String::from_utf8(other).unwrap();
            // either it is refused, or it says something else
            prop_assert!(other == text || FileName::parse(&other) != Some(FileName::Segment(name)));
            prop_assert!(FileName::parse(&text[..at]).is_none());
        }
    }

    #[test]
    fn a_name_by_hand() {
        let name = SegmentName {
            from: Position::Before(7.into()),
            to: Position::After(u64::MAX.into(), 4),
            rows: 255,
            wire_bytes: 65_536,
            arrivals: (0, 1_767_225_600_000),
            checksum: Checksum::of(b"abc"),
        };
        // the checksum is the well-known vector of FIPS 180-2
        let expected = format!(
            "{}7-0000000000_{}18446744073709551615-0000000005_000000ff_0000010000_000000000000_019b76daa800_ba7816bf8f01cfea414140de5dae2223.v1.parquet",
            "0".repeat(56),
            "0".repeat(37)
        );
        assert_eq!(name.to_string(), expected);
        assert!(FORMAT.len() == 2 && SEGMENT.contains(FORMAT));
        assert_eq!(FileName::parse("x.parquet"), None);
        assert_eq!(FileName::parse("first_.mark"), None);
        assert!(!can_say(Position::TrimHorizon));
        assert!(can_say(Position::After(SequenceNumber::MAX, u32::MAX)));
        assert!(!can_say(Position::Before(SequenceNumber::from_bytes([255; 24]))));
    }
}
