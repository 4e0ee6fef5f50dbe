//! Which paths of a document the requested columns need, as a tree, and the smallest arrow-json schema that finds them.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use memchr::memmem::Finder;

/// A tree of keys. A node can be both a column and the parent of columns.
#[derive(Debug, Default)]
pub(super) struct PathTree {
    pub(super) key: String,
    pub(super) children: Vec<PathTree>,
    /// Columns whose path ends here.
    pub(super) columns: Vec<Wanted>,
}

/// A column of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Place in the request.
    pub(super) place: usize,
    /// The value is wanted as JSON text, whatever it is.
    pub(super) takes_json: bool,
}

impl PathTree {
    /// The key as an index into an array (RFC 6901: no leading zeros).
    pub(super) fn index(&self) -> Option<usize> {
        index(&self.key)
    }

    pub(super) fn insert(&mut self, path: &[String], column: Wanted) {
        let Some((key, rest)) = path.split_first() else {
            self.columns.push(column);
            return;
        };
        let at = self.children.iter().position(|child| child.key == *key).unwrap_or_else(|| {
            self.children.push(Self {
                key: key.clone(),
                ..Self::default()
            });
            self.children.len() - 1
        });
        self.children[at].insert(rest, column);
    }
}

/// A key that may be an index into an array.
pub(crate) fn index(key: &str) -> Option<usize> {
    let plain = key.bytes().all(|b| b.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    key.parse().ok().filter(|_| plain)
}

/// One scalar of the arrow-json schema and the columns that take it.
#[derive(Debug)]
pub(super) struct Leaf {
    /// Place of the child at each level of the decoded struct.
    indexes: Vec<usize>,
    pub(super) columns: Vec<usize>,
    /// The quoted key.
    key: Finder<'static>,
}

/// The part of a request that arrow-json decodes.
#[derive(Debug, Default)]
pub(super) struct FastPlan {
    pub(super) leaves: Vec<Leaf>,
    fields: Fields,
}

impl FastPlan {
    /// Columns of paths that are no document and no parent of another path.
    pub(super) fn new(columns: &[(usize, &[String])]) -> Self {
        let mut tree = PathTree::default();
        for (column, path) in columns {
            tree.insert(
                path,
                Wanted {
                    place: *column,
                    takes_json: false,
                },
            );
        }
        let mut leaves = Vec::new();
        let fields = fields(&tree, &mut Vec::new(), &mut leaves);
        Self { leaves, fields }
    }

    /// A nullable struct of structs and texts: every scalar is asked for as text, so that one rule of ours converts it.
    pub(super) fn root(&self) -> FieldRef {
        Arc::new(Field::new("record", DataType::Struct(self.fields.clone()), true))
    }
}

fn fields(tree: &PathTree, way: &mut Vec<usize>, leaves: &mut Vec<Leaf>) -> Fields {
    tree.children
        .iter()
        .enumerate()
        .map(|(index, child)| {
            way.push(index);
            let data_type = if child.children.is_empty() {
                let key = Finder::new(&format!("\"{}\"", child.key)).into_owned();
                leaves.push(Leaf {
                    indexes: way.clone(),
                    columns: child.columns.iter().map(|column| column.place).collect(),
                    key,
                });
                DataType::Utf8
            } else {
                DataType::Struct(fields(child, way, leaves))
            };
            way.pop();
            Field::new(&child.key, data_type, true)
        })
        .collect()
}

impl Leaf {
    /// The leaf's texts in a decoded root.
    pub(super) fn texts<'a>(&self, root: &'a ArrayRef) -> Option<&'a StringArray> {
        let mut array = root;
        for index in &self.indexes {
            array = array.as_struct_opt()?.columns().get(*index)?;
        }
        array.as_string_opt()
    }

    /// Whether a field that came out NULL may be an object or an array in this payload: the key, a colon and a bracket stand in it, or a
    /// backslash, which may hide the key.
    pub(super) fn may_be_composite(&self, payload: &[u8]) -> bool {
        memchr::memchr(b'\\', payload).is_some()
            || self.key.find_iter(payload).any(|at| {
                let mut rest = payload[at + self.key.needle().len()..].trim_ascii_start();
                match rest.split_first() {
                    Some((b':', tail)) => rest = tail.trim_ascii_start(),
                    _ => return false,
                }
                matches!(rest.first(), Some(b'{' | b'['))
            })
    }
}
