//! The columns that writers' schemas declare: types that every datum of theirs converts into.

use std::collections::BTreeSet;

use arrow::datatypes::TimeUnit;

use super::container::schema_text;
use super::schema::{Digits, Id, Node, Schema};
use super::writers::compile;
use crate::{AvroFormat, AvroFraming, ColumnType};

/// Values in others beyond which the rest is JSON.
const DEEPEST: usize = 8;
/// Types of a schema beyond which the rest is JSON: records that hold others twice come to any number.
const MOST_TYPES: usize = 4_096;

/// The fields of a format's data, or the one value that they are, under an empty name; `None` where nothing but null is written. Containers bring
/// their schemas: those of `contents` count, and those that have none do not.
pub(crate) fn declared(format: &AvroFormat, contents: &[&[u8]]) -> Result<Vec<(String, Option<ColumnType>)>, String> {
    let mut whole = None;
    if format.framing == AvroFraming::Container {
        let mut seen: Vec<&[u8]> = Vec::new();
        for text in contents.iter().filter_map(|content| schema_text(content)) {
            if seen.contains(&text) {
                continue;
            }
            seen.push(text);
            if let Some(schema) = std::str::from_utf8(text).ok().and_then(|text| Schema::parse(text).ok()) {
                whole = either(whole, Declaring::of(&schema));
            }
        }
    } else {
        let writers = compile(format)?;
        // The same order every time, and where ids are numbers that of time.
        let mut schemas: Vec<_> = writers.by_id.iter().collect();
        schemas.sort_by_key(|(id, _)| **id);
        for (_, schema) in schemas {
            whole = either(whole, Declaring::of(schema));
        }
    }
    Ok(match whole {
        Some(Type::Row(fields)) => fields.into_iter().map(|(name, field)| (name, field.map(column_type))).collect(),
        None => Vec::new(),
        Some(other) => vec![(String::new(), Some(column_type(other)))],
    })
}

/// What is declared: rows are kept open until all that is written in one place is known.
#[derive(Debug, Clone, PartialEq)]
enum Type {
    Plain(ColumnType),
    Array(Box<Option<Type>>),
    Map(Box<Option<Type>>),
    Row(Vec<(String, Option<Type>)>),
}

struct Declaring<'s> {
    schema: &'s Schema,
    inside: Vec<Id>,
    types: usize,
}

impl Declaring<'_> {
    fn of(schema: &Schema) -> Option<Type> {
        let mut declaring = Declaring {
            schema,
            inside: Vec::new(),
            types: 0,
        };
        declaring.value(schema.root)
    }

    /// `None` is null.
    fn value(&mut self, id: Id) -> Option<Type> {
        let json = Some(Type::Plain(ColumnType::Json));
        let node = self.schema.node(id);
        let has_parts = matches!(node, Node::Array(_) | Node::Map(_) | Node::Record(_));
        self.types += 1;
        if has_parts && (self.inside.contains(&id) || self.inside.len() >= DEEPEST || self.types > MOST_TYPES) {
            return json;
        }
        self.inside.push(id);
        let found = match node {
            Node::Null => None,
            Node::Union(branches) => branches.iter().map(|branch| self.value(*branch)).fold(None, either),
            Node::Array(items) => Some(Type::Array(Box::new(self.value(*items)))),
            Node::Map(values) => Some(Type::Map(Box::new(self.value(*values)))),
            Node::Record(fields) if fields.is_empty() => json,
            Node::Record(fields) => Some(Type::Row(
                fields.iter().map(|(name, field)| (name.clone(), self.value(*field))).collect(),
            )),
            scalar => Some(Type::Plain(scalar_type(scalar))),
        };
        self.inside.pop();
        found
    }
}

fn scalar_type(node: &Node) -> ColumnType {
    match node {
        Node::Boolean => ColumnType::Boolean,
        Node::Int => ColumnType::Integer,
        Node::Long => ColumnType::BigInt,
        Node::Float => ColumnType::Real,
        Node::Double => ColumnType::Double,
        Node::Date => ColumnType::Date,
        Node::Time(TimeUnit::Millisecond) => ColumnType::Time(TimeUnit::Millisecond),
        Node::Time(_) => ColumnType::Time(TimeUnit::Microsecond),
        Node::Timestamp(unit) => ColumnType::Timestamp(*unit),
        Node::Decimal(Digits { precision, scale }) | Node::FixedDecimal(_, Digits { precision, scale }) => {
            match (u8::try_from(*precision), u8::try_from(*scale)) {
                (Ok(precision), Ok(scale)) => ColumnType::Decimal(precision, scale),
                _ => ColumnType::Varchar,
            }
        }
        Node::Bytes | Node::Fixed(_) => ColumnType::Varbinary,
        Node::Uuid | Node::FixedUuid => ColumnType::Uuid,
        _ => ColumnType::Varchar,
    }
}

/// What values of both convert into: a text holds any scalar as its text and any other value as its JSON, bytes those and any bytes.
fn either(one: Option<Type>, other: Option<Type>) -> Option<Type> {
    match (one, other) {
        (None, only) | (only, None) => only,
        (Some(one), Some(other)) => Some(both(one, other)),
    }
}

fn both(one: Type, other: Type) -> Type {
    use ColumnType::{BigInt, Double, Integer, Json, Real, Varbinary, Varchar};
    match (one, other) {
        (one, other) if one == other => one,
        (Type::Array(one), Type::Array(other)) => Type::Array(Box::new(either(*one, *other))),
        (Type::Map(one), Type::Map(other)) => Type::Map(Box::new(either(*one, *other))),
        (Type::Row(mut one), Type::Row(other)) => {
            for (name, field) in other {
                match one.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, known)) => *known = either(known.take(), field),
                    None => one.push((name, field)),
                }
            }
            Type::Row(one)
        }
        (Type::Plain(Integer | BigInt), Type::Plain(Integer | BigInt)) => Type::Plain(BigInt),
        (Type::Plain(Real | Double), Type::Plain(Real | Double)) => Type::Plain(Double),
        (Type::Plain(Varbinary), _) | (_, Type::Plain(Varbinary)) => Type::Plain(Varbinary),
        // JSON here is what has parts: a scalar beside it is no JSON.
        (Type::Plain(Json), Type::Plain(_)) | (Type::Plain(_), Type::Plain(Json)) => Type::Plain(Varchar),
        (Type::Plain(Json), _) | (_, Type::Plain(Json)) => Type::Plain(Json),
        (Type::Plain(_), _) | (_, Type::Plain(_)) => Type::Plain(Varchar),
        _ => Type::Plain(Json),
    }
}

/// What is only ever null is a text as well as anything. A row whose fields differ by no more than case is JSON.
fn column_type(declared: Type) -> ColumnType {
    let of = |inner: Option<Type>| inner.map_or(ColumnType::Varchar, column_type);
    match declared {
        Type::Plain(plain) => plain,
        Type::Array(items) => ColumnType::Array(Box::new(of(*items))),
        Type::Map(values) => ColumnType::Map(Box::new(ColumnType::Varchar), Box::new(of(*values))),
        Type::Row(fields) => {
            let mut names = BTreeSet::new();
            match fields.iter().all(|(name, _)| names.insert(name.to_lowercase())) {
                true => ColumnType::Row(fields.into_iter().map(|(name, field)| (name, of(field))).collect()),
                false => ColumnType::Json,
            }
        }
    }
}
