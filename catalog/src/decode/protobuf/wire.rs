//! The wire format: fields of a message, and what each kind of value takes.

use prost::encoding::{WireType, decode_key, decode_varint};

use super::types::Kind;

/// Messages that one may be inside of, as in prost.
pub(super) const MOST_DEPTH: usize = 100;

/// Why bytes are no message, in words.
pub(super) type Broken = String;

/// A value as it is on the wire. Ranges are of the record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw {
    Varint(u64),
    Fixed32(u32),
    Fixed64(u64),
    /// A text, bytes, a message, or several values of a packed field.
    Range(usize, usize),
}

/// The fields of a message, in the order in which they are written.
#[derive(Debug, Clone)]
pub(super) struct Fields<'a> {
    record: &'a [u8],
    at: usize,
    end: usize,
}

impl<'a> Fields<'a> {
    /// Of the message in that range.
    pub(super) fn new(record: &'a [u8], (start, end): (usize, usize)) -> Self {
        Self { record, at: start, end }
    }

    /// Where the next field begins.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a [u8] {
        self.record.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn varint(&mut self) -> Result<u64, Broken> {
        let mut rest = self.rest();
        let value = decode_varint(&mut rest).map_err(|error| error.to_string())?;
        self.at = self.end - rest.len();
        Ok(value)
    }

    fn take(&mut self, count: u64) -> Result<Raw, Broken> {
        let start = self.at;
        match usize::try_from(count).ok().filter(|count| *count <= self.end - start) {
            Some(count) => {
                self.at += count;
                Ok(Raw::Range(start, self.at))
            }
            None => Err(ends()),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let bytes = *self.rest().first_chunk().ok_or_else(ends)?;
        self.at += N;
        Ok(bytes)
    }

    /// The next field's number and value; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<(u32, Raw)>, Broken> {
        let mut rest = self.rest();
        if rest.is_empty() {
            return Ok(None);
        }
        let (number, wire) = decode_key(&mut rest).map_err(|error| error.to_string())?;
        self.at = self.end - rest.len();
        let raw = match wire {
            WireType::Varint => Raw::Varint(self.varint()?),
            WireType::SixtyFourBit => Raw::Fixed64(u64::from_le_bytes(self.array()?)),
            WireType::ThirtyTwoBit => Raw::Fixed32(u32::from_le_bytes(self.array()?)),
            WireType::LengthDelimited => {
                let length = self.varint()?;
                self.take(length)?
            }
            WireType::StartGroup => self.group(number)?,
            WireType::EndGroup => return Err(format!("group {number} ends and has not begun")),
        };
        Ok(Some((number, raw)))
    }

    /// The rest of a group, of which the key has been read.
    fn group(&mut self, number: u32) -> Result<Raw, Broken> {
        let start = self.at;
        let mut open = vec![number];
        while let Some(innermost) = open.last().copied() {
            let before = self.at;
            let mut rest = self.rest();
            if rest.is_empty() {
                return Err(ends());
            }
            let (number, wire) = decode_key(&mut rest).map_err(|error| error.to_string())?;
            match wire {
                WireType::StartGroup => {
                    self.at = self.end - rest.len();
                    open.push(number);
                    if open.len() > MOST_DEPTH {
                        return Err(too_deep());
                    }
                }
                WireType::EndGroup if number == innermost => {
                    self.at = self.end - rest.len();
                    open.pop();
                    if open.is_empty() {
                        return Ok(Raw::Range(start, before));
                    }
                }
                WireType::EndGroup => return Err(format!("group {number} ends within group {innermost}")),
                _ => drop(self.next()?),
            }
        }
        Err(ends())
    }
}

fn ends() -> Broken {
    "it ends within a value".to_owned()
}

pub(super) fn too_deep() -> Broken {
    format!("messages in more than {MOST_DEPTH} others")
}

/// Whether a value on the wire is one of the kind.
pub(super) fn fits(kind: Kind, raw: Raw) -> bool {
    match kind {
        Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => matches!(raw, Raw::Fixed64(_)),
        Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => matches!(raw, Raw::Fixed32(_)),
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Timestamp | Kind::Duration | Kind::Wrapper(_) => {
            matches!(raw, Raw::Range(..))
        }
        _ => matches!(raw, Raw::Varint(_)),
    }
}

/// Whether values of the kind may stand packed.
pub(super) fn packs(kind: Kind) -> bool {
    !matches!(
        kind,
        Kind::String | Kind::Bytes | Kind::Message(_) | Kind::Timestamp | Kind::Duration | Kind::Wrapper(_)
    )
}

/// The values of a repeated field that one value on the wire is: itself, or those packed in it.
pub(super) fn values(kind: Kind, raw: Raw, record: &[u8]) -> impl Iterator<Item = Result<Raw, Broken>> {
    let (mut single, mut packed) = match raw {
        Raw::Range(start, end) if packs(kind) => (None, Some(Fields::new(record, (start, end)))),
        raw => (Some(raw), None),
    };
    std::iter::from_fn(move || match &mut packed {
        None => single.take().map(Ok),
        Some(fields) if fields.at == fields.end => None,
        Some(fields) => {
            let value = match kind {
                Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => fields.array().map(|bytes| Raw::Fixed64(u64::from_le_bytes(bytes))),
                Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => fields.array().map(|bytes| Raw::Fixed32(u32::from_le_bytes(bytes))),
                _ => fields.varint().map(Raw::Varint),
            };
            if value.is_err() {
                fields.at = fields.end;
            }
            Some(value)
        }
    })
}
