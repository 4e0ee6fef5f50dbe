//! Which arrival times and sequence numbers a condition can be true for.
//!
//! Only what the condition proves: anything that is not understood can be true for all. A reach is a hull (`a < 3 or a > 7` reaches everything), so it
//! says where nothing is, and never that something is.

use std::fmt;

use shard_reader::SequenceNumber;

/// From one value to another, both included; nothing if the first is the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span<T> {
    pub(crate) low: T,
    pub(crate) high: T,
}

impl<T: Copy + Ord> Span<T> {
    pub(super) fn is_empty(&self) -> bool {
        self.low > self.high
    }

    fn meet(self, other: Self) -> Self {
        Self {
            low: self.low.max(other.low),
            high: self.high.min(other.high),
        }
    }

    fn join(self, other: Self) -> Self {
        match (self.is_empty(), other.is_empty()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self {
                low: self.low.min(other.low),
                high: self.high.max(other.high),
            },
        }
    }

    pub(super) fn meets(&self, low: T, high: T) -> bool {
        self.low <= high && self.high >= low && !self.is_empty()
    }
}

const LEAST: SequenceNumber = SequenceNumber::MIN;
const GREATEST: SequenceNumber = SequenceNumber::MAX;
const ALL_TIME: Span<i64> = Span {
    low: i64::MIN,
    high: i64::MAX,
};
const NO_TIME: Span<i64> = Span {
    low: i64::MAX,
    high: i64::MIN,
};
const ALL_SEQUENCES: Span<SequenceNumber> = Span {
    low: LEAST,
    high: GREATEST,
};
const NO_SEQUENCE: Span<SequenceNumber> = Span {
    low: GREATEST,
    high: LEAST,
};

/// Records for which a condition can be true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Arrival times, ms since the epoch.
    pub(crate) arrival: Span<i64>,
    /// Also records without an arrival time.
    pub(crate) unstamped: bool,
    pub(crate) sequence: Span<SequenceNumber>,
}

impl Reach {
    pub(crate) const ALL: Self = Self {
        arrival: ALL_TIME,
        unstamped: true,
        sequence: ALL_SEQUENCES,
    };
    pub(crate) const NONE: Self = Self {
        arrival: NO_TIME,
        unstamped: false,
        sequence: NO_SEQUENCE,
    };

    /// Records that arrived in a span.
    pub(super) fn arrived(low: i64, high: i64) -> Self {
        Self {
            arrival: Span { low, high },
            unstamped: false,
            ..Self::ALL
        }
        .or_none()
    }

    /// Records without an arrival time.
    pub(super) fn unstamped() -> Self {
        Self {
            arrival: NO_TIME,
            ..Self::ALL
        }
    }

    /// Records with numbers in a span.
    pub(crate) fn numbered(low: SequenceNumber, high: SequenceNumber) -> Self {
        Self {
            sequence: Span { low, high },
            ..Self::ALL
        }
        .or_none()
    }

    pub(super) fn given(true_for_all: bool) -> Self {
        if true_for_all { Self::ALL } else { Self::NONE }
    }

    fn or_none(self) -> Self {
        if self.is_none() { Self::NONE } else { self }
    }

