//! A writer's schema (Apache Avro 1.12, "Schema Declaration"), as much of it as reading takes.

use std::collections::HashMap;
use std::num::NonZeroU32;

use arrow::datatypes::TimeUnit;
use serde_json::{Map, Value};

/// Types of a schema, named and unnamed.
const MOST_NODES: usize = 1 << 16;
/// Bytes of a short name.
const SHORT_NAME: usize = 1 << 10;
/// Digits of a decimal that is read.
const MOST_DIGITS: u64 = 76;

/// A type in a schema, by its place there, counted from one: records may hold themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Id(NonZeroU32);

impl Id {
    fn index(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Digits of a decimal, and how many of them are a fraction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Digits {
    pub(crate) precision: usize,
    pub(crate) scale: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Date,
    Time(TimeUnit),
    Timestamp(TimeUnit),
    /// Bytes that are a decimal.
    Decimal(Digits),
    Fixed(usize),
    FixedDecimal(usize, Digits),
    FixedUuid,
    /// A string that is a UUID's.
    Uuid,
    Duration,
    Enum(Vec<String>),
    Array(Id),
    Map(Id),
    Record(Vec<(String, Id)>),
    Union(Vec<Id>),
}

#[derive(Debug)]
pub(crate) struct Schema {
    nodes: Vec<Node>,
    /// Of each type whether a value of it may take no bytes.
    empty: Vec<bool>,
    /// See [`Self::is_small`].
    small: bool,
    pub(crate) root: Id,
}

impl Schema {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let json: Value = match text.trim_start().starts_with(['{', '[', '"']) {
            true => serde_json::from_str(text).map_err(|error| format!("the schema is not valid JSON: {error}"))?,
            // `string` for `"string"`
            false => Value::String(text.trim().to_owned()),
        };
        let mut parser = Parser::default();
        let root = parser.schema(&json, "")?;
        let mut nodes = Vec::with_capacity(parser.nodes.len());
        for node in parser.nodes {
            nodes.push(node.ok_or("a type holds nothing but itself")?);
        }
        Ok(Self {
            small: is_small(&nodes),
            empty: empty(&nodes),
            nodes,
            root,
        })
    }

    pub(crate) fn node(&self, id: Id) -> &Node {
        &self.nodes[id.index()]
    }

    /// Whether it is an array or a map.
    pub(super) fn is_of_parts(&self, id: Id) -> bool {
        matches!(self.node(id), Node::Array(_) | Node::Map(_))
    }

    /// Whether a byte of a datum stands for about one value, of some KiB at most: no type but null takes no bytes, none holds null many times, and names and
    /// symbols are short.
    pub(super) fn is_small(&self) -> bool {
        self.small
    }

    pub(super) fn may_be_empty(&self, id: Id) -> bool {
        self.empty[id.index()]
    }
}

fn is_small(nodes: &[Node]) -> bool {
    let empty = empty(nodes);
    let short = |name: &String| name.len() <= SHORT_NAME;
    nodes.iter().zip(&empty).all(|(node, is_empty)| match node {
        Node::Array(items) => !empty[items.index()],
        Node::Record(fields) => !is_empty && fields.iter().all(|(name, _)| short(name)),
        Node::Enum(symbols) => symbols.iter().all(short),
        Node::Null => true,
        _ => !is_empty,
    })
}

/// Which types may take no bytes: all but null and empty fixed do, and records of nothing else.
fn empty(nodes: &[Node]) -> Vec<bool> {
    let mut empty: Vec<bool> = nodes
        .iter()
        .map(|node| matches!(node, Node::Null | Node::Fixed(0) | Node::FixedDecimal(0, _)))
        .collect();
    loop {
        let before = empty.clone();
        for (index, node) in nodes.iter().enumerate() {
            if let Node::Record(fields) = node {
                empty[index] = fields.iter().all(|(_, field)| before[field.index()]);
            }
        }
        if empty == before {
            return empty;
        }
    }
}

#[derive(Default)]
struct Parser {
    /// `None` while a type is being read.
    nodes: Vec<Option<Node>>,
    named: HashMap<String, Id>,
}

impl Parser {
    fn add(&mut self, node: Option<Node>) -> Result<Id, String> {
        if self.nodes.len() >= MOST_NODES {
            return Err(format!("the schema has more than {MOST_NODES} types"));
        }
        self.nodes.push(node);
        let id = u32::try_from(self.nodes.len()).ok().and_then(NonZeroU32::new);
        id.map(Id).ok_or_else(|| "too many types".to_owned())
    }

    fn schema(&mut self, json: &Value, namespace: &str) -> Result<Id, String> {
        match json {
            Value::String(name) => match primitive(name) {
                Some(node) => self.add(Some(node)),
                None => self.reference(name, namespace),
            },
            Value::Array(branches) => {
                let branches = branches
                    .iter()
                    .map(|branch| self.schema(branch, namespace))
                    .collect::<Result<Vec<_>, _>>()?;
                self.add(Some(Node::Union(branches)))
            }
            Value::Object(attributes) => self.object(attributes, namespace),
            other => Err(format!("`{other}` is no schema")),
        }
    }

    fn reference(&self, name: &str, namespace: &str) -> Result<Id, String> {
        let full = full_name(name, namespace);
        self.named
            .get(&full)
            .or_else(|| self.named.get(name))
            .copied()
            .ok_or_else(|| format!("the schema has no type `{full}`"))
    }

