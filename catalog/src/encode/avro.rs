//! A datum a record, of the last schema of the definition: behind the header that its framing has, or as the one object of a container file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimeUnit,
    i256,
};

use super::scalar::moment;
use super::{EncodeError, RecordFormat};
use crate::decode::{AvroId as Id, AvroNode as Node, AvroSchema as Schema, avro_key, compile_avro};
use crate::{AvroFormat, AvroFraming, ColumnDefinition, ColumnType};

#[derive(Debug)]
pub(super) struct Avro {
    header: Vec<u8>,
    /// What ends a container's block; `None` = no container.
    sync: Option<[u8; 16]>,
    datum: Vec<u8>,
    schema: Arc<Schema>,
    columns: Vec<ColumnDefinition>,
}

/// A column, and what of its path is still to go.
type Way<'a> = (usize, &'a [String]);

impl Avro {
    pub(super) fn new(format: &AvroFormat, columns: Vec<ColumnDefinition>) -> Result<Self, EncodeError> {
        let whole = |message: String| EncodeError::whole(message);
        let (id, text) = format
            .schemas
            .last()
            .ok_or_else(|| whole("records are written with a schema of the definition, and it has none: add `schema`".into()))?;
        let key = avro_key(format.framing, id, text).map_err(whole)?;
        let writers = compile_avro(format).map_err(whole)?;
        let schema = writers
            .by_id
            .get(&key)
            .ok_or_else(|| whole("the schema of the definition is missing".into()))?;
        let mut header = match format.framing {
            AvroFraming::Datum => Vec::new(),
            AvroFraming::SingleObject => {
                let fingerprint = u64::try_from(key).map_err(|error| whole(error.to_string()))?;
                [&[0xc3, 0x01], fingerprint.to_le_bytes().as_slice()].concat()
            }
            AvroFraming::Confluent => {
                let id = u32::try_from(key).map_err(|error| whole(error.to_string()))?;
                [&[0], id.to_be_bytes().as_slice()].concat()
            }
            AvroFraming::Glue => [&[3, 0], key.to_be_bytes().as_slice()].concat(),
            AvroFraming::Container => container_header(text),
        };
        if let Some(column) = columns.iter().find(|column| column.format.is_some()) {
            return Err(EncodeError::of(
                column,
                "a column with a `format` of its own cannot be written as Avro",
            ));
        }
        let paths: Vec<(usize, &[String])> = columns.iter().enumerate().map(|(place, column)| (place, &*column.path)).collect();
        check(schema, schema.root, &paths, &columns)?;
        let sync = (format.framing == AvroFraming::Container).then(|| uuid::Uuid::new_v4().into_bytes());
        header.extend(sync.iter().flatten());
        Ok(Self {
            header,
            sync,
            datum: Vec::new(),
            schema: Arc::clone(schema),
            columns,
        })
    }
}

/// Whether each column has a place of its own, through records and unions.
fn check(schema: &Schema, id: Id, ways: &[Way<'_>], columns: &[ColumnDefinition]) -> Result<(), EncodeError> {
    if let Some((place, _)) = ways.iter().find(|(_, rest)| rest.is_empty()) {
        return match ways.iter().find(|(other, _)| other != place) {
            None => Ok(()),
            Some((other, _)) => Err(EncodeError::of(
                &columns[*place],
                format!(
                    "column `{}` is written to the same place of a record, or into it; name the columns to write",
                    columns[*other].name
                ),
            )),
        };
    }
    let Some((first, _)) = ways.first() else { return Ok(()) };
    let record = record_of(schema, id).ok_or_else(|| EncodeError::of(&columns[*first], "only fields of records can be written"))?;
    for (name, field) in record {
        let inside: Vec<Way<'_>> = within(ways, name);
        check(schema, *field, &inside, columns)?;
    }
    match ways.iter().find(|(_, rest)| !record.iter().any(|(name, _)| *name == rest[0])) {
        Some((place, rest)) => Err(EncodeError::of(
            &columns[*place],
            format!("the schema's record has no field `{}`", rest[0]),
        )),
        None => Ok(()),
    }
}

/// The record that a type is, or the first one of a union.
fn record_of(schema: &Schema, id: Id) -> Option<&[(String, Id)]> {
    match schema.node(id) {
        Node::Record(fields) => Some(fields),
        Node::Union(branches) => branches.iter().find_map(|branch| match schema.node(*branch) {
            Node::Record(fields) => Some(&**fields),
            _ => None,
        }),
        _ => None,
    }
}

fn within<'a>(ways: &[Way<'a>], name: &str) -> Vec<Way<'a>> {
    let inside = ways.iter().filter_map(|(place, rest)| match rest.split_first() {
        Some((first, rest)) if first == name => Some((*place, rest)),
        _ => None,
    });
    inside.collect()
}

