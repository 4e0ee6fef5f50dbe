//! Patterns of fixed width, such as the common log format's, without chrono's general parser (which costs more than the rest of a log record).

use chrono::NaiveDate;
use chrono::format::{Fixed, Item, Numeric, Pad};

use super::time::days_since_epoch;

/// What stands at one place of the text.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// One byte of literal text.
    Literal(u8),
    Year,
    Month,
    MonthName,
    Day,
    Hour,
    Minute,
    Second,
    /// `+hhmm`
    Offset,
}

/// A pattern all of whose parts have one width. It reads a subset of what chrono reads, to the same values; the rest it leaves alone.
#[derive(Debug, Clone)]
pub(super) struct FixedPattern {
    parts: Box<[Part]>,
    width: usize,
}

impl FixedPattern {
    /// `None` where a part has no fixed width, or a part of the time is missing or given twice.
    pub(super) fn compile(items: &[Item<'_>]) -> Option<Self> {
        let mut parts = Vec::new();
        for item in items {
            match item {
                // Blanks match any blanks in chrono; here they match themselves.
                Item::Literal(text) | Item::Space(text) => parts.extend(text.bytes().map(Part::Literal)),
                Item::OwnedLiteral(text) | Item::OwnedSpace(text) => parts.extend(text.bytes().map(Part::Literal)),
                other => parts.push(part(other)?),
            }
        }
        let count = |wanted: &[Part]| parts.iter().filter(|part| wanted.contains(part)).count();
        let once = [
            &[Part::Year][..],
            &[Part::Month, Part::MonthName],
            &[Part::Day],
            &[Part::Hour],
            &[Part::Minute],
            &[Part::Second],
        ];
        if once.iter().any(|wanted| count(wanted) != 1) || count(&[Part::Offset]) > 1 {
            return None;
        }
        let width = parts
            .iter()
            .map(|part| match part {
                Part::Literal(_) => 1,
                Part::Year => 4,
                Part::MonthName => 3,
                Part::Offset => 5,
                Part::Month | Part::Day | Part::Hour | Part::Minute | Part::Second => 2,
            })
            .sum();
        Some(Self {
            parts: parts.into(),
            width,
        })
    }

    /// Seconds since the epoch; `None` leaves the text to chrono.
    pub(super) fn seconds(&self, text: &[u8]) -> Option<i64> {
        if text.len() != self.width {
            return None;
        }
        let (mut year, mut month, mut day, mut seconds) = (0, 0, 0, 0_i64);
        let mut rest = text;
        for part in &self.parts {
            match part {
                Part::Literal(literal) => {
                    let (first, tail) = rest.split_first()?;
                    if first != literal {
                        return None;
                    }
                    rest = tail;
                }
                Part::Year => year = i32::from(two_digits(&mut rest)?) * 100 + i32::from(two_digits(&mut rest)?),
                Part::Month => month = u32::from(two_digits(&mut rest)?),
                Part::MonthName => month = month_number(&mut rest)?,
                Part::Day => day = u32::from(two_digits(&mut rest)?),
                Part::Hour => seconds += below(24, &mut rest)? * 3600,
                Part::Minute => seconds += below(60, &mut rest)? * 60,
                // A leap second (60) is chrono's business.
                Part::Second => seconds += below(60, &mut rest)?,
                Part::Offset => {
                    let (sign, tail) = rest.split_first()?;
                    rest = tail;
                    let offset = below(24, &mut rest)? * 3600 + below(60, &mut rest)? * 60;
                    seconds += match sign {
                        b'+' => -offset,
                        b'-' => offset,
                        _ => return None,
                    };
                }
            }
        }
        Some(i64::from(days_since_epoch(NaiveDate::from_ymd_opt(year, month, day)?)) * 86_400 + seconds)
    }
}

fn part(item: &Item<'_>) -> Option<Part> {
    Some(match item {
        Item::Numeric(Numeric::Year, Pad::Zero) => Part::Year,
        Item::Numeric(Numeric::Month, Pad::Zero) => Part::Month,
        Item::Numeric(Numeric::Day, Pad::Zero) => Part::Day,
        Item::Numeric(Numeric::Hour, Pad::Zero) => Part::Hour,
        Item::Numeric(Numeric::Minute, Pad::Zero) => Part::Minute,
        Item::Numeric(Numeric::Second, Pad::Zero) => Part::Second,
        Item::Fixed(Fixed::ShortMonthName) => Part::MonthName,
        Item::Fixed(Fixed::TimezoneOffset) => Part::Offset,
        _ => return None,
    })
}

fn two_digits(text: &mut &[u8]) -> Option<u8> {
    let (&[tens, ones], rest) = text.split_first_chunk()?;
    *text = rest;
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

fn below(limit: u8, text: &mut &[u8]) -> Option<i64> {
    two_digits(text).filter(|value| *value < limit).map(i64::from)
}

fn month_number(text: &mut &[u8]) -> Option<u32> {
    let (name, rest) = text.split_first_chunk::<3>()?;
    *text = rest;
    Some(match &name.map(|letter| letter | 0x20) {
        b"jan" => 1,
        b"feb" => 2,
        b"mar" => 3,
        b"apr" => 4,
        b"may" => 5,
        b"jun" => 6,
        b"jul" => 7,
        b"aug" => 8,
        b"sep" => 9,
        b"oct" => 10,
        b"nov" => 11,
        b"dec" => 12,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::time::Pattern;
    use super::*;

    #[test]
    fn which_patterns_compile() {
        let compiles = |text: &str| FixedPattern::compile(&chrono::format::StrftimeItems::new(text).parse().unwrap()).is_some();
        assert!(compiles("%d/%b/%Y:%H:%M:%S %z"));
        assert!(compiles("%Y-%m-%dT%H:%M:%SZ"));
        assert!(compiles("%F %T"));
        for text in [
            "%Y-%m-%d",
            "%d/%B/%Y:%H:%M:%S",
            "%Y-%m-%d %H:%M:%S%.f",
            "%e/%b/%Y:%H:%M:%S",
            "%Y-%m-%d %I:%M:%S %p",
            "%m %b %d %Y %T",
        ] {
            assert!(!compiles(text), "{text}");
        }
    }

    proptest! {
        /// Whatever the fast way reads, chrono reads to the same value.
        #[test]
        fn agrees_with_chrono(day in 0..33u32, month in "Jan|FEB|mar|Jun|Dec|Xyz|[ -~]{3}", year in "[0-9]{4}|[+-][0-9]{3}", time in "[0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
                              blank in " |  |\t", offset in "[+-][0-2][0-9][0-6][0-9]|[+-][0-9]{2}:[0-9]{2}|Z") {
            let pattern = Pattern::timestamp("%d/%b/%Y:%H:%M:%S %z").unwrap();
            let items = chrono::format::StrftimeItems::new("%d/%b/%Y:%H:%M:%S %z").parse_to_owned().unwrap();
            let fixed = FixedPattern::compile(&items).unwrap();
            let text = format!("{day:02}/{month}/{year}:{time}{blank}{offset}");
            if let Some(seconds) = fixed.seconds(text.as_bytes()) {
                prop_assert_eq!(pattern.slow_instant(&text), Some((seconds, 0)), "{}", text);
            }
        }
    }
}
