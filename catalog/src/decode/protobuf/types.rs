//! The messages of a descriptor set, as much of them as reading takes.

use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::{Cardinality, DescriptorPool, ExtensionDescriptor, FieldDescriptor, MessageDescriptor};

use crate::ProtobufFormat;
use crate::definition::did_you_mean;

/// Field numbers that are found by index.
const DENSE: usize = 256;

/// A message, by its place among those that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MessageId(usize);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EnumId(usize);

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
    /// google.protobuf.Timestamp
    Timestamp,
    /// google.protobuf.Duration
    Duration,
    /// A message of google/protobuf/wrappers.proto, whose only field counts for it.
    Wrapper(MessageId),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    /// One value, or none if it knows presence; else its default stands for none.
    Singular {
        presence: bool,
    },
    Repeated,
    /// Entries are messages of a key and a value.
    Map,
}

#[derive(Debug)]
pub(super) struct Field {
    /// As in the .proto file; of an extension its full name in brackets.
    pub(super) name: String,
    json_name: String,
    number: u32,
    pub(super) kind: Kind,
    pub(super) label: Label,
    /// The oneof that it is in, by its place in the message.
    pub(super) oneof: Option<usize>,
}

#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) fields: Vec<Field>,
    /// Of each small number its field's place, and one.
    dense: Vec<u16>,
    /// Places of fields of other numbers.
    sparse: HashMap<u32, usize>,
}

impl Message {
    pub(super) fn by_number(&self, number: u32) -> Option<usize> {
        match self.dense.get(number as usize) {
            Some(place) => usize::from(*place).checked_sub(1),
            None => self.sparse.get(&number).copied(),
        }
    }

    /// The field of that name, as in the .proto file or as in JSON.
    pub(super) fn by_name(&self, name: &str) -> Option<usize> {
        let named = |of: fn(&Field) -> &str| self.fields.iter().position(|field| of(field) == name);
        named(|field| &field.name).or_else(|| named(|field| &field.json_name))
    }
}

/// A message and all that it may hold.
#[derive(Debug)]
pub(crate) struct Types {
    messages: Vec<Message>,
    enums: Vec<HashMap<i32, String>>,
    pub(super) root: MessageId,
    /// Where the message stands in its file: index of the outermost one, and of each in the one around it.
    pub(super) indexes: Vec<i64>,
}

impl Types {
    pub(super) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.0]
    }

    /// Confluent's way to say which of a file's messages it is; the first one's is short.
    pub(crate) fn written_indexes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut number = |value: i64| prost::encoding::encode_varint(((value << 1) ^ (value >> 63)).cast_unsigned(), &mut bytes);
        match &self.indexes[..] {
            [0] => number(0),
            indexes => {
                number(indexes.len() as i64);
                indexes.iter().copied().for_each(&mut number);
            }
        }
        bytes
    }

    pub(super) fn symbol(&self, id: EnumId, number: i32) -> Option<&str> {
        self.enums[id.0].get(&number).map(String::as_str)
    }
}

/// The types of a format, compiled.
pub(crate) fn compile(format: &ProtobufFormat) -> Result<Arc<Types>, String> {
    format.compiled.get_or_try(|| {
        let pool = DescriptorPool::decode(&*format.descriptor).map_err(|error| format!("not a descriptor set: {error}"))?;
        let name = format.message.trim_start_matches('.');
        let root = pool.get_message_by_name(name).ok_or_else(|| {
            let names: Vec<String> = pool.all_messages().map(|message| message.full_name().to_owned()).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            match did_you_mean(name, &names) {
                near if near.is_empty() => format!(
                    "the descriptor set has no message `{name}`; it has {}",
                    names.iter().take(20).copied().collect::<Vec<_>>().join(", ")
                ),
                near => format!("the descriptor set has no message `{name}`{near}"),
            }
        })?;
        let mut reader = Reader::default();
        let id = reader.message(&root)?;
        Ok(Types {
            messages: reader.messages,
            enums: reader.enums,
            root: id,
            // Each step of a path is a field's number in descriptor.proto, and an index.
            indexes: root.path().iter().skip(1).step_by(2).map(|index| i64::from(*index)).collect(),
        })
    })
}

#[derive(Default)]
struct Reader {
    messages: Vec<Message>,
    enums: Vec<HashMap<i32, String>>,
    known: HashMap<String, MessageId>,
    known_enums: HashMap<String, EnumId>,
}