    /// No record can make it true.
    pub(crate) fn is_none(&self) -> bool {
        (self.arrival.is_empty() && !self.unstamped) || self.sequence.is_empty()
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            arrival: self.arrival.meet(other.arrival),
            unstamped: self.unstamped && other.unstamped,
            sequence: self.sequence.meet(other.sequence),
        }
        .or_none()
    }

    pub(crate) fn or(self, other: Self) -> Self {
        match (self.is_none(), other.is_none()) {
            (true, _) => other,
            (_, true) => self,
            _ => Self {
                arrival: self.arrival.join(other.arrival),
                unstamped: self.unstamped || other.unstamped,
                sequence: self.sequence.join(other.sequence),
            },
        }
    }

    /// Whether a run of records can have one for which it is true. `arrivals` is all of time where a record has none.
    pub(super) fn meets(&self, arrivals: (i64, i64), sequences: (SequenceNumber, SequenceNumber)) -> bool {
        let unstamped = self.unstamped && arrivals == (i64::MIN, i64::MAX);
        (self.arrival.meets(arrivals.0, arrivals.1) || unstamped) && self.sequence.meets(sequences.0, sequences.1)
    }

    /// The least arrival time, if it is bound below.
    pub(crate) fn earliest(&self) -> Option<i64> {
        Some(self.arrival.low).filter(|low| *low != i64::MIN)
    }

    /// The greatest arrival time, if it is bound above.
    pub(crate) fn latest(&self) -> Option<i64> {
        Some(self.arrival.high).filter(|high| *high != i64::MAX)
    }

    /// The least sequence number, if it is bound below.
    pub(crate) fn lowest(&self) -> Option<SequenceNumber> {
        Some(self.sequence.low).filter(|low| *low != LEAST)
    }

    /// The greatest sequence number, if it is bound above.
    pub(crate) fn highest(&self) -> Option<SequenceNumber> {
        Some(self.sequence.high).filter(|high| *high != GREATEST)
    }
}

impl fmt::Display for Reach {
    /// What is bound; nothing for a reach over everything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("nothing");
        }
        let mut separator = "";
        let time = |ms: i64| chrono::DateTime::from_timestamp_millis(ms).map_or_else(|| ms.to_string(), |time| time.to_rfc3339());
        for (name, bound) in [
            ("arrival >= ", self.earliest().map(time)),
            ("arrival <= ", self.latest().map(time)),
            ("sequence >= ", self.lowest().map(|number| number.to_string())),
            ("sequence <= ", self.highest().map(|number| number.to_string())),
        ] {
            if let Some(bound) = bound {
                write!(f, "{separator}{name}{bound}")?;
                separator = " and ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn and_meets_or_joins() {
        let (a, b) = (Reach::arrived(10, 20), Reach::arrived(15, 30));
        assert_eq!(a.and(b), Reach::arrived(15, 20));
        assert_eq!(a.or(b), Reach::arrived(10, 30));
        assert_eq!(a.and(Reach::arrived(21, 30)), Reach::NONE);
        assert_eq!(a.or(Reach::NONE), a);
        assert_eq!(Reach::NONE.and(Reach::ALL), Reach::NONE);
        assert_eq!(Reach::arrived(3, 2), Reach::NONE);
        // a record without a time satisfies no comparison, but it may satisfy IS NULL
        let null_or_late = Reach::unstamped().or(Reach::arrived(20, i64::MAX));
        assert!(null_or_late.unstamped && null_or_late.earliest() == Some(20));
        assert_eq!(Reach::unstamped().and(a), Reach::NONE);
        let numbers = Reach::numbered(5.into(), 9.into());
        assert!(numbers.and(a).meets((0, 10), (9.into(), 12.into())));
        assert!(!numbers.and(a).meets((0, 9), (9.into(), 12.into())));
        assert!(!numbers.and(a).meets((0, 10), (10.into(), 12.into())));
        // all of time: some record of the run has none
        assert!(Reach::unstamped().meets((i64::MIN, i64::MAX), (1.into(), 2.into())));
        assert!(!Reach::unstamped().meets((0, 5), (1.into(), 2.into())));
        assert!(!Reach::NONE.meets((i64::MIN, i64::MAX), (LEAST, GREATEST)));
    }

    #[test]
    fn bounds_are_shown() {
        assert_eq!(Reach::ALL.to_string(), "");
        assert_eq!(Reach::NONE.to_string(), "nothing");
        let both = Reach::arrived(0, i64::MAX).and(Reach::numbered(7.into(), 9.into()));
        assert_eq!(
            both.to_string(),
            "arrival >= 1970-01-01T00:00:00+00:00 and sequence >= 7 and sequence <= 9"
        );
    }
}
