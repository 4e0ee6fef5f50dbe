//! From what was found in a message to the values of columns. The bytes have been gone over (see `walk`), so nothing here is broken.

use super::super::cell::Cell;
use super::super::sink::{Growth, Shape, Sink, Told, keep_first};
use super::types::{Field, Kind, Label, MessageId, Types};
use super::walk::{Found, Target, Within, is_message, message};
use super::wire::{Fields, Raw, values};

/// A record's bytes and the types in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) types: &'a Types,
    pub(super) record: &'a [u8],
}

/// Values of each field of one message.
pub(super) type Collected = Vec<Vec<Raw>>;

impl<'a> Reading<'a> {
    /// Adds what a column is of a message.
    pub(super) fn target(&self, target: &Target, whole: (usize, usize), found: &[Raw], parent: bool, sink: &mut Sink) -> Told {
        match target {
            Target::Whole(id) => self.message(*id, &[Raw::Range(whole.0, whole.1)], sink),
            Target::Field(id, place) if parent => self.field(&self.types.message(*id).fields[*place], found, sink),
            Target::Within(id, place, within) if parent => self.within(&self.types.message(*id).fields[*place], within, found, sink),
            _ => null(sink),
        }
    }

    /// Adds a field's value.
    pub(super) fn field(&self, field: &Field, found: &[Raw], sink: &mut Sink) -> Told {
        match (field.label, sink.shape()) {
            (Label::Singular { presence }, _) if found.is_empty() => match presence {
                true => null(sink),
                false => self.scalar(field.kind, None, |cell| sink.append(cell).err().map(Box::new)),
            },
            (Label::Singular { .. }, _) => self.single(field.kind, found, sink),
            (Label::Repeated, Shape::List(list)) => {
                let (mut told, mut over) = (None, false);
                let mut growth = Growth::new(list.elements());
                for (index, value) in self.values(field.kind, found).enumerate() {
                    over = growth.is_over(list.elements());
                    if over {
                        break;
                    }
                    keep_first(&mut told, || index.to_string(), self.single(field.kind, &[value], list.elements()));
                }
                list.end(!over);
                if over { Some(Growth::refusal()) } else { told }
            }
            (Label::Map, Shape::Map(map)) => {
                let (mut told, mut over) = (None, false);
                let mut growth = Growth::new(map.entries());
                for (key, kind, value) in self.entries(field, found) {
                    over = growth.is_over(map.entries());
                    if over {
                        break;
                    }
                    let refused = match map.entry(&key) {
                        Ok(sink) => self.value_or_default(kind, value, sink),
                        Err(refusal) => Some(Box::new(refusal)),
                    };
                    keep_first(&mut told, || key, refused);
                }
                map.end(!over);
                if over { Some(Growth::refusal()) } else { told }
            }
            (Label::Repeated | Label::Map, _) => {
                let mut json = String::new();
                self.json_field(field, found, &mut json);
                sink.append(Cell::Json(&json)).err().map(Box::new)
            }
        }
    }

    fn value_or_default(&self, kind: Kind, value: Option<Raw>, sink: &mut Sink) -> Told {
        match value {
            Some(value) => self.single(kind, &[value], sink),
            None if is_message(kind) => self.single(kind, &[Raw::Range(0, 0)], sink),
            None => self.scalar(kind, None, |cell| sink.append(cell).err().map(Box::new)),
        }
    }

    /// Adds one value; of a message its parts, which are merged.
    fn single(&self, kind: Kind, parts: &[Raw], sink: &mut Sink) -> Told {
        match kind {
            Kind::Message(id) => self.message(id, parts, sink),
            kind => self.scalar(kind, Some(parts), |cell| sink.append(cell).err().map(Box::new)),
        }
    }

    fn message(&self, id: MessageId, parts: &[Raw], sink: &mut Sink) -> Told {
        let Shape::Row(row) = sink.shape() else {
            let mut json = String::new();
            self.json_message(id, parts, &mut json);
            return sink.append(Cell::Json(&json)).err().map(Box::new);
        };
        let collected = self.collect(id, parts);
        let mut told = None;
        for (field, found) in self.types.message(id).fields.iter().zip(&collected) {
            if let Some(place) = row.place(&field.name).filter(|place| !row.has(*place)) {
                let refused = self.field(field, found, row.field(place));
                keep_first(&mut told, || field.name.clone(), refused);
            }
        }
        row.end();
        told
    }

