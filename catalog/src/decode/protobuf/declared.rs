//! The columns that a message declares: types that every message of its converts into.

use std::collections::BTreeSet;

use arrow::datatypes::TimeUnit;

use super::elements;
use super::types::{Field, Kind, Label, MessageId, Types, compile};
use crate::{ColumnType, ProtobufFormat};

/// Messages in others beyond which the rest is JSON.
const DEEPEST: usize = 8;
/// Fields beyond which the rest is JSON: messages that hold others twice come to any number.
const MOST_FIELDS: usize = 4_096;

/// Paths of a format's rows, and their types: the fields of the message, and where its elements are rows those of the elements in place of the field that
/// holds them.
pub(crate) fn declared(format: &ProtobufFormat) -> Result<Vec<(Vec<String>, ColumnType)>, String> {
    let types = compile(format)?;
    let element = elements(format, &types)?;
    let mut declaring = Declaring {
        types: &types,
        inside: vec![types.root],
        fields: 0,
    };
    let holding = format.elements_of.first().and_then(|name| types.message(types.root).by_name(name));
    let mut columns = Vec::new();
    for (place, field) in types.message(types.root).fields.iter().enumerate() {
        if element.is_none() || Some(place) != holding {
            columns.push((vec![field.name.clone()], declaring.field(field)));
        }
    }
    if let Some(element) = element {
        declaring.inside = vec![element];
        for field in &types.message(element).fields {
            let path = format.elements_of.iter().cloned().chain([field.name.clone()]).collect();
            columns.push((path, declaring.field(field)));
        }
    }
    Ok(columns)
}

struct Declaring<'t> {
    types: &'t Types,
    inside: Vec<MessageId>,
    fields: usize,
}

impl Declaring<'_> {
    fn field(&mut self, field: &Field) -> ColumnType {
        match (field.label, field.kind) {
            (Label::Map, Kind::Message(entry)) => match &self.types.message(entry).fields[..] {
                [key, value] => ColumnType::Map(Box::new(key_type(key.kind)), Box::new(self.value(value.kind))),
                _ => ColumnType::Json,
            },
            (Label::Repeated, kind) => ColumnType::Array(Box::new(self.value(kind))),
            (_, kind) => self.value(kind),
        }
    }

    fn value(&mut self, kind: Kind) -> ColumnType {
        match kind {
            Kind::Double => ColumnType::Double,
            Kind::Float => ColumnType::Real,
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => ColumnType::Integer,
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint32 | Kind::Fixed32 => ColumnType::BigInt,
            // The largest of 64 bits have 20 digits.
            Kind::Uint64 | Kind::Fixed64 => ColumnType::Decimal(20, 0),
            Kind::Bool => ColumnType::Boolean,
            Kind::String | Kind::Enum(_) | Kind::Duration => ColumnType::Varchar,
            Kind::Bytes => ColumnType::Varbinary,
            Kind::Timestamp => ColumnType::Timestamp(TimeUnit::Nanosecond),
            Kind::Wrapper(id) => match &self.types.message(id).fields[..] {
                [wrapped] => self.value(wrapped.kind),
                _ => ColumnType::Json,
            },
            Kind::Message(id) => self.message(id),
        }
    }

    fn message(&mut self, id: MessageId) -> ColumnType {
        let fields = &self.types.message(id).fields;
        self.fields += fields.len();
        let mut names = BTreeSet::new();
        if fields.is_empty()
            || self.inside.contains(&id)
            || self.inside.len() >= DEEPEST
            || self.fields > MOST_FIELDS
            || !fields.iter().all(|field| names.insert(field.name.to_lowercase()))
        {
            return ColumnType::Json;
        }
        self.inside.push(id);
        let fields = fields.iter().map(|field| (field.name.clone(), self.field(field))).collect();
        self.inside.pop();
        ColumnType::Row(fields)
    }
}

/// Keys are integers, booleans or texts.
fn key_type(kind: Kind) -> ColumnType {
    match kind {
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => ColumnType::Integer,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint32 | Kind::Fixed32 => ColumnType::BigInt,
        _ => ColumnType::Varchar,
    }
}
