//! JSON text that is made of values of other formats.

use super::cell::Cell;
use super::json;

/// Adds a scalar: numbers and booleans as such (what JSON has no number for is null), bytes as base64, times as ISO 8601.
pub(super) fn scalar(cell: Cell<'_>, json: &mut String) {
    use base64::Engine;
    match cell {
        Cell::Text(value) => text(value, json),
        Cell::Bytes(bytes) => text(&base64::engine::general_purpose::STANDARD.encode(bytes), json),
        Cell::Json(raw) => json.push_str(&json::compact(raw)),
        Cell::Boolean(_) | Cell::Integer(_) | Cell::Decimal(..) => json.push_str(&cell.text().unwrap_or_default()),
        Cell::Double(value) => json.push_str(&json::number(value)),
        Cell::Real(value) if value.is_finite() => json.push_str(&cell.text().unwrap_or_default()),
        Cell::Null | Cell::Real(_) => json.push_str("null"),
        Cell::Date(_) | Cell::Time(_) | Cell::Instant(..) => match cell.text() {
            Some(value) => text(&value, json),
            None => json.push_str("null"),
        },
    }
}

/// Adds a text, or a key.
pub(crate) fn text(value: &str, json: &mut String) {
    json.push('"');
    let mut rest = value;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        json.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => json.push_str("\\\""),
            b'\\' => json.push_str("\\\\"),
            b'\n' => json.push_str("\\n"),
            b'\r' => json.push_str("\\r"),
            b'\t' => json.push_str("\\t"),
            control => json.push_str(&format!("\\u{control:04x}")),
        }
        rest = &rest[at + 1..];
    }
    json.push_str(rest);
    json.push('"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn texts_are_json(value: String) {
            let mut json = String::new();
            super::text(&value, &mut json);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), value);
        }
    }
}
