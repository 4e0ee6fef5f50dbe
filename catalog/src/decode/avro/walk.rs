//! The ways of columns through a schema, and going over what nobody wants.

use super::cursor::{Broken, Cursor};
use super::schema::{Id, Node, Schema};

/// Paths of columns through the values of one type.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Columns that take this value.
    pub(super) places: Vec<usize>,
    pub(super) next: Next,
}

#[derive(Debug, Default)]
pub(super) enum Next {
    /// No column takes anything inside.
    #[default]
    Nothing,
    /// Of each field of a record, or branch of a union.
    Each(Vec<Option<Step>>),
    Keys(Vec<(String, Step)>),
    Indexes(Vec<(usize, Step)>),
}

/// The rest of a column's path, and the column.
type Path<'p> = (usize, &'p [String]);

impl Step {
    /// Paths from a type on; `None` if none of them leads anywhere.
    pub(super) fn bind(schema: &Schema, id: Id, paths: &[Path<'_>]) -> Option<Self> {
        let places: Vec<usize> = paths.iter().filter(|(_, path)| path.is_empty()).map(|(place, _)| *place).collect();
        let deeper: Vec<Path<'_>> = paths.iter().filter(|(_, path)| !path.is_empty()).copied().collect();
        // The rest of the paths that begin with a name.
        let behind = |name: &str| -> Vec<Path<'_>> {
            deeper
                .iter()
                .filter(|(_, path)| path[0] == name)
                .map(|(place, path)| (*place, &path[1..]))
                .collect()
        };
        let each = |steps: Vec<Option<Self>>| match steps.iter().any(Option::is_some) {
            true => Next::Each(steps),
            false => Next::Nothing,
        };
        let names = || {
            let mut names: Vec<&str> = deeper.iter().map(|(_, path)| &*path[0]).collect();
            names.sort_unstable();
            names.dedup();
            names
        };
        let next = match schema.node(id) {
            _ if deeper.is_empty() => Next::Nothing,
            Node::Record(fields) => each(
                fields
                    .iter()
                    .map(|(name, field)| {
                        Some(behind(name))
                            .filter(|paths| !paths.is_empty())
                            .and_then(|paths| Self::bind(schema, *field, &paths))
                    })
                    .collect(),
            ),
            Node::Union(branches) => each(branches.iter().map(|branch| Self::bind(schema, *branch, &deeper)).collect()),
            Node::Map(values) => Next::Keys(
                names()
                    .into_iter()
                    .filter_map(|name| Some((name.to_owned(), Self::bind(schema, *values, &behind(name))?)))
                    .collect(),
            ),
            Node::Array(items) => Next::Indexes(
                names()
                    .into_iter()
                    .filter_map(|name| Some((name.parse().ok()?, Self::bind(schema, *items, &behind(name))?)))
                    .collect(),
            ),
            _ => Next::Nothing,
        };
        let nothing = match &next {
            Next::Nothing => true,
            Next::Each(_) => false,
            Next::Keys(keys) => keys.is_empty(),
            Next::Indexes(indexes) => indexes.is_empty(),
        };
        (!places.is_empty() || !nothing).then_some(Self { places, next })
    }
}

/// Goes over one value that nobody wants, or that is looked at later.
pub(super) fn skip(schema: &Schema, id: Id, cursor: &mut Cursor<'_>) -> Result<(), Broken> {
    match schema.node(id) {
        Node::Null => {}
        Node::Boolean => drop(cursor.boolean()?),
        Node::Int | Node::Date | Node::Time(arrow::datatypes::TimeUnit::Millisecond) => drop(cursor.int()?),
        Node::Long | Node::Time(_) | Node::Timestamp(_) => drop(cursor.long()?),
        Node::Float => drop(cursor.array::<4>()?),
        Node::Double => drop(cursor.array::<8>()?),
        Node::Bytes | Node::String | Node::Uuid | Node::Decimal(_) => drop(cursor.bytes()?),
        Node::Fixed(size) | Node::FixedDecimal(size, _) => drop(cursor.take(*size)?),
        Node::FixedUuid => drop(cursor.array::<16>()?),
        Node::Duration => drop(cursor.array::<12>()?),
        Node::Enum(symbols) => {
            let index = cursor.index(symbols.len(), Broken::Symbol)?;
            cursor.name(symbols[index].len())?;
        }
        Node::Record(fields) => {
            cursor.enter()?;
            for (name, field) in fields {
                cursor.name(name.len())?;
                skip(schema, *field, cursor)?;
            }
            cursor.leave();
        }
        Node::Union(branches) => {
            let index = cursor.index(branches.len(), Broken::Branch)?;
            cursor.enter()?;
            skip(schema, branches[index], cursor)?;
            cursor.leave();
        }
        Node::Array(items) => {
            cursor.enter()?;
            while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                for _ in 0..count {
                    skip(schema, *items, cursor)?;
                }
                cursor.block_ends(end)?;
            }
            cursor.leave();
        }
        Node::Map(values) => {
            cursor.enter()?;
            while let Some((count, end)) = cursor.block(false)? {
                for _ in 0..count {
                    cursor.bytes()?;
                    skip(schema, *values, cursor)?;
                }
                cursor.block_ends(end)?;
            }
            cursor.leave();
        }
    }
    Ok(())
}
