//! One value as a field of a message.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type};
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{Cardinality, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use super::avro::integer;
use super::scalar::{Kind as TextKind, Scalar, moment};
use crate::decode::duration_text;
use crate::{ColumnType, FieldFormat};

/// How values of one type are written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing<'a> {
    pub(super) column_type: &'a ColumnType,
    pub(super) format: Option<&'a FieldFormat>,
    /// As text, where the type has one.
    pub(super) scalar: Option<&'a Scalar>,
}

/// Writes a type's values as text; `None` where it has parts, or is JSON.
pub(super) fn scalar_of(column_type: &ColumnType, format: Option<&FieldFormat>) -> Result<Option<Scalar>, String> {
    match column_type {
        ColumnType::Array(_) | ColumnType::Map(..) | ColumnType::Row(_) | ColumnType::Json => Ok(None),
        other => Scalar::new(other, format).map(Some),
    }
}

/// Writes what is within another.
fn within(column_type: &ColumnType, write: impl FnOnce(Writing<'_>) -> Result<(), String>) -> Result<(), String> {
    let scalar = scalar_of(column_type, None)?;
    write(Writing {
        column_type,
        format: None,
        scalar: scalar.as_ref(),
    })
}

/// The fields of a message that is a row.
pub(super) fn row(
    descriptor: &MessageDescriptor,
    parts: &[(String, ColumnType)],
    array: &dyn Array,
    row: usize,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    let columns = array.as_struct();
    let mut chosen = Vec::new();
    let mut written = BTreeSet::new();
    for (index, (name, column_type)) in parts.iter().enumerate() {
        let field = descriptor
            .get_field_by_name(name)
            .ok_or_else(|| format!("message {} has no field `{name}`", descriptor.full_name()))?;
        let values = columns.column(index);
        if values.is_valid(row) {
            written.insert(field.number());
            if let Some(oneof) = field.containing_oneof() {
                if chosen.contains(&oneof) {
                    return Err(format!(
                        "/{name}: of `{}` only one field can be written, and several have values",
                        oneof.name()
                    ));
                }
                chosen.push(oneof);
            }
        }
        within(column_type, |writing| writing.field(&field, values.as_ref(), row, out)).map_err(|reason| at(name, &reason))?;
    }
    let missing = |field: &FieldDescriptor| field.cardinality() == Cardinality::Required && !written.contains(&field.number());
    match descriptor.fields().find(missing) {
        Some(field) => Err(format!("field `{}` is required, and has no value", field.full_name())),
        None => Ok(()),
    }
}

fn at(inside: impl std::fmt::Display, reason: &str) -> String {
    match reason.starts_with('/') {
        true => format!("/{inside}{reason}"),
        false => format!("/{inside}: {reason}"),
    }
}

impl Writing<'_> {
    /// Adds a field: its key and value, or nothing where that stands for the value.
    pub(super) fn field(&self, field: &FieldDescriptor, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        if field.is_group() {
            return Err("groups cannot be written".into());
        }
        if array.is_null(row) {
            return match field.supports_presence() {
                true => Ok(()),
                false if field.is_list() => Err("NULL would be read as an empty array; write one".into()),
                false if field.is_map() => Err("NULL would be read as an empty map; write one".into()),
                false => Err("NULL would be read as the field's default; write a value".into()),
            };
        }
        if field.is_map() {
            return self.map(field, array, row, out);
        }
        if field.is_list() {
            return self.list(field, array, row, out);
        }
        let mut value = Vec::new();
        self.value(&field.kind(), array, row, &mut value)?;
        if !field.supports_presence() && is_default(&field.kind(), &value) {
            return Ok(());
        }
        encode_key(field.number(), wire_type(&field.kind()), out);
        out.append(&mut value);
        Ok(())
    }

    fn list(&self, field: &FieldDescriptor, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let (ColumnType::Array(element), DataType::List(_)) = (self.column_type, array.data_type()) else {
            return Err(format!("a {} is no repeated field", self.column_type));
        };
        let items = array.as_list::<i32>().value(row);
        let kind = field.kind();
        within(element, |writing| {
            let mut packed = Vec::new();
            for item in 0..items.len() {
                if items.is_null(item) {
                    return Err(at(item, "a repeated field has no NULL"));
                }
                if !field.is_packed() {
                    encode_key(field.number(), wire_type(&kind), out);
                }
                let into = if field.is_packed() { &mut packed } else { &mut *out };
                writing
                    .value(&kind, items.as_ref(), item, into)
                    .map_err(|reason| at(item, &reason))?;
            }
            if !packed.is_empty() {
                encode_key(field.number(), WireType::LengthDelimited, out);
                delimited(&packed, out);
            }
            Ok(())
        })
    }

    fn map(&self, field: &FieldDescriptor, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let (ColumnType::Map(key_type, value_type), DataType::Map(..), Kind::Message(entry)) =
            (self.column_type, array.data_type(), field.kind())
        else {
            return Err(format!("a {} is no map", self.column_type));
        };
        let (key_field, value_field) = (entry.map_entry_key_field(), entry.map_entry_value_field());
        let entries = array.as_map().value(row);
        let (keys, values) = (entries.column(0), entries.column(1));
        let keys_as_text = Scalar::new(key_type, None)?;
        let mut seen = BTreeSet::new();
        for index in 0..entries.len() {
            let mut text = String::new();
            keys_as_text.write(keys.as_ref(), index, &mut text)?;
            let mut written = Vec::new();
            encode_key(1, wire_type(&key_field.kind()), &mut written);
            match (&key_field.kind(), &**key_type) {
                (Kind::Bool, ColumnType::Varchar) => match &*text {
                    "true" => written.push(1),
                    "false" => written.push(0),
                    _ => return Err(at(&text, "keys of the map are true and false")),
                },
                (kind, _) => within(key_type, |writing| writing.value(kind, keys.as_ref(), index, &mut written))
                    .map_err(|reason| at(&text, &reason))?,
            }
            if values.is_null(index) {
                return Err(at(&text, "NULL would be read as the default; a map has none"));
            }
            encode_key(2, wire_type(&value_field.kind()), &mut written);
            within(value_type, |writing| {
                writing.value(&value_field.kind(), values.as_ref(), index, &mut written)
            })
            .map_err(|reason| at(&text, &reason))?;
            encode_key(field.number(), WireType::LengthDelimited, out);
            delimited(&written, out);
            if let Some(text) = seen.replace(text) {
                return Err(format!("the key `{text}` is in the map twice"));
            }
        }
        Ok(())
    }

    /// Adds a value without its key.
    fn value(&self, kind: &Kind, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let refuse = || Err(format!("a {} is not what the field is", self.column_type));
        match kind {
            Kind::Bool => match array.data_type() {
                DataType::Boolean => out.push(u8::from(array.as_boolean().value(row))),
                _ => return refuse(),
            },
            Kind::Float => match array.data_type() {
                DataType::Float32 => out.extend_from_slice(&array.as_primitive::<Float32Type>().value(row).to_le_bytes()),
                _ => return refuse(),
            },
            Kind::Double => match array.data_type() {
                DataType::Float32 => out.extend_from_slice(&f64::from(array.as_primitive::<Float32Type>().value(row)).to_le_bytes()),
                DataType::Float64 => out.extend_from_slice(&array.as_primitive::<Float64Type>().value(row).to_le_bytes()),
                _ => return refuse(),
            },
            Kind::String => delimited(self.text(array, row)?.as_bytes(), out),
            Kind::Bytes => match (array.data_type(), self.format) {
                (DataType::Binary, None) => delimited(array.as_binary::<i32>().value(row), out),
                _ => return refuse(),
            },
            Kind::Enum(descriptor) => match array.data_type() {
                DataType::Utf8 => {
                    let number = symbol(descriptor, array.as_string::<i32>().value(row))?;
                    encode_varint(i64::from(number).cast_unsigned(), out);
                }
                _ => return refuse(),
            },
            Kind::Message(descriptor) => self.message(descriptor, array, row, out)?,
            integer => self.integer(integer, array, row, out)?,
        }
        Ok(())
    }

    fn integer(&self, kind: &Kind, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let value = self.whole_number(array, row)?;
        let wide = |bits: &str| format!("{value} does not fit in {bits} bits");
        let signed_32 = || i32::try_from(value).map_err(|_| wide("32 signed"));
        let signed_64 = || i64::try_from(value).map_err(|_| wide("64 signed"));
        let unsigned_32 = || u32::try_from(value).map_err(|_| wide("32 unsigned"));
        let unsigned_64 = || u64::try_from(value).map_err(|_| wide("64 unsigned"));
        let zigzag = |value: i64| ((value << 1) ^ (value >> 63)).cast_unsigned();
        match kind {
            Kind::Int32 => encode_varint(i64::from(signed_32()?).cast_unsigned(), out),
            Kind::Int64 => encode_varint(signed_64()?.cast_unsigned(), out),
            Kind::Uint32 => encode_varint(u64::from(unsigned_32()?), out),
            Kind::Uint64 => encode_varint(unsigned_64()?, out),
            Kind::Sint32 => encode_varint(zigzag(i64::from(signed_32()?)), out),
            Kind::Sint64 => encode_varint(zigzag(signed_64()?), out),
            Kind::Fixed32 => out.extend_from_slice(&unsigned_32()?.to_le_bytes()),
            Kind::Fixed64 => out.extend_from_slice(&unsigned_64()?.to_le_bytes()),
            Kind::Sfixed32 => out.extend_from_slice(&signed_32()?.to_le_bytes()),
            Kind::Sfixed64 => out.extend_from_slice(&signed_64()?.to_le_bytes()),
            _ => return Err(format!("a {} is not what the field is", self.column_type)),
        }
        Ok(())
    }

    fn whole_number(&self, array: &dyn Array, row: usize) -> Result<i128, String> {
        let refuse = || format!("a {} is not what the field is", self.column_type);
        match (array.data_type(), self.format) {
            (DataType::Decimal128(_, scale), None) => {
                let value = array.as_primitive::<Decimal128Type>().value(row);
                let factor = u32::try_from(*scale)
                    .ok()
                    .and_then(|scale| 10_i128.checked_pow(scale))
                    .ok_or_else(refuse)?;
                match value % factor {
                    0 => Ok(value / factor),
                    _ => Err("the value is not a whole number, as the field is".into()),
                }
            }
            (_, Some(FieldFormat::Epoch(_))) => {
                let text = self.text(array, row)?;
                text.parse().map_err(|_| format!("{text} is not a whole number, as the field is"))
            }
            (_, None) => integer(array, row).map(i128::from).ok_or_else(refuse),
            _ => Err(refuse()),
        }
    }

    fn text(&self, array: &dyn Array, row: usize) -> Result<String, String> {
        let scalar = self
            .scalar
            .ok_or_else(|| format!("a {} is not what the field is", self.column_type))?;
        let mut text = String::new();
        match scalar.write(array, row, &mut text)? {
            TextKind::Bare | TextKind::Text => Ok(text),
            TextKind::Null | TextKind::Json => Err(format!("a {} is not what the field is", self.column_type)),
        }
    }

    fn message(&self, descriptor: &MessageDescriptor, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let mut inner = Vec::new();
        match (descriptor.full_name(), array.data_type(), self.column_type) {
            ("google.protobuf.Timestamp", DataType::Timestamp(..), _) if self.format.is_none() => {
                let moment = moment(array, row)?;
                let seconds = i64::try_from(moment.div_euclid(1_000_000_000)).map_err(|_| "the time is out of range".to_owned())?;
                // below a second's, so it fits
                let nanos = u64::try_from(moment.rem_euclid(1_000_000_000)).unwrap_or_default();
                numbers(seconds, nanos, &mut inner);
            }
            ("google.protobuf.Duration", DataType::Utf8, _) => {
                let (seconds, nanos) = duration(array.as_string::<i32>().value(row))?;
                numbers(seconds, i64::from(nanos).cast_unsigned(), &mut inner);
            }
            (_, DataType::Struct(_), ColumnType::Row(parts)) => self::row(descriptor, parts, array, row, &mut inner)?,
            (name, ..) if is_wrapper(name) => {
                let field = descriptor.get_field(1).ok_or("the wrapper has no field")?;
                self.field(&field, array, row, &mut inner)?;
            }
            _ => return Err(format!("a {} is not what the field is", self.column_type)),
        }
        delimited(&inner, out);
        Ok(())
    }
}

