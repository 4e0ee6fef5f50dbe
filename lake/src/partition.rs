//! Partitions: their values as text, their folders, and the rows of a batch by partition.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, take_record_batch};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use arrow::row::{RowConverter, SortField};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::scalar::ScalarValue;
use sha2::{Digest, Sha256};

/// Folder of NULL, as Hive calls it.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";
/// Delta's form of a timestamp, UTC.
const TIMESTAMP: &str = "%Y-%m-%d %H:%M:%S%.6f";
/// A longer value is cut in the folder's name, with a digest behind it: file systems allow 255 bytes for a name.
const LONGEST_VALUE: usize = 160;

/// Values of a partition, in the order of its columns; `None` is NULL.
pub(crate) type Values = Vec<(String, Option<String>)>;

/// The rows of a batch by partition, in the order in which partitions first appear. Rows keep their order.
///
/// `columns` are the positions of the partitions' columns.
pub(crate) fn split(batch: &RecordBatch, columns: &[usize]) -> Result<Vec<(Values, RecordBatch)>, ArrowError> {
    if columns.is_empty() {
        return Ok(vec![(Vec::new(), batch.clone())]);
    }
    let arrays: Vec<ArrayRef> = columns.iter().map(|index| ArrayRef::clone(batch.column(*index))).collect();
    let fields = arrays.iter().map(|array| SortField::new(array.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(&arrays)?;
    let mut groups: Vec<Vec<u32>> = Vec::new();
    let mut known = HashMap::new();
    for (index, row) in rows.iter().enumerate() {
        let group = *known.entry(row).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[group].push(u32::try_from(index).map_err(|_| ArrowError::ComputeError("a batch of too many rows".into()))?);
    }
    let schema = batch.schema();
    let whole = groups.len() == 1;
    groups
        .into_iter()
        .map(|indices| {
            let first = indices[0] as usize;
            let values = columns
                .iter()
                .zip(&arrays)
                .map(|(index, array)| Ok((schema.field(*index).name().clone(), value_text(array, first)?)))
                .collect::<Result<Values, ArrowError>>()?;
            let part = if whole {
                batch.clone()
            } else {
                take_record_batch(batch, &UInt32Array::from(indices))?
            };
            Ok((values, part))
        })
        .collect()
}

fn value_text(array: &ArrayRef, index: usize) -> Result<Option<String>, ArrowError> {
    if array.is_null(index) {
        return Ok(None);
    }
    if array.data_type() == &DataType::Utf8 {
        return Ok(Some(array.as_string::<i32>().value(index).to_owned()));
    }
    let options = FormatOptions::new()
        .with_display_error(false)
        .with_timestamp_tz_format(Some(TIMESTAMP));
    ArrayFormatter::try_new(array.as_ref(), &options)?
        .value(index)
        .try_to_string()
        .map(Some)
}

/// The value that a text stands for.
pub(crate) fn value(text: Option<&str>, data_type: &DataType) -> Result<ScalarValue, ArrowError> {
    let array: ArrayRef = std::sync::Arc::new(StringArray::from(vec![text]));
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let cast = cast_with_options(&array, data_type, &options)?;
    ScalarValue::try_from_array(&cast, 0).map_err(|error| ArrowError::ComputeError(error.to_string()))
}

/// Folders of a partition, `a=1/b=x`; empty without partitions. All of it is ASCII, whatever the values are.
pub(crate) fn folder(values: &[(String, Option<String>)]) -> String {
    let folders: Vec<String> = values
        .iter()
        .map(|(name, value)| {
            let value = value.as_deref().map_or_else(|| NULL_FOLDER.to_owned(), escape_value);
            format!("{}={value}", escape(name))
        })
        .collect();
    folders.join("/")
}

/// The values of a partition's folders; `None`: these are none. Values that are too long for a folder's name do not come back.
#[cfg(test)]
fn parse_folder(folder: &str) -> Option<Values> {
    if folder.is_empty() {
        return Some(Vec::new());
    }
    folder
        .split('/')
        .map(|segment| {
            let (name, value) = segment.split_once('=')?;
            let value = if value == NULL_FOLDER { None } else { Some(unescape(value)?) };
            Some((unescape(name)?, value))
        })
        .collect()
}

fn escape_value(value: &str) -> String {
    let escaped = escape(value);
    if escaped.len() <= LONGEST_VALUE {
        return escaped;
    }
    let digest = Sha256::digest(value.as_bytes());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("{}~{digest}", &escaped[..LONGEST_VALUE - 17])
}

/// Escapes all but letters, digits, `-`, `.` and `_`; a `_` at the beginning too, so that no text looks like NULL's folder.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        if byte.is_ascii_alphanumeric() || b"-.".contains(&byte) || (byte == b'_' && index > 0) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
fn unescape(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests;