impl RecordFormat for Avro {
    fn encode(&mut self, values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        out.extend_from_slice(&self.header);
        let ways: Vec<Way<'_>> = self
            .columns
            .iter()
            .enumerate()
            .map(|(place, column)| (place, &*column.path))
            .collect();
        let Some(sync) = self.sync else {
            return self.write(self.schema.root, &ways, values, row, out);
        };
        let mut datum = std::mem::take(&mut self.datum);
        datum.clear();
        let written = self.write(self.schema.root, &ways, values, row, &mut datum);
        if written.is_ok() {
            // a block of one object
            long(1, out);
            bytes(&datum, out);
            out.extend_from_slice(&sync);
        }
        self.datum = datum;
        written
    }
}

/// Of an object container file, up to the marker that ends it: magic, and a map of the schema and the codec ("Object Container Files").
fn container_header(schema: &str) -> Vec<u8> {
    let mut header = b"Obj\x01".to_vec();
    let entries = [("avro.schema", schema), ("avro.codec", "null")];
    long(entries.len() as i64, &mut header);
    for (key, value) in entries {
        bytes(key.as_bytes(), &mut header);
        bytes(value.as_bytes(), &mut header);
    }
    long(0, &mut header);
    header
}

impl Avro {
    fn write(&self, id: Id, ways: &[Way<'_>], values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let [(place, [])] = ways {
            let column = &self.columns[*place];
            return self
                .value(id, &column.column_type, values[*place].as_ref(), row, out)
                .map_err(|reason| EncodeError::of(column, reason));
        }
        let node = self.schema.node(id);
        let empty = ways.iter().all(|(place, _)| values[*place].is_null(row));
        match node {
            Node::Null if ways.is_empty() => Ok(()),
            Node::Union(branches) => {
                let is = |record: bool| {
                    branches.iter().position(|branch| match self.schema.node(*branch) {
                        Node::Null => !record,
                        Node::Record(_) => record,
                        _ => false,
                    })
                };
                match (empty, is(false), is(true)) {
                    (true, Some(null), _) => {
                        long(null as i64, out);
                        Ok(())
                    }
                    (_, _, Some(record)) if !ways.is_empty() => {
                        long(record as i64, out);
                        self.write(branches[record], ways, values, row, out)
                    }
                    _ => Err(EncodeError::whole(
                        "a field of the schema takes no null, and no column is written to it",
                    )),
                }
            }
            Node::Record(fields) => {
                for (name, field) in fields {
                    let inside = within(ways, name);
                    self.write(*field, &inside, values, row, out).map_err(|error| match error.column {
                        None if inside.is_empty() => EncodeError::whole(format!(
                            "field `{name}` of the schema takes no null, and no column is written to it"
                        )),
                        _ => error,
                    })?;
                }
                Ok(())
            }
            _ => Err(EncodeError::whole(
                "a field of the schema takes no null, and no column is written to it",
            )),
        }
    }

