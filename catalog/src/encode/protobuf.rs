//! A message a record, behind the header that its framing has.
//!
//! A column is the field at its path, through messages. A message is there if any of the columns in it is, and a field that no column is written to is not
//! set. Where a message cannot tell NULL from a default, NULL is refused.

use arrow::array::ArrayRef;
use prost::encoding::{WireType, encode_key, encode_varint};
use prost_reflect::{Cardinality, DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use super::protobuf_value::{self as value, Writing};
use super::scalar::Scalar;
use super::{EncodeError, RecordFormat};
use crate::decode::compile_protobuf;
use crate::{ColumnDefinition, ColumnType, ProtobufFormat, ProtobufFraming};

#[derive(Debug)]
pub(super) struct Protobuf {
    delimited: bool,
    header: Vec<u8>,
    root: Tree,
    columns: Vec<(ColumnDefinition, Option<Scalar>)>,
    message: Vec<u8>,
}

/// A message, and what columns are in it.
#[derive(Debug)]
struct Tree {
    descriptor: MessageDescriptor,
    /// The column that is the message as a whole.
    whole: Option<usize>,
    fields: Vec<(FieldDescriptor, Place)>,
}

#[derive(Debug)]
enum Place {
    Column(usize),
    Message(Tree),
}

impl Protobuf {
    pub(super) fn new(format: &ProtobufFormat, columns: Vec<ColumnDefinition>) -> Result<Self, EncodeError> {
        if !format.elements_of.is_empty() {
            return Err(EncodeError::whole(format!(
                "rows are elements of `{}` within a message, and such messages cannot be written",
                format.elements_of.join("/")
            )));
        }
        let types = compile_protobuf(format).map_err(EncodeError::whole)?;
        let id = || {
            format.schema_id.ok_or_else(|| {
                EncodeError::whole(
                    "the definition does not say the schema's id, which is written before messages; add `schema_id` to its format",
                )
            })
        };
        let header = match format.framing {
            ProtobufFraming::None | ProtobufFraming::Delimited => Vec::new(),
            ProtobufFraming::Confluent => {
                let id = u32::try_from(id()?).map_err(|error| EncodeError::whole(error.to_string()))?;
                [&[0], id.to_be_bytes().as_slice(), &types.written_indexes()].concat()
            }
            ProtobufFraming::Glue => [&[3, 0], id()?.to_be_bytes().as_slice()].concat(),
        };
        let pool = DescriptorPool::decode(&*format.descriptor).map_err(|error| EncodeError::whole(error.to_string()))?;
        let descriptor = pool
            .get_message_by_name(format.message.trim_start_matches('.'))
            .ok_or_else(|| EncodeError::whole(format!("the descriptor set has no message `{}`", format.message)))?;
        let mut root = Tree::of(descriptor);
        for (place, column) in columns.iter().enumerate() {
            root.add(place, &column.path, column)?;
        }
        let columns = columns.into_iter().map(|column| {
            let scalar =
                value::scalar_of(&column.column_type, column.format.as_ref()).map_err(|reason| EncodeError::of(&column, reason))?;
            Ok((column, scalar))
        });
        Ok(Self {
            delimited: format.framing == ProtobufFraming::Delimited,
            header,
            root,
            columns: columns.collect::<Result<_, EncodeError>>()?,
            message: Vec::new(),
        })
    }
}

impl RecordFormat for Protobuf {
    fn encode(&mut self, values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.message.clear();
        let row = Row {
            columns: &self.columns,
            values,
            row,
        };
        row.message(&self.root, &mut self.message)?;
        out.extend_from_slice(&self.header);
        if self.delimited {
            encode_varint(self.message.len() as u64, out);
        }
        out.extend_from_slice(&self.message);
        Ok(())
    }
}

impl Tree {
    fn of(descriptor: MessageDescriptor) -> Self {
        Self {
            descriptor,
            whole: None,
            fields: Vec::new(),
        }
    }

    fn add(&mut self, place: usize, path: &[String], column: &ColumnDefinition) -> Result<(), EncodeError> {
        let taken = || {
            EncodeError::of(
                column,
                "another column is written to the same place of a message, or into it; name the columns to write",
            )
        };
        if self.whole.is_some() {
            return Err(taken());
        }
        let Some((name, rest)) = path.split_first() else {
            if !self.fields.is_empty() {
                return Err(taken());
            }
            self.whole = Some(place);
            return Ok(());
        };
        let field = self
            .descriptor
            .get_field_by_name(name)
            .or_else(|| self.descriptor.get_field_by_json_name(name))
            .ok_or_else(|| {
                EncodeError::of(
                    column,
                    format!("message {} has no field `{name}` that can be written", self.descriptor.full_name()),
                )
            })?;
        let known = self.fields.iter_mut().find(|(known, _)| *known == field);
        match (known, rest.is_empty()) {
            (None, true) => self.fields.push((field, Place::Column(place))),
            (Some((_, Place::Message(tree))), false) => tree.add(place, rest, column)?,
            (Some(_), _) => return Err(taken()),
            (None, false) => {
                let (Kind::Message(inner), false, false) = (field.kind(), field.is_list() || field.is_map(), field.is_group()) else {
                    return Err(EncodeError::of(
                        column,
                        format!("only fields of messages can be written, and `{name}` is no single message"),
                    ));
                };
                let mut tree = Self::of(inner);
                tree.add(place, rest, column)?;
                self.fields.push((field, Place::Message(tree)));
            }
        }
        Ok(())
    }
}

/// One row on its way into a message.
struct Row<'a> {
    columns: &'a [(ColumnDefinition, Option<Scalar>)],
    values: &'a [ArrayRef],
    row: usize,
}

