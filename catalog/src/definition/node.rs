//! A definition file as a tree, and where in the text each part stands.
//!
//! Values carry no positions while a definition is read; when one is wrong, the text is walked once more to the place of the problem.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::DefinitionError;

/// A YAML or JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Boolean(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

impl Node {
    /// How an error calls it.
    pub(super) fn described(&self) -> String {
        match self {
            Self::Null => "nothing".into(),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Number(text) => format!("the number {text}"),
            Self::Text(text) => format!("the text `{text}`"),
            Self::List(_) => "a list".into(),
            Self::Map(_) => "a map".into(),
        }
    }

    pub(super) fn from_yaml(text: &str) -> Result<Self, DefinitionError> {
        NodeSeed { unique_keys: true }
            .deserialize(serde_yaml::Deserializer::from_str(text))
            .map_err(|error| {
                let location = error.location();
                DefinitionError {
                    line: location.as_ref().map(serde_yaml::Location::line),
                    column: location.as_ref().map(serde_yaml::Location::column),
                    message: format!("not valid YAML: {error}"),
                }
            })
    }

    pub(super) fn from_json(text: &str) -> Result<Self, DefinitionError> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let node = NodeSeed { unique_keys: false }.deserialize(&mut deserializer);
        node.and_then(|node| deserializer.end().map(|()| node))
            .map_err(|error| DefinitionError {
                line: Some(error.line()).filter(|line| *line > 0),
                column: Some(error.column()).filter(|column| *column > 0),
                message: format!("not valid JSON: {error}"),
            })
    }
}

/// One step from a value to a value in it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Step {
    Key(String),
    Index(usize),
}

/// What is wrong, and where in the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) steps: Vec<Step>,
    /// The last key itself is wrong, not its value.
    pub(super) at_key: bool,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn in_yaml(self, text: &str) -> DefinitionError {
        let seed = Locate {
            steps: &self.steps,
            at_key: self.at_key,
        };
        let location = seed
            .deserialize(serde_yaml::Deserializer::from_str(text))
            .err()
            .and_then(|error| error.location());
        DefinitionError {
            line: location.as_ref().map(serde_yaml::Location::line),
            column: location.as_ref().map(serde_yaml::Location::column),
            message: self.message,
        }
    }

    pub(super) fn in_json(self, text: &str) -> DefinitionError {
        let seed = Locate {
            steps: &self.steps,
            at_key: self.at_key,
        };
        let error = seed.deserialize(&mut serde_json::Deserializer::from_str(text)).err();
        DefinitionError {
            line: error.as_ref().map(serde_json::Error::line).filter(|line| *line > 0),
            column: error.as_ref().map(serde_json::Error::column).filter(|column| *column > 0),
            message: self.message,
        }
    }
}

#[derive(Clone, Copy)]
struct NodeSeed {
    unique_keys: bool,
}

impl<'de> DeserializeSeed<'de> for NodeSeed {
    type Value = Node;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a boolean, a list or a map")
    }
    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_none<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }
    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Boolean(value))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Node::Number(value.to_string()))
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        Ok(Node::Text(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Node::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Node, A::Error> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        while let Some(key) = access.next_key_seed(KeySeed {
            seen: self.unique_keys.then_some(&entries),
        })? {
            let value = access.next_value_seed(self)?;
            match entries.iter_mut().find(|(seen, _)| *seen == key) {
                Some((_, earlier)) => *earlier = value,
                None => entries.push((key, value)),
            }
        }
        Ok(Node::Map(entries))
    }
}

struct KeySeed<'a> {
    seen: Option<&'a Vec<(String, Node)>>,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = String;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = String;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        match self.seen {
            Some(seen) if seen.iter().any(|(earlier, _)| earlier == key) => Err(E::custom(format_args!("key `{key}` is given twice"))),
            _ => Ok(key.to_owned()),
        }
    }
}

/// Walks to a place and fails there, so that the parser says where it is.
#[derive(Clone, Copy)]
struct Locate<'a> {
    steps: &'a [Step],
    at_key: bool,
}

impl<'de> DeserializeSeed<'de> for Locate<'_> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Locate<'_> {
    fn here<E: Error>() -> E {
        E::custom("here")
    }
}

impl<'de> Visitor<'de> for Locate<'_> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the place")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((Step::Index(wanted), rest)) = self.steps.split_first() else {
            return Err(Self::here());
        };
        for _ in 0..*wanted {
            access.next_element::<IgnoredAny>()?;
        }
        access.next_element_seed(Locate {
            steps: rest,
            at_key: self.at_key,
        })?;
        Err(Self::here())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Some((Step::Key(wanted), rest)) = self.steps.split_first() else {
            return Err(Self::here());
        };
        let key = LocateKey {
            wanted,
            fail: self.at_key && rest.is_empty(),
        };
        while let Some(found) = access.next_key_seed(key)? {
            if found {
                access.next_value_seed(Locate {
                    steps: rest,
                    at_key: self.at_key,
                })?;
            } else {
                access.next_value::<IgnoredAny>()?;
            }
        }
        Err(Self::here())
    }
}

#[derive(Clone, Copy)]
struct LocateKey<'a> {
    wanted: &'a str,
    fail: bool,
}

impl<'de> DeserializeSeed<'de> for LocateKey<'_> {
    type Value = bool;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for LocateKey<'_> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        match key == self.wanted {
            true if self.fail => Err(E::custom("here")),
            found => Ok(found),
        }
    }
}
