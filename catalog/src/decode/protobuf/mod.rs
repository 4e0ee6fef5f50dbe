//! Protocol Buffers: messages of a descriptor set.
//!
//! A column is the value at its path: fields by the names of the .proto file or of JSON, keys of maps, indexes of repeated fields.
//!
//! | field | value |
//! |---|---|
//! | integer, floating point, bool, string, bytes | itself |
//! | enum | its name; its number if it has none |
//! | repeated, map, message | array, map, row; JSON for all other columns |
//! | google.protobuf.Timestamp, Duration, wrappers | instant; text, `1.5s`; the wrapped value |
//! | not set, and known to be (proto2, `optional`, messages, members of a oneof) | NULL |
//! | not set, and indistinguishable from its default (proto3) | the default: 0, `false`, empty |
//! | anything of a message that is not set | NULL |
//!
//! Unknown fields are passed over, a field that is not written as its type is makes a record bad. A record is gone over twice, as one of `avro` is.
//! `prost-reflect` reads the descriptor set, and is what the tests compare with; its messages hold all fields of a record, whether or not anybody asks.

mod json;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod walk;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

use self::types::{Kind, Label};
pub(crate) use self::types::{Types, compile};
use self::value::Reading;
use self::walk::{Found, Step, Target};
use self::wire::Fields;
use super::RowFormat;
use super::contents::DecodeError;
use super::framing::{self, Glue};
use super::rows::Rows;
use crate::{ProtobufFormat, ProtobufFraming};

/// Whether the message has what a column asks for.
pub(crate) fn check_path(format: &ProtobufFormat, path: &[String]) -> Result<(), String> {
    let types = compile(format)?;
    let mut target = [Target::Nothing];
    match path.is_empty() || Step::bind(&types, types.root, &[(0, path)], &mut target).is_some() {
        true => Ok(()),
        false => Err(format!("message {} has no `{}`", format.message, path.join("/"))),
    }
}

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: &ProtobufFormat, rows: &Rows) -> Result<Box<dyn RowFormat>, String> {
    let types = compile(format)?;
    let paths: Vec<(usize, &[String])> = (0..rows.width()).map(|place| (place, &*rows.column(place).path)).collect();
    let mut targets: Vec<Target> = paths
        .iter()
        .map(|(_, path)| if path.is_empty() { Target::Whole } else { Target::Nothing })
        .collect();
    let step = Step::bind(&types, types.root, &paths, &mut targets);
    Ok(Box::new(Messages {
        framing: format.framing,
        found: Found::new(targets.len()),
        types,
        step,
        targets,
        glue: Glue::default(),
    }))
}

#[derive(Debug)]
struct Messages {
    framing: ProtobufFraming,
    types: Arc<Types>,
    step: Option<Step>,
    /// Of each column what it is.
    targets: Vec<Target>,
    found: Found,
    glue: Glue,
}

impl RowFormat for Messages {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for record in records {
            match self.framing {
                ProtobufFraming::Delimited => self.sequence(record, rows)?,
                _ => {
                    let message = match self.payload(record) {
                        Ok(message) => message,
                        Err(reason) => {
                            rows.bad_record(reason)?;
                            continue;
                        }
                    };
                    if let Cow::Owned(inflated) = &message {
                        rows.repeat(inflated.len())?;
                    }
                    self.row(&message, (0, message.len()), rows);
                    rows.one_row_each(1)?;
                }
            }
        }
        Ok(())
    }
}

impl Messages {
    fn payload<'a>(&mut self, record: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        match self.framing {
            ProtobufFraming::None | ProtobufFraming::Delimited => Ok(Cow::Borrowed(record)),
            ProtobufFraming::Glue => self.glue.payload(record).map(|(_, payload)| payload),
            ProtobufFraming::Confluent => {
                let (_, rest) = framing::confluent(record)?;
                let (indexes, message) = message_indexes(rest).ok_or("no indexes of the message after the Confluent header")?;
                match indexes == self.types.indexes {
                    true => Ok(Cow::Borrowed(message)),
                    false => Err(format!(
                        "another message: the header says index {indexes:?} in its file, the definition's is {:?}",
                        self.types.indexes
                    )),
                }
            }
        }
    }

    /// Messages, each after its length.
    fn sequence(&mut self, record: &[u8], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut at = 0;
        while at < record.len() {
            let mut rest = Fields::new(record, (at, record.len()));
            let range = rest.varint().and_then(|length| {
                let start = rest.position();
                match usize::try_from(length).ok().filter(|length| *length <= record.len() - start) {
                    Some(length) => Ok((start, start + length)),
                    None => Err(format!("a message of {length} bytes where {} are left", record.len() - start)),
                }
            });
            match range {
                Ok(range) => {
                    self.row(record, range, rows);
                    at = range.1;
                }
                Err(reason) => {
                    // Where the next message would begin is what the length would have told.
                    rows.bad_row(format!("not a sequence of messages: {reason}"));
                    at = record.len();
                }
            }
            rows.rows_of(1)?;
        }
        rows.end_record();
        Ok(())
    }

    /// Adds the message in a range as a row.
    fn row(&mut self, record: &[u8], range: (usize, usize), rows: &mut Rows) {
        self.found.clear();
        if let Err(reason) = walk::message(&self.types, self.types.root, self.step.as_ref(), record, range, 0, &mut self.found) {
            return rows.bad_row(format!("not a message of the type: {reason}"));
        }
        let reading = Reading {
            types: &self.types,
            record,
        };
        for (place, target) in self.targets.iter().enumerate() {
            let (values, parent) = (&self.found.values[place], self.found.parents[place]);
            if let Target::Field(id, field) = target {
                let field = &self.types.message(*id).fields[*field];
                let is_scalar = matches!(field.label, Label::Singular { .. }) && !matches!(field.kind, Kind::Message(_));
                let stands = !values.is_empty() || field.label == Label::Singular { presence: false } && parent;
                if is_scalar && stands {
                    reading.scalar(field.kind, Some(values), |cell| rows.cell(place, cell));
                    continue;
                }
            }
            rows.parts(place, |sink| reading.target(target, range, values, parent, sink));
        }
    }
}

/// The indexes that say which of a file's messages it is, as zigzag numbers after how many there are; none at all stand for the first message.
fn message_indexes(bytes: &[u8]) -> Option<(Vec<i64>, &[u8])> {
    let mut fields = Fields::new(bytes, (0, bytes.len()));
    let mut number = || {
        fields
            .varint()
            .ok()
            .map(|value| (value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    };
    let count = number()?;
    let indexes = match usize::try_from(count).ok().filter(|count| *count <= wire::MOST_DEPTH)? {
        0 => vec![0],
        count => (0..count).map(|_| number()).collect::<Option<Vec<_>>>()?,
    };
    Some((indexes, &bytes[fields.position()..]))
}