fn is_wrapper(name: &str) -> bool {
    name.strip_prefix("google.protobuf.")
        .is_some_and(|name| name.ends_with("Value") && !matches!(name, "Value" | "ListValue" | "NullValue"))
}

/// Seconds and nanoseconds, as far as they are not 0.
fn numbers(seconds: i64, nanos: u64, out: &mut Vec<u8>) {
    for (number, value) in [(1, seconds.cast_unsigned()), (2, nanos)] {
        if value != 0 {
            encode_key(number, WireType::Varint, out);
            encode_varint(value, out);
        }
    }
}

/// What a text such as `-1.500s` says; only as it is read.
fn duration(text: &str) -> Result<(i64, i32), String> {
    let said = || {
        let (negative, digits) = match text.strip_suffix('s')?.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text.strip_suffix('s')?),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let seconds: i64 = whole.parse().ok()?;
        let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
        Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
    };
    let (seconds, nanos) = said().ok_or_else(|| format!("`{text}` is no duration such as 1.500s"))?;
    match duration_text(seconds, nanos) {
        same if same == text => Ok((seconds, nanos)),
        other => Err(format!("`{text}` would be read as `{other}`")),
    }
}

/// The number of a symbol, or that which has none; where numbers have several names, the first.
fn symbol(descriptor: &EnumDescriptor, text: &str) -> Result<i32, String> {
    let number = match descriptor.get_value_by_name(text) {
        Some(value) => value.number(),
        None => text
            .parse()
            .map_err(|_| format!("`{text}` is no symbol of {}", descriptor.full_name()))?,
    };
    let name = descriptor.values().find(|value| value.number() == number);
    let read = name.map_or_else(|| number.to_string(), |value| value.name().to_owned());
    match read == text {
        true => Ok(number),
        false => Err(format!("`{text}` would be read as `{read}`")),
    }
}

fn is_default(kind: &Kind, value: &[u8]) -> bool {
    !matches!(kind, Kind::Message(_)) && value.iter().all(|byte| *byte == 0)
}

fn wire_type(kind: &Kind) -> WireType {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => WireType::SixtyFourBit,
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => WireType::ThirtyTwoBit,
        Kind::String | Kind::Bytes | Kind::Message(_) => WireType::LengthDelimited,
        _ => WireType::Varint,
    }
}

fn delimited(bytes: &[u8], out: &mut Vec<u8>) {
    encode_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