    fn value(&self, id: Id, column_type: &ColumnType, array: &dyn Array, row: usize, out: &mut Vec<u8>) -> Result<(), String> {
        let node = self.schema.node(id);
        if let Node::Union(branches) = node {
            let mut reason = None;
            for (index, branch) in branches.iter().enumerate() {
                let start = out.len();
                long(index as i64, out);
                match self.value(*branch, column_type, array, row, out) {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        out.truncate(start);
                        if *self.schema.node(*branch) != Node::Null {
                            reason.get_or_insert(error);
                        }
                    }
                }
            }
            return Err(reason.unwrap_or_else(|| "the schema takes null alone here".into()));
        }
        if array.is_null(row) {
            return match node {
                Node::Null => Ok(()),
                _ => Err("the schema takes no null here".into()),
            };
        }
        let refuse = || Err(format!("a {column_type} is not what the schema has here"));
        match (node, array.data_type()) {
            (Node::Boolean, DataType::Boolean) => out.push(u8::from(array.as_boolean().value(row))),
            (Node::Int, _) => match integer(array, row) {
                Some(value) => long(
                    i64::from(i32::try_from(value).map_err(|_| format!("{value} does not fit in an int"))?),
                    out,
                ),
                None => return refuse(),
            },
            (Node::Long, DataType::Timestamp(..)) => long(units(array, row, 1_000_000)?, out),
            (Node::Long, _) => match integer(array, row) {
                Some(value) => long(value, out),
                None => return refuse(),
            },
            (Node::Float, DataType::Float32) => out.extend_from_slice(&array.as_primitive::<Float32Type>().value(row).to_le_bytes()),
            (Node::Double, DataType::Float32) => {
                out.extend_from_slice(&f64::from(array.as_primitive::<Float32Type>().value(row)).to_le_bytes());
            }
            (Node::Double, DataType::Float64) => out.extend_from_slice(&array.as_primitive::<Float64Type>().value(row).to_le_bytes()),
            (Node::String, DataType::Utf8) if *column_type != ColumnType::Json => {
                bytes(array.as_string::<i32>().value(row).as_bytes(), out)
            }
            (Node::FixedUuid, DataType::Utf8) => {
                let text = array.as_string::<i32>().value(row);
                let uuid = uuid::Uuid::try_parse(text).map_err(|_| "the text is not a UUID".to_owned())?;
                out.extend_from_slice(uuid.as_bytes());
            }
            (Node::Enum(symbols), DataType::Utf8) => {
                let text = array.as_string::<i32>().value(row);
                match symbols.iter().position(|symbol| symbol == text) {
                    Some(symbol) => long(symbol as i64, out),
                    None => return Err(format!("`{text}` is no symbol of the schema's enum")),
                }
            }
            (Node::Bytes, DataType::Binary) => bytes(array.as_binary::<i32>().value(row), out),
            (Node::Fixed(size), DataType::Binary) => {
                let value = array.as_binary::<i32>().value(row);
                if value.len() != *size {
                    return Err(format!("the schema has {size} bytes here, and the value {}", value.len()));
                }
                out.extend_from_slice(value);
            }
            (Node::Date, DataType::Date32) => long(i64::from(array.as_primitive::<Date32Type>().value(row)), out),
            (Node::Time(unit), DataType::Time32(_) | DataType::Time64(_)) | (Node::Timestamp(unit), DataType::Timestamp(..)) => {
                long(units(array, row, nanos_of(*unit))?, out);
            }
            (Node::Decimal(digits), DataType::Decimal128(..) | DataType::Decimal256(..)) => {
                bytes(&decimal(array, row, digits.precision, digits.scale)?, out);
            }
            (Node::FixedDecimal(size, digits), DataType::Decimal128(..) | DataType::Decimal256(..)) => {
                let value = decimal(array, row, digits.precision, digits.scale)?;
                let missing = size
                    .checked_sub(value.len())
                    .ok_or_else(|| format!("the value does not fit in {size} bytes"))?;
                let sign = if value.first().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
                out.extend(std::iter::repeat_n(sign, missing));
                out.extend_from_slice(&value);
            }
            (Node::Array(items), DataType::List(_)) => {
                let ColumnType::Array(element) = column_type else { return refuse() };
                let list = array.as_list::<i32>().value(row);
                if !list.is_empty() {
                    long(list.len() as i64, out);
                }
                for item in 0..list.len() {
                    self.value(*items, element, list.as_ref(), item, out)
                        .map_err(|reason| format!("/{item}: {reason}"))?;
                }
                long(0, out);
            }
            (Node::Map(values), DataType::Map(..)) => {
                let ColumnType::Map(key, value) = column_type else {
                    return refuse();
                };
                let entries = array.as_map().value(row);
                let DataType::Utf8 = entries.column(0).data_type() else {
                    return Err(format!("keys of Avro maps are texts, and these are {key}"));
                };
                if !entries.is_empty() {
                    long(entries.len() as i64, out);
                }
                for entry in 0..entries.len() {
                    let key = entries.column(0).as_string::<i32>().value(entry);
                    bytes(key.as_bytes(), out);
                    let written = self.value(*values, value, entries.column(1).as_ref(), entry, out);
                    written.map_err(|reason| format!("/{key}: {reason}"))?;
                }
                long(0, out);
            }
            (Node::Record(fields), DataType::Struct(_)) => {
                let ColumnType::Row(parts) = column_type else { return refuse() };
                if let Some((name, _)) = parts.iter().find(|(name, _)| !fields.iter().any(|(field, _)| field == name)) {
                    return Err(format!("the schema's record has no field `{name}`"));
                }
                let row_array = array.as_struct();
                for (name, field) in fields {
                    match parts.iter().position(|(part, _)| part == name) {
                        Some(part) => {
                            let written = self.value(*field, &parts[part].1, row_array.column(part).as_ref(), row, out);
                            written.map_err(|reason| format!("/{name}: {reason}"))?;
                        }
                        None => self.nothing(*field, out).map_err(|reason| format!("/{name}: {reason}"))?,
                    }
                }
            }
            _ => return refuse(),
        }
        Ok(())
    }

    /// Null, where the schema takes it.
    fn nothing(&self, id: Id, out: &mut Vec<u8>) -> Result<(), String> {
        let null = match self.schema.node(id) {
            Node::Null => return Ok(()),
            Node::Union(branches) => branches.iter().position(|branch| *self.schema.node(*branch) == Node::Null),
            _ => None,
        };
        match null {
            Some(null) => {
                long(null as i64, out);
                Ok(())
            }
            None => Err("the schema takes no null, and nothing is written here".into()),
        }
    }
}

