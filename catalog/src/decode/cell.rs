//! One value as a format finds it, before it is converted.

use std::borrow::Cow;

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};

/// One value as a format finds it. A typed value converts as its text does, only faster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell<'a> {
    /// Missing or null.
    Null,
    /// A text, or what is written as one: numbers and booleans of text formats.
    Text(&'a str),
    /// A JSON value as written, known to be JSON: an object or an array; for columns that take JSON (see `Sink::takes_json`) any but null.
    Json(&'a str),
    /// Bytes that need not be text.
    Bytes(&'a [u8]),
    /// A boolean.
    Boolean(bool),
    /// An integer.
    Integer(i64),
    /// A number; `NaN` and infinities too.
    Double(f64),
    /// A single-precision number.
    Real(f32),
    /// An exact number: 128 bits in two's complement, most significant byte first, of which so many last digits are a fraction.
    Decimal([u8; 16], u8),
    /// Days since the epoch.
    Date(i32),
    /// Nanoseconds since midnight.
    Time(i64),
    /// Seconds since the epoch, and nanoseconds.
    Instant(i64, u32),
}

impl<'a> Cell<'a> {
    /// Text, if these bytes are.
    pub(super) fn of_text(bytes: &'a [u8]) -> Self {
        std::str::from_utf8(bytes).map_or(Self::Bytes(bytes), Self::Text)
    }

    /// The text that a value converts as; `None` for NULL, and for bytes that are no text.
    pub(super) fn text(self) -> Option<Cow<'a, str>> {
        Some(match self {
            Self::Null => return None,
            Self::Text(text) | Self::Json(text) => Cow::Borrowed(text),
            Self::Bytes(bytes) => Cow::Borrowed(std::str::from_utf8(bytes).ok()?),
            Self::Boolean(value) => Cow::Borrowed(if value { "true" } else { "false" }),
            Self::Integer(value) => Cow::Owned(value.to_string()),
            // The shortest text that is the number, always with a point or an exponent.
            Self::Double(value) => Cow::Owned(format!("{value:?}")),
            Self::Real(value) => Cow::Owned(format!("{value:?}")),
            Self::Decimal(bytes, scale) => Cow::Owned(with_point(&i128::from_be_bytes(bytes).to_string(), usize::from(scale))),
            Self::Date(days) => Cow::Owned(NaiveDate::from_epoch_days(days)?.to_string()),
            Self::Time(nanos) => {
                let nanos = u64::try_from(nanos).ok()?;
                let seconds = u32::try_from(nanos / 1_000_000_000).ok()?;
                let time = NaiveTime::from_num_seconds_from_midnight_opt(seconds, u32::try_from(nanos % 1_000_000_000).ok()?)?;
                Cow::Owned(time.to_string())
            }
            Self::Instant(seconds, nanos) => {
                let instant = DateTime::<Utc>::from_timestamp(seconds, nanos)?;
                Cow::Owned(instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true))
            }
        })
    }
}

/// A whole number as a text, whose last digits are a fraction.
pub(crate) fn with_point(number: &str, scale: usize) -> String {
    let (minus, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{minus}{whole}{}{fraction}", if scale > 0 { "." } else { "" })
}
