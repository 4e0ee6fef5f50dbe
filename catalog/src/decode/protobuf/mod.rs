//! Protocol Buffers: messages of a descriptor set.
//!
//! A column is the value at its path; where the elements of a repeated field are rows (`elements_of`), one inside of these or beside them. Fields go the names of the .proto file or of JSON, maps by keys, repeated fields by indexes.
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
//! Unknown fields are passed over, a field that is not written as its type is makes a record bad. A record is gone over twice: once from end to end, which proves it and finds what columns ask for, and once for that.
//! `prost-reflect` reads the descriptor set, and is what the tests compare with; its messages hold all fields of a record, whether or not anybody asks.

mod declared;
mod json;
#[cfg(test)]
mod tests;
mod types;
mod value;
mod walk;
mod wire;

use std::borrow::Cow;
use std::sync::Arc;

pub(crate) use self::declared::declared;
use self::types::{Kind, Label, MessageId};
pub(crate) use self::types::{Types, compile};
use self::value::Reading;
pub(crate) use self::value::duration;
use self::walk::{Found, Step, Target};
use self::wire::{Fields, Raw};
use super::RowFormat;
use super::contents::DecodeError;
use super::framing::{self, Glue};
use super::rows::Rows;
use crate::{ProtobufFormat, ProtobufFraming};

/// Whether the message has what a column asks for.
pub(crate) fn check_path(format: &ProtobufFormat, path: &[String]) -> Result<(), String> {
    let types = compile(format)?;
    let (id, inside) = match elements(format, &types)? {
        Some(element) if path.starts_with(&format.elements_of) => (element, &path[format.elements_of.len()..]),
        _ => (types.root, path),
    };
    let mut target = [Target::Nothing];
    match inside.is_empty() || Step::bind(&types, id, &[(0, inside)], &mut target).is_some() {
        true => Ok(()),
        false => Err(format!("message {} has no `{}`", format.message, path.join("/"))),
    }
}

/// Whether the message has the elements that are to be rows.
pub(crate) fn check_elements(format: &ProtobufFormat) -> Result<(), String> {
    elements(format, &*compile(format)?).map(drop)
}

/// The type of the messages that are rows, if they are elements of another.
fn elements(format: &ProtobufFormat, types: &Types) -> Result<Option<MessageId>, String> {
    if format.elements_of.is_empty() {
        return Ok(None);
    }
    let mut target = [Target::Nothing];
    Step::bind(types, types.root, &[(0, &format.elements_of)], &mut target);
    if let [Target::Field(id, place)] = target
        && let field = &types.message(id).fields[place]
        && let (Label::Repeated, Kind::Message(element)) = (field.label, field.kind)
    {
        return Ok(Some(element));
    }
    Err(format!("`{}` is not a repeated field of messages", format.elements_of.join("/")))
}

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: &ProtobufFormat, rows: &Rows) -> Result<Box<dyn RowFormat>, String> {
    let types = compile(format)?;
    let element = elements(format, &types)?;
    let (mut of_message, mut of_element) = (Vec::new(), Vec::new());
    for place in 0..rows.width() {
        let path = &*rows.column(place).path;
        match element {
            Some(_) if path.starts_with(&format.elements_of) => of_element.push((place, &path[format.elements_of.len()..])),
            _ => of_message.push((place, path)),
        }
    }
    if element.is_some() {
        // Beyond the columns: the elements themselves.
        of_message.push((rows.width(), &*format.elements_of));
    }
    Ok(Box::new(Messages {
        framing: format.framing,
        message: Columns::new(&types, types.root, &of_message),
        elements: element.map(|element| Columns::new(&types, element, &of_element)),
        types,
        glue: Glue::default(),
    }))
}

#[derive(Debug)]
struct Messages {
    framing: ProtobufFraming,
    types: Arc<Types>,
    message: Columns,
    /// Of elements that are rows.
    elements: Option<Columns>,
    glue: Glue,
}

