//! One JSON document a record: paths become objects within objects, NULL is left out.

use arrow::array::{Array, ArrayRef};

use super::scalar::{Kind, Scalar, write_kind};
use super::{EncodeError, RecordFormat};
use crate::decode::{array_index, json_text};
use crate::{ColumnDefinition, JsonFormat, JsonRows};

#[derive(Debug)]
pub(super) struct Json {
    columns: Vec<ColumnDefinition>,
    writers: Vec<Scalar>,
    root: Node,
    /// A document that is an array would be several rows.
    no_array: bool,
    text: String,
    document: String,
}

#[derive(Debug)]
enum Node {
    /// A column, by its place.
    Value(usize),
    /// Keys as JSON writes them.
    Object(Vec<(String, Node)>),
}

impl Json {
    pub(super) fn new(options: &JsonFormat, columns: Vec<ColumnDefinition>) -> Result<Self, EncodeError> {
        let mut root = Node::Object(Vec::new());
        for (place, column) in columns.iter().enumerate() {
            if let Some(key) = column.path.iter().find(|key| array_index(key).is_some()) {
                return Err(EncodeError::of(
                    column,
                    format!("its path holds `{key}`, which may be a place in an array; such a column cannot be written"),
                ));
            }
            if column.path.is_empty() && columns.len() > 1 {
                return Err(EncodeError::of(
                    column,
                    "it is the whole document, and cannot be written together with others; name the columns to write",
                ));
            }
            root.insert(&column.path, place).map_err(|other| {
                EncodeError::of(
                    column,
                    format!(
                        "it is written to the same place of a document as column `{}`, or into it; name the columns to write",
                        columns[other].name
                    ),
                )
            })?;
        }
        let writers = columns
            .iter()
            .map(|column| Scalar::of(column).map_err(|reason| EncodeError::of(column, reason)));
        Ok(Self {
            writers: writers.collect::<Result<_, _>>()?,
            columns,
            root,
            no_array: options.rows == JsonRows::Elements,
            text: String::new(),
            document: String::new(),
        })
    }
}

impl Node {
    /// Puts a column at a path; `Err` = the column that is there.
    fn insert(&mut self, path: &[String], place: usize) -> Result<(), usize> {
        let Some((key, rest)) = path.split_first() else {
            return match self {
                Self::Object(children) => match children.first() {
                    Some((_, child)) => Err(child.first()),
                    None => {
                        *self = Self::Value(place);
                        Ok(())
                    }
                },
                Self::Value(other) => Err(*other),
            };
        };
        let children = match self {
            Self::Object(children) => children,
            Self::Value(other) => return Err(*other),
        };
        let mut written = String::new();
        json_text(key, &mut written);
        match children.iter_mut().find(|(known, _)| *known == written) {
            Some((_, child)) => child.insert(rest, place),
            None => {
                let mut child = Self::Object(Vec::new());
                child.insert(rest, place)?;
                children.push((written, child));
                Ok(())
            }
        }
    }

    fn first(&self) -> usize {
        match self {
            Self::Value(place) => *place,
            Self::Object(children) => children.first().map_or(0, |(_, child)| child.first()),
        }
    }

    fn is_null(&self, values: &[ArrayRef], row: usize) -> bool {
        match self {
            Self::Value(place) => values[*place].is_null(row),
            Self::Object(children) => children.iter().all(|(_, child)| child.is_null(values, row)),
        }
    }
}

impl RecordFormat for Json {
    fn encode(&mut self, values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        self.document.clear();
        let Self {
            columns,
            writers,
            root,
            text,
            document,
            ..
        } = self;
        if let Node::Value(place) = root
            && values[*place].is_null(row)
        {
            return Err(EncodeError::of(&columns[*place], "it is the whole document, which cannot be NULL"));
        }
        write(root, columns, writers, values, row, text, document)?;
        if self.no_array && self.document.starts_with('[') {
            return Err(EncodeError::whole(
                "a document that is an array would be a row for each of its elements",
            ));
        }
        out.extend_from_slice(self.document.as_bytes());
        Ok(())
    }
}

fn write(
    node: &Node,
    columns: &[ColumnDefinition],
    writers: &[Scalar],
    values: &[ArrayRef],
    row: usize,
    text: &mut String,
    out: &mut String,
) -> Result<(), EncodeError> {
    match node {
        Node::Value(place) => {
            text.clear();
            let written = writers[*place].write(values[*place].as_ref(), row, text);
            let kind = written.map_err(|reason| EncodeError::of(&columns[*place], reason))?;
            if kind == Kind::Json && text == "null" {
                return Err(EncodeError::of(&columns[*place], "JSON's null is read as NULL; write NULL"));
            }
            write_kind(kind, text, out);
        }
        Node::Object(children) => {
            let mut first = true;
            out.push('{');
            for (key, child) in children.iter().filter(|(_, child)| !child.is_null(values, row)) {
                if !std::mem::take(&mut first) {
                    out.push(',');
                }
                out.push_str(key);
                out.push(':');
                write(child, columns, writers, values, row, text, out)?;
            }
            out.push('}');
        }
    }
    Ok(())
}
