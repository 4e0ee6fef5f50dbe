//! `compat: presto`: what the Presto connector's JSON decoder made of a value (Jackson's `asLong`, `asDouble`, `asBoolean`), for definitions whose users
//! rely on it. The values are JSON as written, so that a text and a number differ as they did there.
//!
//! One thing is not kept: a number or text beyond the type is refused instead of being wrapped around.

use super::coerce::{self, Scaled};

/// A fraction is cut off; `true` is 1; an object, an array and a text that is no number are 0.
pub(super) fn integer(json: &str) -> Option<i64> {
    match json {
        "true" => Some(1),
        "false" => Some(0),
        _ => match unquoted(json) {
            Some(text) => match Scaled::parse(text, 0) {
                Some(scaled) => i64::try_from(scaled.value).ok(),
                None => Some(0),
            },
            None => Some(0),
        },
    }
}

/// As [`integer`], with fractions.
pub(super) fn double(json: &str) -> Option<f64> {
    match json {
        "true" => Some(1.0),
        "false" => Some(0.0),
        _ => Some(unquoted(json).and_then(coerce::float).unwrap_or(0.0)),
    }
}

/// A number is whether it is not 0; a text, whether it is `true`; all else is false.
pub(super) fn boolean(json: &str) -> bool {
    match json.as_bytes().first() {
        Some(b'"') => coerce::boolean(json.trim_matches('"')) == Some(true),
        Some(b'-' | b'0'..=b'9') => coerce::float::<f64>(json).is_some_and(|value| value != 0.0),
        _ => json == "true",
    }
}

/// The text of a string (no number holds an escape) or number; `None` for an object or array.
fn unquoted(json: &str) -> Option<&str> {
    match json.as_bytes().first()? {
        b'"' => Some(json.trim_matches('"')),
        b'{' | b'[' => None,
        _ => Some(json),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_jackson_does() {
        for (json, integer_value, double_value, boolean_value) in [
            ("12", Some(12), 12.0, true),
            ("0", Some(0), 0.0, false),
            ("-12.7", Some(-12), -12.7, true),
            ("\"2342\"", Some(2342), 2342.0, false),
            ("\" +7 \"", Some(7), 7.0, false),
            ("\"12.7\"", Some(12), 12.7, false),
            ("\"junk\"", Some(0), 0.0, false),
            ("\"\"", Some(0), 0.0, false),
            ("\" True \"", Some(0), 0.0, true),
            ("true", Some(1), 1.0, true),
            ("false", Some(0), 0.0, false),
            ("{\"a\":1}", Some(0), 0.0, false),
            ("[1]", Some(0), 0.0, false),
            ("9223372036854775808", None, 9_223_372_036_854_775_808.0, true),
        ] {
            assert_eq!(
                (integer(json), double(json), boolean(json)),
                (integer_value, Some(double_value), boolean_value),
                "{json}"
            );
        }
    }
}