/// Variable-length zig-zag.
fn long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn bytes(value: &[u8], out: &mut Vec<u8>) {
    long(value.len() as i64, out);
    out.extend_from_slice(value);
}

pub(super) fn integer(array: &dyn Array, row: usize) -> Option<i64> {
    Some(match array.data_type() {
        DataType::Int8 => i64::from(array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => i64::from(array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => i64::from(array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row),
        _ => return None,
    })
}

fn nanos_of(unit: TimeUnit) -> i128 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

fn units(array: &dyn Array, row: usize, nanos: i128) -> Result<i64, String> {
    let moment = moment(array, row)?;
    if moment % nanos != 0 {
        return Err("the time is finer than the schema says; cut it, as by date_trunc('millisecond', …)".into());
    }
    i64::try_from(moment / nanos).map_err(|_| "the time is out of range".into())
}

/// Two's complement, most significant byte first, as short as can be.
fn decimal(array: &dyn Array, row: usize, precision: usize, scale: usize) -> Result<Vec<u8>, String> {
    let (value, own) = match array.data_type() {
        DataType::Decimal128(_, own) => (i256::from_i128(array.as_primitive::<Decimal128Type>().value(row)), *own),
        DataType::Decimal256(_, own) => (array.as_primitive::<Decimal256Type>().value(row), *own),
        other => return Err(format!("a {other} is no decimal")),
    };
    let own = usize::try_from(own).map_err(|error| error.to_string())?;
    let ten = |digits: usize| i256::from_i128(10).checked_pow(u32::try_from(digits).unwrap_or(u32::MAX));
    let wide = || "the value has more digits than the schema takes".to_owned();
    let scaled = match own <= scale {
        true => ten(scale - own).and_then(|factor| value.checked_mul(factor)).ok_or_else(wide)?,
        false => {
            let factor = ten(own - scale).ok_or_else(wide)?;
            if value.checked_rem(factor) != Some(i256::ZERO) {
                return Err("the value has more digits of a fraction than the schema takes".into());
            }
            value.checked_div(factor).ok_or_else(wide)?
        }
    };
    if ten(precision).is_some_and(|limit| scaled >= limit || scaled <= -limit) {
        return Err(wide());
    }
    let bytes = scaled.to_be_bytes();
    let sign = if scaled < i256::ZERO { 0xff } else { 0 };
    let same = |pair: &&[u8]| pair[0] == sign && (pair[1] >= 0x80) == (sign == 0xff);
    let spare = bytes.windows(2).take_while(same).count();
    Ok(bytes[spare..].to_vec())
}