impl Row<'_> {
    fn has(&self, place: &Place) -> bool {
        match place {
            Place::Column(place) => self.values[*place].is_valid(self.row),
            Place::Message(tree) => tree.fields.iter().any(|(_, place)| self.has(place)),
        }
    }

    /// The fields of a message that is there.
    fn message(&self, tree: &Tree, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        if let Some(place) = tree.whole {
            return self.whole(place, &tree.descriptor, out);
        }
        let mut chosen = Vec::new();
        for (field, place) in &tree.fields {
            if self.has(place)
                && let Some(oneof) = field.containing_oneof()
            {
                if chosen.contains(&oneof) {
                    let message = format!(
                        "of `{}` only one of its fields can be written, and several have values",
                        oneof.name()
                    );
                    return Err(match place {
                        Place::Column(place) => EncodeError::of(&self.columns[*place].0, message),
                        Place::Message(_) => EncodeError::whole(message),
                    });
                }
                chosen.push(oneof);
            }
            match place {
                Place::Column(place) => self.column(field, *place, out)?,
                Place::Message(tree) if self.has(place) => {
                    let mut inner = Vec::new();
                    self.message(tree, &mut inner)?;
                    encode_key(field.number(), WireType::LengthDelimited, out);
                    encode_varint(inner.len() as u64, out);
                    out.extend_from_slice(&inner);
                }
                Place::Message(_) => {}
            }
        }
        let required = |field: &FieldDescriptor| field.cardinality() == Cardinality::Required;
        let written = |field: &FieldDescriptor| tree.fields.iter().any(|(known, place)| known == field && self.has(place));
        match tree.descriptor.fields().find(|field| required(field) && !written(field)) {
            Some(field) => Err(EncodeError::whole(format!(
                "field `{}` is required, and has no value",
                field.full_name()
            ))),
            None => Ok(()),
        }
    }

    fn column(&self, field: &FieldDescriptor, place: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (column, scalar) = &self.columns[place];
        let writing = Writing {
            column_type: &column.column_type,
            format: column.format.as_ref(),
            scalar: scalar.as_ref(),
        };
        writing
            .field(field, self.values[place].as_ref(), self.row, out)
            .map_err(|reason| EncodeError::of(column, reason))
    }

    fn whole(&self, place: usize, descriptor: &MessageDescriptor, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let (column, _) = &self.columns[place];
        let array = self.values[place].as_ref();
        let written = match &column.column_type {
            _ if array.is_null(self.row) => Err("a record is a message, and NULL is none".to_owned()),
            ColumnType::Row(parts) => value::row(descriptor, parts, array, self.row, out),
            other => Err(format!("a {other} is no message")),
        };
        written.map_err(|reason| EncodeError::of(column, reason))
    }
}
