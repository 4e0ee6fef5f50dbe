//! From a datum's bytes to the values of columns. The bytes have been gone over (see `walk`), so what breaks here is never what a record's writer did.

use std::borrow::Cow;

use arrow::datatypes::{TimeUnit, i256};

use super::super::cell::{Cell, with_point};
use super::super::sink::{Growth, Shape, Sink, Told, keep_first};
use super::super::written;
use super::cursor::{Broken, Cursor};
use super::schema::{Id, Node, Schema};

impl Schema {
    /// Adds the value that begins here.
    pub(super) fn append(&self, id: Id, cursor: &mut Cursor<'_>, sink: &mut Sink) -> Result<Told, Broken> {
        match (self.node(id), sink.shape()) {
            (Node::Union(branches), _) => {
                let branch = branches[cursor.index(branches.len(), Broken::Branch)?];
                self.append(branch, cursor, sink)
            }
            (Node::Array(items), Shape::List(list)) => {
                let (mut told, mut index, mut over) = (None, 0, false);
                let mut growth = Growth::new(list.elements());
                while let Some((count, _)) = cursor.block(self.may_be_empty(*items))? {
                    for _ in 0..count {
                        over = over || growth.is_over(list.elements());
                        if over {
                            super::walk::skip(self, *items, cursor)?;
                            continue;
                        }
                        let refused = self.append(*items, cursor, list.elements())?;
                        keep_first(&mut told, || index.to_string(), refused);
                        index += 1;
                    }
                }
                list.end(!over);
                Ok(if over { Some(Growth::refusal()) } else { told })
            }
            (Node::Map(values), Shape::Map(map)) => {
                let (mut told, mut over) = (None, false);
                let mut growth = Growth::new(map.entries());
                while let Some((count, _)) = cursor.block(false)? {
                    for _ in 0..count {
                        let key = cursor.bytes()?;
                        let key = std::str::from_utf8(key).map_or_else(|_| String::from_utf8_lossy(key), Cow::Borrowed);
                        over = over || growth.is_over(map.entries());
                        if over {
                            super::walk::skip(self, *values, cursor)?;
                            continue;
                        }
                        let refused = match map.entry(&key) {
                            Ok(value) => self.append(*values, cursor, value)?,
                            Err(refusal) => {
                                super::walk::skip(self, *values, cursor)?;
                                Some(Box::new(refusal))
                            }
                        };
                        keep_first(&mut told, || key.into_owned(), refused);
                    }
                }
                map.end(!over);
                Ok(if over { Some(Growth::refusal()) } else { told })
            }
            (Node::Record(fields), Shape::Row(row)) => {
                let mut told = None;
                for (name, field) in fields {
                    match row.place(name).filter(|place| !row.has(*place)) {
                        Some(place) => {
                            let refused = self.append(*field, cursor, row.field(place))?;
                            keep_first(&mut told, || name.clone(), refused);
                        }
                        None => super::walk::skip(self, *field, cursor)?,
                    }
                }
                row.end();
                Ok(told)
            }
            (Node::Array(_) | Node::Map(_) | Node::Record(_), _) => {
                let mut json = String::new();
                self.json(id, cursor, &mut json)?;
                Ok(sink.append(Cell::Json(&json)).err().map(Box::new))
            }
            _ => self.scalar(id, cursor, |cell| sink.append(cell).err().map(Box::new)),
        }
    }

    /// The type behind the unions here: nested, or a scalar.
    pub(super) fn is_nested(&self, id: Id) -> bool {
        match self.node(id) {
            Node::Union(branches) => branches
                .iter()
                .any(|branch| matches!(self.node(*branch), Node::Array(_) | Node::Map(_) | Node::Record(_) | Node::Union(_))),
            node => matches!(node, Node::Array(_) | Node::Map(_) | Node::Record(_)),
        }
    }