    fn object(&mut self, attributes: &Map<String, Value>, namespace: &str) -> Result<Id, String> {
        let kind = match attributes.get("type") {
            Some(Value::String(kind)) => &**kind,
            Some(nested) => return self.schema(nested, namespace),
            None => return Err("a schema has no `type`".to_owned()),
        };
        match kind {
            "record" | "error" => {
                let (full, namespace) = name_of(attributes, namespace)?;
                let id = self.add(None)?;
                self.name(&full, id)?;
                let fields = list(attributes, "fields", &full)?
                    .iter()
                    .map(|field| {
                        let name = field
                            .get("name")
                            .and_then(Value::as_str)
                            .ok_or_else(|| format!("a field of {full} has no name"))?;
                        let kind = field.get("type").ok_or_else(|| format!("field {name} of {full} has no type"))?;
                        Ok((name.to_owned(), self.schema(kind, &namespace)?))
                    })
                    .collect::<Result<Vec<_>, String>>()?;
                self.nodes[id.index()] = Some(Node::Record(fields));
                Ok(id)
            }
            "enum" => {
                let (full, _) = name_of(attributes, namespace)?;
                let symbols = list(attributes, "symbols", &full)?
                    .iter()
                    .map(|symbol| symbol.as_str().map(str::to_owned))
                    .collect::<Option<Vec<_>>>()
                    .ok_or_else(|| format!("the symbols of {full} are not all texts"))?;
                let id = self.add(Some(Node::Enum(symbols)))?;
                self.name(&full, id)?;
                Ok(id)
            }
            "fixed" => {
                let (full, _) = name_of(attributes, namespace)?;
                let size = attributes
                    .get("size")
                    .and_then(Value::as_u64)
                    .and_then(|size| usize::try_from(size).ok())
                    .ok_or_else(|| format!("{full} has no size"))?;
                let id = self.add(Some(fixed(attributes, size)))?;
                self.name(&full, id)?;
                Ok(id)
            }
            "array" => {
                let items = attributes.get("items").ok_or("an array has no `items`")?;
                let items = self.schema(items, namespace)?;
                self.add(Some(Node::Array(items)))
            }
            "map" => {
                let values = attributes.get("values").ok_or("a map has no `values`")?;
                let values = self.schema(values, namespace)?;
                self.add(Some(Node::Map(values)))
            }
            name => match primitive(name) {
                Some(node) => self.add(Some(logical(attributes, node))),
                None => self.reference(name, namespace),
            },
        }
    }

    fn name(&mut self, full: &str, id: Id) -> Result<(), String> {
        match self.named.insert(full.to_owned(), id) {
            None => Ok(()),
            Some(_) => Err(format!("type `{full}` is defined twice")),
        }
    }
}

fn list<'v>(attributes: &'v Map<String, Value>, key: &str, of: &str) -> Result<&'v Vec<Value>, String> {
    attributes
        .get(key)
        .and_then(Value::as_array)
        .ok_or_else(|| format!("{of} has no {key}"))
}

fn full_name(name: &str, namespace: &str) -> String {
    match name.contains('.') || namespace.is_empty() {
        true => name.to_owned(),
        false => format!("{namespace}.{name}"),
    }
}

/// Full name and namespace of a named type.
fn name_of(attributes: &Map<String, Value>, enclosing: &str) -> Result<(String, String), String> {
    let name = attributes.get("name").and_then(Value::as_str).ok_or("a named type has no `name`")?;
    let namespace = attributes.get("namespace").and_then(Value::as_str).unwrap_or(enclosing);
    let full = full_name(name, namespace);
    let namespace = full.rsplit_once('.').map_or("", |(namespace, _)| namespace).to_owned();
    Ok((full, namespace))
}

fn primitive(name: &str) -> Option<Node> {
    Some(match name {
        "null" => Node::Null,
        "boolean" => Node::Boolean,
        "int" => Node::Int,
        "long" => Node::Long,
        "float" => Node::Float,
        "double" => Node::Double,
        "bytes" => Node::Bytes,
        "string" => Node::String,
        _ => return None,
    })
}

/// A type with its logical type. One that does not fit is to be ignored, says the specification.
fn logical(attributes: &Map<String, Value>, node: Node) -> Node {
    let kind = attributes.get("logicalType").and_then(Value::as_str).unwrap_or("");
    match (kind, node) {
        ("date", Node::Int) => Node::Date,
        ("time-millis", Node::Int) => Node::Time(TimeUnit::Millisecond),
        ("time-micros", Node::Long) => Node::Time(TimeUnit::Microsecond),
        ("timestamp-millis" | "local-timestamp-millis", Node::Long) => Node::Timestamp(TimeUnit::Millisecond),
        ("timestamp-micros" | "local-timestamp-micros", Node::Long) => Node::Timestamp(TimeUnit::Microsecond),
        ("timestamp-nanos" | "local-timestamp-nanos", Node::Long) => Node::Timestamp(TimeUnit::Nanosecond),
        ("decimal", Node::Bytes) => digits(attributes).map_or(Node::Bytes, Node::Decimal),
        ("uuid", Node::String) => Node::Uuid,
        (_, node) => node,
    }
}

fn fixed(attributes: &Map<String, Value>, size: usize) -> Node {
    match (attributes.get("logicalType").and_then(Value::as_str), size) {
        (Some("decimal"), _) => digits(attributes).map_or(Node::Fixed(size), |digits| Node::FixedDecimal(size, digits)),
        (Some("uuid"), 16) => Node::FixedUuid,
        (Some("duration"), 12) => Node::Duration,
        _ => Node::Fixed(size),
    }
}

fn digits(attributes: &Map<String, Value>) -> Option<Digits> {
    let precision = attributes.get("precision").and_then(Value::as_u64)?;
    let scale = attributes.get("scale").map_or(Some(0), Value::as_u64)?;
    if !(1..=MOST_DIGITS).contains(&precision) || scale > precision {
        return None;
    }
    Some(Digits {
        precision: usize::try_from(precision).ok()?,
        scale: usize::try_from(scale).ok()?,
    })
}
