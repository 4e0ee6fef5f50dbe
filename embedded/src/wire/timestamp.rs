//! Points in time on the wire.

use ciborium::tag::Required;
use ciborium::value::Value;
use serde::de::{Deserialize, Deserializer, Error};
use serde::ser::{Serialize, Serializer};

/// Milliseconds since the Unix epoch: seconds with a fraction in JSON, tag 1 and milliseconds in CBOR.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Timestamp(pub(crate) i64);

/// The largest time that is understood: beyond, a double no longer holds the millisecond.
const LARGEST_MS: f64 = 9_007_199_254_740_992.0;

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            #[expect(clippy::cast_precision_loss, reason = "exact to the millisecond for 285,000 years")]
            let seconds = self.0 as f64 / 1_000.0;
            serializer.serialize_f64(seconds)
        } else {
            Required::<i64, 1>(self.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let millis = if deserializer.is_human_readable() {
            f64::deserialize(deserializer)? * 1_000.0
        } else {
            match Value::deserialize(deserializer)? {
                Value::Tag(_, inner) => number(&inner),
                plain => number(&plain),
            }
            .ok_or_else(|| D::Error::custom("a timestamp is a number of milliseconds"))?
        };
        if millis.is_finite() && millis.abs() <= LARGEST_MS {
            #[expect(clippy::cast_possible_truncation, reason = "within the range")]
            Ok(Self(millis.round() as i64))
        } else {
            Err(D::Error::custom("timestamp out of range"))
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "checked against the range by the caller")]
        Value::Integer(millis) => Some(i128::from(*millis) as f64),
        Value::Float(millis) => Some(*millis),
        _ => None,
    }
}