    /// A scalar, which may be in a union. What has parts counts as NULL.
    pub(super) fn scalar<T>(&self, id: Id, cursor: &mut Cursor<'_>, take: impl FnOnce(Cell<'_>) -> T) -> Result<T, Broken> {
        Ok(match self.node(id) {
            Node::Union(branches) => {
                let branch = branches[cursor.index(branches.len(), Broken::Branch)?];
                return match self.node(branch) {
                    // Unions hold no unions, says the specification; one that does is left at that.
                    Node::Union(_) => Ok(take(Cell::Null)),
                    _ => self.scalar(branch, cursor, take),
                };
            }
            Node::Null | Node::Array(_) | Node::Map(_) | Node::Record(_) => take(Cell::Null),
            Node::Boolean => take(Cell::Boolean(cursor.boolean()?)),
            Node::Int => take(Cell::Integer(i64::from(cursor.int()?))),
            Node::Long => take(Cell::Integer(cursor.long()?)),
            Node::Float => take(Cell::Real(f32::from_le_bytes(cursor.array()?))),
            Node::Double => take(Cell::Double(f64::from_le_bytes(cursor.array()?))),
            Node::Bytes => take(Cell::Bytes(cursor.bytes()?)),
            Node::String | Node::Uuid => take(Cell::of_text(cursor.bytes()?)),
            Node::Date => take(Cell::Date(cursor.int()?)),
            Node::Time(TimeUnit::Millisecond) => take(Cell::Time(i64::from(cursor.int()?) * 1_000_000)),
            Node::Time(_) => take(Cell::Time(cursor.long()?.saturating_mul(1_000))),
            Node::Timestamp(unit) => take(instant(cursor.long()?, *unit)),
            Node::Decimal(digits) => decimal(cursor.bytes()?, digits.scale, take),
            Node::FixedDecimal(size, digits) => decimal(cursor.take(*size)?, digits.scale, take),
            Node::Fixed(size) => take(Cell::Bytes(cursor.take(*size)?)),
            Node::FixedUuid => {
                let mut buffer = [0; 36];
                take(Cell::Text(
                    uuid::Uuid::from_bytes(cursor.array()?).hyphenated().encode_lower(&mut buffer),
                ))
            }
            Node::Duration => {
                let [months, days, millis] = [cursor.array()?, cursor.array()?, cursor.array()?].map(u32::from_le_bytes);
                take(Cell::Text(&format!("P{months}M{days}DT{}.{:03}S", millis / 1_000, millis % 1_000)))
            }
            Node::Enum(symbols) => take(Cell::Text(&symbols[cursor.index(symbols.len(), Broken::Symbol)?])),
        })
    }

    /// Adds the value that begins here as JSON text.
    fn json(&self, id: Id, cursor: &mut Cursor<'_>, json: &mut String) -> Result<(), Broken> {
        match self.node(id) {
            Node::Union(branches) => {
                let branch = branches[cursor.index(branches.len(), Broken::Branch)?];
                self.json(branch, cursor, json)?;
            }
            Node::Array(items) => {
                let mut before = '[';
                while let Some((count, _)) = cursor.block(self.may_be_empty(*items))? {
                    for _ in 0..count {
                        json.push(std::mem::replace(&mut before, ','));
                        self.json(*items, cursor, json)?;
                    }
                }
                json.push_str(if before == '[' { "[]" } else { "]" });
            }
            Node::Map(values) => {
                let mut before = '{';
                while let Some((count, _)) = cursor.block(false)? {
                    for _ in 0..count {
                        json.push(std::mem::replace(&mut before, ','));
                        written::text(&String::from_utf8_lossy(cursor.bytes()?), json);
                        json.push(':');
                        self.json(*values, cursor, json)?;
                    }
                }
                json.push_str(if before == '{' { "{}" } else { "}" });
            }
            Node::Record(fields) => {
                let mut before = '{';
                for (name, field) in fields {
                    json.push(std::mem::replace(&mut before, ','));
                    written::text(name, json);
                    json.push(':');
                    self.json(*field, cursor, json)?;
                }
                json.push_str(if before == '{' { "{}" } else { "}" });
            }
            Node::Decimal(_) | Node::FixedDecimal(..) => self.scalar(id, cursor, |cell| match cell {
                Cell::Decimal(..) | Cell::Text(_) => json.push_str(&cell.text().unwrap_or_default()),
                _ => json.push_str("null"),
            })?,
            _ => self.scalar(id, cursor, |cell| written::scalar(cell, json))?,
        }
        Ok(())
    }
}

#[inline]
pub(super) fn instant(value: i64, unit: TimeUnit) -> Cell<'static> {
    let per_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    let nanos = value.rem_euclid(per_second) * (1_000_000_000 / per_second);
    Cell::Instant(value.div_euclid(per_second), u32::try_from(nanos).unwrap_or(0))
}

/// A two's complement number, most significant byte first, whose last digits are a fraction. One of more than 256 bits is bytes that no number is made of.
fn decimal<T>(bytes: &[u8], scale: usize, take: impl FnOnce(Cell<'_>) -> T) -> T {
    if let Some(small) = small_decimal(bytes, scale) {
        return take(small);
    }
    let sign = if bytes.first().is_some_and(|byte| *byte >= 0x80) { 0xff } else { 0 };
    let significant = bytes
        .iter()
        .position(|byte| *byte != sign)
        .map_or(&bytes[bytes.len()..], |first| &bytes[first..]);
    let mut wide = [sign; 32];
    if significant.len() >= wide.len() {
        // Even where the sign would still fit: decimals have at most 76 digits, which is less.
        return take(Cell::Bytes(&[0xff]));
    }
    wide[32 - significant.len()..].copy_from_slice(significant);
    take(Cell::Text(&with_point(&i256::from_be_bytes(wide).to_string(), scale)))
}

/// Bytes of a number of 128 bits.
pub(super) const MOST_SMALL: usize = 16;

/// The same of a number of at most [`MOST_SMALL`] bytes.
#[inline]
pub(super) fn small_decimal(bytes: &[u8], scale: usize) -> Option<Cell<'static>> {
    let scale = u8::try_from(scale).ok()?;
    let first = *bytes.first().unwrap_or(&0);
    let wide = match bytes.len() {
        0..=8 => {
            // As a shift of 64 bits would be none, the first byte is not shifted.
            let number = bytes
                .iter()
                .skip(1)
                .fold(i64::from(first.cast_signed()), |number, byte| number << 8 | i64::from(*byte));
            i128::from(number).to_be_bytes()
        }
        length => {
            let mut wide = [if first >= 0x80 { 0xff } else { 0 }; MOST_SMALL];
            wide.get_mut(MOST_SMALL.checked_sub(length)?..)?.copy_from_slice(bytes);
            wide
        }
    };
    Some(Cell::Decimal(wide, scale))
}
