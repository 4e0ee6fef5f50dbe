//! Fixed ranges of bytes. There is no NULL in them, and nothing may be left out.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int64Type};

use super::scalar::Scalar;
use super::{EncodeError, RecordFormat};
use crate::{ColumnDefinition, ColumnType, Endian, RawEncoding, RawFormat, TableDefinition};

/// Bytes of a record at most: what Kinesis takes.
const MOST_BYTES: usize = 10 << 20;

#[derive(Debug)]
pub(super) struct Raw {
    fields: Vec<Field>,
    length: usize,
    text: String,
}

#[derive(Debug)]
struct Field {
    column: ColumnDefinition,
    writer: Scalar,
    start: usize,
    /// `None` = to the record's end.
    end: Option<usize>,
    /// A number, or bytes.
    number: Option<RawEncoding>,
    endian: Endian,
}

impl Raw {
    pub(super) fn new(format: RawFormat, columns: Vec<ColumnDefinition>, definition: &Arc<TableDefinition>) -> Result<Self, EncodeError> {
        if let Some(missing) = definition
            .columns
            .iter()
            .find(|column| !columns.iter().any(|used| used.name == column.name))
        {
            return Err(EncodeError::of(
                missing,
                "a raw record has all columns, and none is NULL; it must be written too",
            ));
        }
        let fields: Vec<Field> = columns
            .into_iter()
            .map(|column| Field::new(column, format))
            .collect::<Result<_, _>>()?;
        let mut ranges: Vec<(usize, usize, &str)> = fields
            .iter()
            .map(|field| (field.start, field.end.unwrap_or(usize::MAX), field.column.name.as_str()))
            .collect();
        ranges.sort_unstable();
        if let Some(pair) = ranges.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            return Err(EncodeError::whole(format!(
                "columns `{}` and `{}` share bytes; such records cannot be written",
                pair[0].2, pair[1].2
            )));
        }
        let length = fields.iter().map(|field| field.end.unwrap_or(field.start)).max().unwrap_or(0);
        if length > MOST_BYTES {
            return Err(EncodeError::whole(format!(
                "a record would have {length} bytes, and no stream takes that"
            )));
        }
        Ok(Self {
            fields,
            length,
            text: String::new(),
        })
    }
}

impl Field {
    fn new(column: ColumnDefinition, format: RawFormat) -> Result<Self, EncodeError> {
        let Some(raw) = column.raw else {
            return Err(EncodeError::of(&column, "a raw column needs its bytes"));
        };
        let numeric = matches!(
            column.column_type,
            ColumnType::Boolean
                | ColumnType::TinyInt
                | ColumnType::SmallInt
                | ColumnType::Integer
                | ColumnType::BigInt
                | ColumnType::Real
                | ColumnType::Double
        );
        let number = match raw.encoding {
            RawEncoding::Text => None,
            RawEncoding::Byte if !numeric => None,
            _ if !numeric => {
                return Err(EncodeError::of(
                    &column,
                    format!("a {} is read from such a number, and cannot be written as one", column.column_type),
                ));
            }
            encoding => Some(encoding),
        };
        let size = number.map(|encoding| match encoding {
            RawEncoding::Text | RawEncoding::Byte => 1,
            RawEncoding::Short => 2,
            RawEncoding::Int | RawEncoding::Float => 4,
            RawEncoding::Long | RawEncoding::Double => 8,
        });
        Ok(Self {
            writer: Scalar::of(&column).map_err(|reason| EncodeError::of(&column, reason))?,
            start: raw.start,
            end: match size {
                Some(size) => Some(raw.start + size),
                None => raw.end,
            },
            number,
            endian: raw.endian.unwrap_or(format.endian),
            column,
        })
    }
}

impl RecordFormat for Raw {
    fn encode(&mut self, values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let start = out.len();
        out.resize(start + self.length, 0);
        for (field, value) in self.fields.iter().zip(values) {
            let refuse = |reason: String| EncodeError::of(&field.column, reason);
            if value.is_null(row) {
                return Err(refuse("a raw record has no NULL".into()));
            }
            self.text.clear();
            match field.number {
                Some(encoding) => {
                    let bytes = number(encoding, field.endian, value, row).map_err(refuse)?;
                    out[start + field.start..start + field.start + bytes.len()].copy_from_slice(&bytes);
                }
                None => {
                    let plain = field.column.format.is_none();
                    let bytes = match value.data_type() {
                        DataType::Binary if plain => value.as_binary::<i32>().value(row),
                        _ => {
                            field.writer.write(value.as_ref(), row, &mut self.text).map_err(refuse)?;
                            self.text.as_bytes()
                        }
                    };
                    match field.end {
                        None => {
                            out.truncate(start + field.start);
                            out.extend_from_slice(bytes);
                        }
                        Some(end) if end - field.start == bytes.len() => {
                            out[start + field.start..start + end].copy_from_slice(bytes);
                        }
                        Some(end) => {
                            return Err(refuse(format!(
                                "its place has {} bytes, and the value {}; fill it up, as by rpad(…)",
                                end - field.start,
                                bytes.len()
                            )));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// The bytes of a number. One that does not fit in them is refused.
fn number(encoding: RawEncoding, endian: Endian, value: &ArrayRef, row: usize) -> Result<Vec<u8>, String> {
    let one = value.slice(row, 1);
    let to = |data_type: &DataType| cast(&one, data_type).map_err(|error| error.to_string());
    let mut bytes = match encoding {
        RawEncoding::Float => {
            let exact = to(&DataType::Float64)?.as_primitive::<Float64Type>().value(0);
            let single = to(&DataType::Float32)?.as_primitive::<Float32Type>().value(0);
            if f64::from(single) != exact && !exact.is_nan() {
                return Err(format!("{exact} is not exact in 4 bytes"));
            }
            single.to_be_bytes().to_vec()
        }
        RawEncoding::Double => to(&DataType::Float64)?
            .as_primitive::<Float64Type>()
            .value(0)
            .to_be_bytes()
            .to_vec(),
        whole => {
            if matches!(value.data_type(), DataType::Float32 | DataType::Float64) {
                let exact = to(&DataType::Float64)?.as_primitive::<Float64Type>().value(0);
                if exact.fract() != 0.0 || exact.abs() > 9_007_199_254_740_992.0 {
                    return Err(format!("{exact} is not a whole number"));
                }
            }
            let value = to(&DataType::Int64)?.as_primitive::<Int64Type>().value(0);
            let large = |_| format!("{value} does not fit in its bytes");
            match whole {
                RawEncoding::Short => i16::try_from(value).map_err(large)?.to_be_bytes().to_vec(),
                RawEncoding::Int => i32::try_from(value).map_err(large)?.to_be_bytes().to_vec(),
                RawEncoding::Long => value.to_be_bytes().to_vec(),
                _ => i8::try_from(value).map_err(large)?.to_be_bytes().to_vec(),
            }
        }
    };
    if endian == Endian::Little {
        bytes.reverse();
    }
    Ok(bytes)
}