    /// The values of each field of a message.
    pub(super) fn collect(&self, id: MessageId, parts: &[Raw]) -> Collected {
        let message = self.types.message(id);
        let mut collected: Collected = vec![Vec::new(); message.fields.len()];
        for (number, raw) in parts.iter().flat_map(|part| self.fields(*part)) {
            let Some(place) = message.by_number(number) else { continue };
            let field = &message.fields[place];
            if field.oneof.is_some() {
                for (other, values) in collected.iter_mut().enumerate() {
                    if other != place && message.fields[other].oneof == field.oneof {
                        values.clear();
                    }
                }
            }
            let values = &mut collected[place];
            if matches!(field.label, Label::Singular { .. }) && !is_message(field.kind) {
                values.clear();
            }
            values.push(raw);
        }
        collected
    }

    /// The fields of a part of a message.
    fn fields(&self, part: Raw) -> impl Iterator<Item = (u32, Raw)> + use<'a> {
        let range = match part {
            Raw::Range(start, end) => (start, end),
            _ => (0, 0),
        };
        let mut fields = Fields::new(self.record, range);
        std::iter::from_fn(move || fields.next().ok().flatten())
    }

    /// The values of a repeated field, unpacked.
    pub(super) fn values(&self, kind: Kind, found: &[Raw]) -> impl Iterator<Item = Raw> {
        let record = self.record;
        found.iter().flat_map(move |raw| values(kind, *raw, record)).filter_map(Result::ok)
    }

    /// The entries of a map: key, and the value if there is one. Of several of one key the last counts, in the place of the first.
    pub(super) fn entries(&self, field: &Field, found: &[Raw]) -> Vec<(String, Kind, Option<Raw>)> {
        let Kind::Message(id) = field.kind else { return Vec::new() };
        let entry = self.types.message(id);
        let (Some(key), Some(value)) = (entry.by_number(1), entry.by_number(2)) else {
            return Vec::new();
        };
        let kind = entry.fields[value].kind;
        let mut places = std::collections::HashMap::new();
        let mut entries: Vec<(String, Kind, Option<Raw>)> = Vec::new();
        for part in found {
            let collected = self.collect(id, &[*part]);
            let name = self.scalar(entry.fields[key].kind, Some(&collected[key]), |cell| {
                cell.text().unwrap_or_default().into_owned()
            });
            let value = collected[value].last().copied();
            match places.get(&name) {
                Some(place) => {
                    let earlier: &mut (String, Kind, Option<Raw>) = &mut entries[*place];
                    earlier.2 = value;
                }
                None => {
                    places.insert(name.clone(), entries.len());
                    entries.push((name, kind, value));
                }
            }
        }
        entries
    }

    /// One value of a repeated field or map, or what is in it.
    fn within(&self, field: &Field, within: &Within, found: &[Raw], sink: &mut Sink) -> Told {
        let value = match field.label {
            Label::Map => self
                .entries(field, found)
                .into_iter()
                .find(|(key, ..)| *key == within.key)
                .map(|(_, kind, value)| (kind, value)),
            _ => {
                let index = within.key.parse().unwrap_or(usize::MAX);
                self.values(field.kind, found).nth(index).map(|value| (field.kind, Some(value)))
            }
        };
        let Some((kind, value)) = value else { return null(sink) };
        let Some((id, step, target)) = &within.inner else {
            return self.value_or_default(kind, value, sink);
        };
        let mut inside = Found::new(1);
        let range = match value {
            Some(Raw::Range(start, end)) => (start, end),
            _ => (0, 0),
        };
        match message(self.types, *id, step.as_ref(), self.record, range, 0, &mut inside) {
            Ok(()) => self.target(target, range, &inside.values[0], inside.parents[0], sink),
            Err(_) => null(sink),
        }
    }

    /// A value without parts; `None` = that of a field which has none.
    pub(super) fn scalar<T>(&self, kind: Kind, found: Option<&[Raw]>, take: impl FnOnce(Cell<'_>) -> T) -> T {
        let last = found.and_then(|found| found.last()).copied();
        let varint = match last {
            Some(Raw::Varint(value)) => value,
            _ => 0,
        };
        let four = match last {
            Some(Raw::Fixed32(value)) => value,
            _ => 0,
        };
        let eight = match last {
            Some(Raw::Fixed64(value)) => value,
            _ => 0,
        };
        let bytes = match last {
            Some(Raw::Range(start, end)) => self.record.get(start..end).unwrap_or_default(),
            _ => b"",
        };
        // Numbers of 32 bits may be written with more; the lower bits count.
        let short = varint as u32;
        match kind {
            Kind::Double => take(Cell::Double(f64::from_bits(eight))),
            Kind::Float => take(Cell::Real(f32::from_bits(four))),
            Kind::Int32 => take(Cell::Integer(i64::from(short.cast_signed()))),
            Kind::Int64 => take(Cell::Integer(varint.cast_signed())),
            Kind::Uint32 => take(Cell::Integer(i64::from(short))),
            Kind::Uint64 => unsigned(varint, take),
            Kind::Sint32 => take(Cell::Integer(i64::from((short >> 1).cast_signed() ^ -(short & 1).cast_signed()))),
            Kind::Sint64 => take(Cell::Integer((varint >> 1).cast_signed() ^ -(varint & 1).cast_signed())),
            Kind::Fixed32 => take(Cell::Integer(i64::from(four))),
            Kind::Fixed64 => unsigned(eight, take),
            Kind::Sfixed32 => take(Cell::Integer(i64::from(four.cast_signed()))),
            Kind::Sfixed64 => take(Cell::Integer(eight.cast_signed())),
            Kind::Bool => take(Cell::Boolean(varint != 0)),
            Kind::String => take(Cell::of_text(bytes)),
            Kind::Bytes => take(Cell::Bytes(bytes)),
            Kind::Enum(id) => match self.types.symbol(id, short.cast_signed()) {
                Some(symbol) => take(Cell::Text(symbol)),
                // A later version's, perhaps.
                None => take(Cell::Integer(i64::from(short.cast_signed()))),
            },
            Kind::Timestamp => {
                let (seconds, nanos) = self.seconds_and_nanos(found.unwrap_or_default());
                let carried = i64::from(nanos).div_euclid(1_000_000_000);
                let rest = i64::from(nanos).rem_euclid(1_000_000_000);
                take(Cell::Instant(seconds.saturating_add(carried), u32::try_from(rest).unwrap_or(0)))
            }
            Kind::Duration => {
                let (seconds, nanos) = self.seconds_and_nanos(found.unwrap_or_default());
                take(Cell::Text(&duration(seconds, nanos)))
            }
            Kind::Wrapper(id) => {
                let message = self.types.message(id);
                let collected = self.collect(id, found.unwrap_or_default());
                match (message.fields.first(), collected.first()) {
                    (Some(field), Some(values)) if !is_message(field.kind) => self.scalar(field.kind, Some(values), take),
                    _ => take(Cell::Null),
                }
            }
            Kind::Message(_) => take(Cell::Null),
        }
    }

    fn seconds_and_nanos(&self, parts: &[Raw]) -> (i64, i32) {
        let (mut seconds, mut nanos) = (0, 0);
        for (number, raw) in parts.iter().flat_map(|part| self.fields(*part)) {
            match (number, raw) {
                (1, Raw::Varint(value)) => seconds = value.cast_signed(),
                (2, Raw::Varint(value)) => nanos = (value as u32).cast_signed(),
                _ => {}
            }
        }
        (seconds, nanos)
    }
}

fn null(sink: &mut Sink) -> Told {
    sink.append(Cell::Null).err().map(Box::new)
}

fn unsigned<T>(value: u64, take: impl FnOnce(Cell<'_>) -> T) -> T {
    match i64::try_from(value) {
        Ok(value) => take(Cell::Integer(value)),
        Err(_) => take(Cell::Text(&value.to_string())),
    }
}

/// Seconds with as many digits as it takes, by threes: `1.000340s`, as the JSON mapping of Protocol Buffers has it.
pub(crate) fn duration(seconds: i64, nanos: i32) -> String {
    let sign = if seconds < 0 || nanos < 0 { "-" } else { "" };
    let (seconds, nanos) = (seconds.unsigned_abs(), nanos.unsigned_abs());
    match nanos {
        0 => format!("{sign}{seconds}s"),
        nanos if nanos % 1_000_000 == 0 => format!("{sign}{seconds}.{:03}s", nanos / 1_000_000),
        nanos if nanos % 1_000 == 0 => format!("{sign}{seconds}.{:06}s", nanos / 1_000),
        nanos => format!("{sign}{seconds}.{nanos:09}s"),
    }
}
