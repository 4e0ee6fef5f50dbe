//! The rows of a record of JSON.

use serde::de::Error;
use serde_json::value::RawValue;

use crate::{JsonFormat, JsonRows};

/// The text of each row; an error if the record is not what the format says.
pub(super) fn rows<'a>(content: &'a [u8], format: &JsonFormat) -> Result<Vec<&'a str>, serde_json::Error> {
    let text = std::str::from_utf8(content).map_err(serde_json::Error::custom)?;
    match format.rows {
        JsonRows::Value => Ok(vec![serde_json::from_str::<&RawValue>(text)?.get()]),
        JsonRows::Lines => {
            let lines = text.lines().filter(|line| !line.trim().is_empty());
            lines
                .map(|line| serde_json::from_str::<&RawValue>(line).map(RawValue::get))
                .collect()
        }
        JsonRows::Values => values(text).map(|values| values.collect())?,
        JsonRows::Elements => {
            let mut rows = Vec::new();
            for value in values(text)? {
                match at(value?, &format.elements_of) {
                    Some(array) if array.starts_with('[') => {
                        rows.extend(serde_json::from_str::<Vec<&RawValue>>(array)?.into_iter().map(RawValue::get));
                    }
                    Some(value) if format.elements_of.is_empty() => rows.push(value),
                    _ => {}
                }
            }
            Ok(rows)
        }
    }
}

/// Values one after the other.
fn values(text: &str) -> Result<impl Iterator<Item = Result<&str, serde_json::Error>>, serde_json::Error> {
    let values: Vec<_> = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>().collect();
    Ok(values.into_iter().map(|value| value.map(RawValue::get)))
}

/// What the keys lead to.
fn at<'a>(value: &'a str, keys: &[String]) -> Option<&'a str> {
    let Some((key, rest)) = keys.split_first() else {
        return Some(value);
    };
    let fields: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(value).ok()?;
    at(fields.get(key)?.get(), rest)
}