/// Columns of one message.
#[derive(Debug)]
struct Columns {
    id: MessageId,
    step: Option<Step>,
    /// Of each its place among all columns, and what it is.
    targets: Vec<(usize, Target)>,
    found: Found,
}

impl Columns {
    fn new(types: &Types, id: MessageId, columns: &[(usize, &[String])]) -> Self {
        let mut targets: Vec<Target> = columns
            .iter()
            .map(|(_, path)| if path.is_empty() { Target::Whole(id) } else { Target::Nothing })
            .collect();
        let paths: Vec<(usize, &[String])> = columns.iter().enumerate().map(|(index, (_, path))| (index, *path)).collect();
        Self {
            id,
            step: Step::bind(types, id, &paths, &mut targets),
            found: Found::new(targets.len()),
            targets: columns.iter().map(|(place, _)| *place).zip(targets).collect(),
        }
    }

    /// Goes over the message in a range.
    fn find(&mut self, types: &Types, record: &[u8], range: (usize, usize)) -> Result<(), String> {
        self.found.clear();
        walk::message(types, self.id, self.step.as_ref(), record, range, 0, &mut self.found)
            .map_err(|reason| format!("not a message of the type: {reason}"))
    }

    /// Bytes of what was found.
    fn bytes(&self) -> usize {
        let length = |raw: &Raw| match raw {
            Raw::Range(start, end) => end - start,
            _ => size_of::<u64>(),
        };
        self.found.values.iter().flatten().map(length).sum()
    }

    /// Adds what was found to the columns of this message.
    fn add(&self, types: &Types, record: &[u8], range: (usize, usize), rows: &mut Rows) {
        let reading = Reading { types, record };
        let width = rows.width();
        for (index, (place, target)) in self.targets.iter().enumerate().filter(|(_, (place, _))| *place < width) {
            let (values, parent) = (&self.found.values[index], self.found.parents[index]);
            if let Target::Field(id, field) = target {
                let field = &types.message(*id).fields[*field];
                let is_scalar = matches!(field.label, Label::Singular { .. }) && !matches!(field.kind, Kind::Message(_));
                let stands = !values.is_empty() || field.label == Label::Singular { presence: false } && parent;
                if is_scalar && stands {
                    reading.scalar(field.kind, Some(values), |cell| rows.cell(*place, cell));
                    continue;
                }
            }
            rows.parts(*place, |sink| reading.target(target, range, values, parent, sink));
        }
    }
}

impl RowFormat for Messages {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for record in records {
            match self.framing {
                ProtobufFraming::Delimited => {
                    self.sequence(record, rows)?;
                    rows.end_record();
                }
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
                    self.rows(&message, (0, message.len()), rows)?;
                    rows.end_record();
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
                    self.rows(record, range, rows)?;
                    at = range.1;
                }
                Err(reason) => {
                    // Where the next message would begin is what the length would have told.
                    rows.bad_row(format!("not a sequence of messages: {reason}"));
                    return rows.rows_of(1);
                }
            }
        }
        Ok(())
    }

    /// Adds the message in a range as a row, or its elements.
    fn rows(&mut self, record: &[u8], range: (usize, usize), rows: &mut Rows) -> Result<(), DecodeError> {
        if let Err(reason) = self.message.find(&self.types, record, range) {
            rows.bad_row(reason);
            return rows.rows_of(1);
        }
        let Some(elements) = &mut self.elements else {
            self.message.add(&self.types, record, range, rows);
            return rows.rows_of(1);
        };
        let found = self.message.found.values.pop().unwrap_or_default();
        let beside = self.message.bytes();
        for element in &found {
            let Raw::Range(start, end) = *element else { continue };
            // The message has been gone over, its elements with it.
            match elements.find(&self.types, record, (start, end)) {
                Ok(()) => {
                    rows.repeat(beside)?;
                    self.message.add(&self.types, record, range, rows);
                    elements.add(&self.types, record, (start, end), rows);
                }
                Err(reason) => rows.bad_row(reason),
            }
            rows.rows_of(1)?;
        }
        self.message.found.values.push(found);
        Ok(())
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