impl Reader {
    fn message(&mut self, root: &MessageDescriptor) -> Result<MessageId, String> {
        let mut waiting = Vec::new();
        let id = self.meet(root, &mut waiting);
        while let Some((id, descriptor)) = waiting.pop() {
            let mut message = Message {
                dense: vec![0; DENSE],
                ..Message::default()
            };
            let fields = descriptor
                .fields()
                .map(|field| self.field(&field, &mut waiting))
                .collect::<Vec<_>>();
            let extensions = descriptor.extensions().map(|field| self.extension(&field, &mut waiting));
            for field in fields.into_iter().chain(extensions.collect::<Vec<_>>()) {
                let place = message.fields.len();
                match (message.dense.get_mut(field.number as usize), u16::try_from(place + 1)) {
                    (Some(dense), Ok(place)) => *dense = place,
                    (Some(_), Err(_)) => return Err(format!("message {} has too many fields", descriptor.full_name())),
                    (None, _) => drop(message.sparse.insert(field.number, place)),
                }
                message.fields.push(field);
            }
            self.messages[id.0] = message;
        }
        Ok(id)
    }

    fn meet(&mut self, descriptor: &MessageDescriptor, waiting: &mut Vec<(MessageId, MessageDescriptor)>) -> MessageId {
        if let Some(known) = self.known.get(descriptor.full_name()) {
            return *known;
        }
        let id = MessageId(self.messages.len());
        self.messages.push(Message::default());
        self.known.insert(descriptor.full_name().to_owned(), id);
        waiting.push((id, descriptor.clone()));
        id
    }

    fn field(&mut self, field: &FieldDescriptor, waiting: &mut Vec<(MessageId, MessageDescriptor)>) -> Field {
        Field {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            kind: self.kind(field.kind(), waiting),
            label: match field.cardinality() {
                _ if field.is_map() => Label::Map,
                Cardinality::Repeated => Label::Repeated,
                _ => Label::Singular {
                    presence: field.supports_presence(),
                },
            },
            oneof: field
                .containing_oneof()
                .and_then(|oneof| field.parent_message().oneofs().position(|other| other == oneof)),
        }
    }

    /// As JSON names it: its full name in brackets.
    fn extension(&mut self, field: &ExtensionDescriptor, waiting: &mut Vec<(MessageId, MessageDescriptor)>) -> Field {
        Field {
            name: field.json_name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            kind: self.kind(field.kind(), waiting),
            label: match field.cardinality() {
                Cardinality::Repeated => Label::Repeated,
                _ => Label::Singular {
                    presence: field.supports_presence(),
                },
            },
            oneof: None,
        }
    }

    fn kind(&mut self, kind: prost_reflect::Kind, waiting: &mut Vec<(MessageId, MessageDescriptor)>) -> Kind {
        use prost_reflect::Kind as Described;
        match kind {
            Described::Double => Kind::Double,
            Described::Float => Kind::Float,
            Described::Int32 => Kind::Int32,
            Described::Int64 => Kind::Int64,
            Described::Uint32 => Kind::Uint32,
            Described::Uint64 => Kind::Uint64,
            Described::Sint32 => Kind::Sint32,
            Described::Sint64 => Kind::Sint64,
            Described::Fixed32 => Kind::Fixed32,
            Described::Fixed64 => Kind::Fixed64,
            Described::Sfixed32 => Kind::Sfixed32,
            Described::Sfixed64 => Kind::Sfixed64,
            Described::Bool => Kind::Bool,
            Described::String => Kind::String,
            Described::Bytes => Kind::Bytes,
            Described::Enum(described) => {
                let enums = &mut self.enums;
                Kind::Enum(*self.known_enums.entry(described.full_name().to_owned()).or_insert_with(|| {
                    let mut symbols = HashMap::new();
                    for value in described.values() {
                        // Of aliases the first is the name.
                        symbols.entry(value.number()).or_insert_with(|| value.name().to_owned());
                    }
                    enums.push(symbols);
                    EnumId(enums.len() - 1)
                }))
            }
            Described::Message(message) => {
                let id = self.meet(&message, waiting);
                match message.full_name() {
                    "google.protobuf.Timestamp" => Kind::Timestamp,
                    "google.protobuf.Duration" => Kind::Duration,
                    name if name.strip_prefix("google.protobuf.").is_some_and(|name| WRAPPERS.contains(&name)) => Kind::Wrapper(id),
                    _ => Kind::Message(id),
                }
            }
        }
    }
}

const WRAPPERS: [&str; 9] = [
    "DoubleValue",
    "FloatValue",
    "Int64Value",
    "UInt64Value",
    "Int32Value",
    "UInt32Value",
    "BoolValue",
    "StringValue",
    "BytesValue",
];

impl Field {
    /// As an error names it.
    pub(super) fn described(&self) -> String {
        format!("field {} ({})", self.number, self.name)
    }
}
