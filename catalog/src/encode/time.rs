//! Dates, times of day and timestamps as text.

use std::fmt::Write;

use arrow::datatypes::TimeUnit;
use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Datelike, NaiveTime, SecondsFormat, Utc};

use super::scalar::Kind;
use crate::decode::{DateParser, Pattern, Reading, TimeParser, with_point};
use crate::{ColumnType, FieldFormat};

/// Writes times, and reads back what a pattern made of them.
#[derive(Debug)]
pub(super) struct TimeWriter {
    form: Form,
    reader: Reader,
}

/// How decoding reads a column of the kind.
#[derive(Debug)]
enum Reader {
    Date(DateParser),
    Time(TimeParser),
    Instant(Reading),
}

#[derive(Debug)]
enum Form {
    Iso,
    Pattern(String, Vec<Item<'static>>),
    Rfc2822,
    Epoch(TimeUnit),
}

impl TimeWriter {
    /// For a column of a type that is a time.
    pub(super) fn of(column_type: &ColumnType, format: Option<&FieldFormat>) -> Result<Option<Self>, String> {
        let reader = match column_type {
            ColumnType::Date => Reader::Date(DateParser::new(Reading::new(format, Pattern::date)?)),
            ColumnType::Time(_) => Reader::Time(TimeParser::new(Reading::new(format, Pattern::time)?, TimeUnit::Nanosecond)),
            ColumnType::Timestamp(_) | ColumnType::TimestampWithZone(_) => Reader::Instant(Reading::new(format, Pattern::timestamp)?),
            // milliseconds since the epoch, written as a time
            ColumnType::BigInt if format.is_some() => Reader::Instant(Reading::new(format, Pattern::timestamp)?),
            ColumnType::Varchar if format.is_some() => return Err("a varchar that is made of a number cannot be written".into()),
            _ => return Ok(None),
        };
        let form = match format {
            None | Some(FieldFormat::Iso8601 | FieldFormat::Base64 | FieldFormat::Hex) => Form::Iso,
            Some(FieldFormat::Pattern(pattern)) => {
                let items = StrftimeItems::new(pattern)
                    .parse_to_owned()
                    .map_err(|_| format!("`{pattern}` is not a strftime pattern"))?;
                Form::Pattern(pattern.clone(), items)
            }
            Some(FieldFormat::Rfc2822) if matches!(reader, Reader::Time(_)) => Form::Iso,
            Some(FieldFormat::Rfc2822) => Form::Rfc2822,
            Some(FieldFormat::Epoch(unit)) => Form::Epoch(*unit),
        };
        Ok(Some(Self { form, reader }))
    }

    /// Adds a time; `nanos` since the epoch, or since midnight.
    pub(super) fn write(&self, nanos: i128, out: &mut String) -> Result<Kind, String> {
        let start = out.len();
        if let Form::Epoch(unit) = &self.form {
            out.push_str(&units(nanos, *unit));
            return Ok(Kind::Bare);
        }
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).map_err(|_| "the time is out of range".to_owned())?;
        let fraction = u32::try_from(nanos.rem_euclid(1_000_000_000)).unwrap_or(0);
        let instant = DateTime::<Utc>::from_timestamp(seconds, fraction)
            .filter(|instant| (0..=9999).contains(&instant.year()))
            .ok_or_else(|| "times of the years 0 to 9999 can be written".to_owned())?;
        let wrote = match (&self.form, &self.reader) {
            (Form::Pattern(_, items), Reader::Instant(_)) => write!(out, "{}", instant.format_with_items(items.iter())),
            (Form::Pattern(_, items), Reader::Date(_)) => write!(out, "{}", instant.date_naive().format_with_items(items.iter())),
            (Form::Pattern(_, items), Reader::Time(_)) => write!(out, "{}", instant.time().format_with_items(items.iter())),
            (Form::Rfc2822, _) => write!(out, "{}", instant.to_rfc2822()),
            (_, Reader::Instant(_)) => write!(out, "{}", instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            (_, Reader::Date(_)) => write!(out, "{}", instant.date_naive()),
            (_, Reader::Time(_)) => write!(out, "{}", clock(instant.time())),
        };
        // A pattern may say less than there is, or only read.
        if wrote.is_err() || self.read(&out[start..]) != Some(nanos) {
            let written = &out[start..];
            let form = match &self.form {
                Form::Pattern(pattern, _) => pattern.as_str(),
                Form::Rfc2822 => "rfc2822",
                _ => "iso8601",
            };
            return Err(format!(
                "{} is not the same again when it is written as `{form}` (\"{written}\"); cut it to what that says, as by date_trunc('second', …)",
                instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
            ));
        }
        Ok(Kind::Text)
    }

    /// What decoding makes of it, in ns.
    fn read(&self, text: &str) -> Option<i128> {
        Some(match &self.reader {
            Reader::Date(parser) => i128::from(parser.parse(text)?) * 86_400_000_000_000,
            Reader::Time(parser) => i128::from(parser.parse(text)?),
            Reader::Instant(reading) => {
                let (seconds, nanos) = reading.instant(text)?;
                i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
            }
        })
    }
}

fn clock(time: NaiveTime) -> impl std::fmt::Display {
    time.format("%H:%M:%S%.f").to_string()
}

/// A number of units, with as many digits of a fraction as it needs.
fn units(nanos: i128, unit: TimeUnit) -> String {
    let scale = match unit {
        TimeUnit::Second => 9,
        TimeUnit::Millisecond => 6,
        TimeUnit::Microsecond => 3,
        TimeUnit::Nanosecond => 0,
    };
    let text = with_point(&nanos.to_string(), scale);
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}
