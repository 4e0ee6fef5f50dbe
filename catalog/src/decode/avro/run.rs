//! Goes over data as a program says (see `program`).

use super::cursor::{Broken, Cursor};
use super::program::{Element, Op, Scalar};
use super::schema::{Id, Node, Schema};
use super::walk;

/// Elements that may wait: beyond that they are read again when they are added.
const MOST_ELEMENTS: usize = 1 << 16;

/// What is kept of a datum.
#[derive(Debug)]
pub(super) struct Kept<'k> {
    /// One for each column, NULL before.
    pub(super) slots: &'k mut [Slot],
    /// Scalars of arrays and maps: those of one follow each other, of a map each after its key.
    pub(super) elements: &'k mut Vec<Slot>,
}

/// What a column takes of a datum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Its type; `None` is NULL. Never a union of scalars, but the branch.
    pub(super) id: Option<Id>,
    /// Where it begins.
    pub(super) at: u32,
    /// The number, the index of a symbol, or the number of its bytes. Of an array or map the place of its first element, -1 where they are not kept.
    pub(super) value: i64,
    /// Where its bytes begin, if it has any. Of an array or map the number of elements, keys among them.
    pub(super) bytes: u32,
}

impl Slot {
    pub(super) const NULL: Self = Self {
        id: None,
        at: 0,
        value: 0,
        bytes: 0,
    };

    /// Its bytes, of a value that is bytes.
    #[inline]
    pub(super) fn bytes_of<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        let first = self.bytes as usize;
        let length = usize::try_from(self.value).unwrap_or(0);
        data.get(first..first.saturating_add(length)).unwrap_or_default()
    }
}

/// Goes over what a block's steps are for.
pub(super) fn block(block: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
    for op in block {
        match op {
            Op::Union(branches) => {
                let index = cursor.index(branches.len(), Broken::Branch)?;
                cursor.enter()?;
                run_one(&branches[index], schema, cursor, kept)?;
                cursor.leave();
            }
            Op::Array(items, each) => {
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                    for _ in 0..count {
                        run_one(each, schema, cursor, kept)?;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
            }
            Op::Map(each) => {
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(false)? {
                    for _ in 0..count {
                        cursor.bytes()?;
                        run_one(each, schema, cursor, kept)?;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
            }
            Op::Indexes(items, indexes, others) => {
                cursor.enter()?;
                let mut index = 0;
                while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                    for _ in 0..count {
                        let each = indexes.iter().find(|(wanted, _)| *wanted == index).map_or(others, |(_, each)| each);
                        run_one(each, schema, cursor, kept)?;
                        index += 1;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
            }
            Op::Keys(keys, others) => {
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(false)? {
                    for _ in 0..count {
                        let key = cursor.bytes()?;
                        let each = keys
                            .iter()
                            .find(|(wanted, _)| wanted.as_bytes() == key)
                            .map_or(others, |(_, each)| each);
                        run_one(each, schema, cursor, kept)?;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
            }
            Op::Items(place, id, items, element) => {
                let mut parts = Parts::begin(*id, cursor, kept)?;
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                    for _ in 0..count {
                        let item = element.read(schema, cursor)?;
                        parts.add(item, kept);
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
                kept.slots[*place] = parts.end(kept)?;
            }
            Op::Entries(place, id, element) => {
                let mut parts = Parts::begin(*id, cursor, kept)?;
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(false)? {
                    for _ in 0..count {
                        let key = put(Scalar::Sized, *id, schema, cursor)?;
                        let value = element.read(schema, cursor)?;
                        parts.add(key, kept);
                        parts.add(value, kept);
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
                kept.slots[*place] = parts.end(kept)?;
            }
            plain => run_plain(plain, schema, cursor, kept)?,
        }
    }
    Ok(())
}

impl Element {
    #[inline]
    fn read(&self, schema: &Schema, cursor: &mut Cursor<'_>) -> Result<Slot, Broken> {
        match self {
            Self::Of(id, scalar) => put(*scalar, *id, schema, cursor),
            Self::Union(branches) => {
                let (id, scalar) = branches[cursor.index(branches.len(), Broken::Branch)?];
                cursor.enter()?;
                let read = put(scalar, id, schema, cursor)?;
                cursor.leave();
                Ok(read)
            }
        }
    }
}

/// An array or map whose elements are being kept.
struct Parts {
    slot: Slot,
    first: usize,
    kept: bool,
}

impl Parts {
    fn begin(id: Id, cursor: &Cursor<'_>, kept: &Kept<'_>) -> Result<Self, Broken> {
        Ok(Self {
            slot: Slot {
                id: Some(id),
                at: place_of(cursor.position())?,
                value: -1,
                bytes: 0,
            },
            first: kept.elements.len(),
            kept: true,
        })
    }

    #[inline]
    fn add(&mut self, element: Slot, kept: &mut Kept<'_>) {
        if !self.kept {
        } else if kept.elements.len() < MOST_ELEMENTS {
            kept.elements.push(element);
        } else {
            kept.elements.truncate(self.first);
            self.kept = false;
        }
    }

    fn end(self, kept: &Kept<'_>) -> Result<Slot, Broken> {
        if !self.kept {
            return Ok(self.slot);
        }
        Ok(Slot {
            value: length(self.first),
            bytes: place_of(kept.elements.len() - self.first)?,
            ..self.slot
        })
    }
}

/// A block that most often is of one step, or none.
#[inline]
fn run_one(block: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
    match block {
        [] => Ok(()),
        [Op::Items(..) | Op::Entries(..) | Op::Union(_) | Op::Array(..) | Op::Map(_) | Op::Indexes(..) | Op::Keys(..)] | [_, _, ..] => {
            self::block(block, schema, cursor, kept)
        }
        [plain] => run_plain(plain, schema, cursor, kept),
    }
}

/// A step without others in it.
#[inline(always)]
fn run_plain(op: &Op, schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
    match op {
        Op::Names(bytes) => cursor.name(*bytes)?,
        Op::Enter => cursor.enter()?,
        Op::Leave => cursor.leave(),
        Op::Bytes(count) => drop(cursor.take(*count)?),
        Op::Boolean => drop(cursor.boolean()?),
        Op::Int => drop(cursor.int()?),
        Op::Long => drop(cursor.long()?),
        Op::Sized => drop(cursor.bytes()?),
        Op::Enum(id) => drop(symbol(schema, *id, cursor)?),
        Op::Skip(id) => walk::skip(schema, *id, cursor)?,
        Op::Put(place, id, scalar) => kept.slots[*place] = put(*scalar, *id, schema, cursor)?,
        Op::Mark(place, id) => {
            kept.slots[*place] = Slot {
                id: Some(*id),
                at: place_of(cursor.position())?,
                value: -1,
                ..Slot::NULL
            };
        }
        Op::Copy(from, to) => kept.slots[*to] = kept.slots[*from],
        Op::Items(..) | Op::Entries(..) | Op::Union(_) | Op::Array(..) | Op::Map(_) | Op::Indexes(..) | Op::Keys(..) => {}
    }
    Ok(())
}

#[inline(always)]
fn put(scalar: Scalar, id: Id, schema: &Schema, cursor: &mut Cursor<'_>) -> Result<Slot, Broken> {
    let at = cursor.position();
    let (value, bytes) = match scalar {
        Scalar::Null => return Ok(Slot::NULL),
        Scalar::Boolean => (i64::from(cursor.boolean()?), 0),
        Scalar::Int => (i64::from(cursor.int()?), 0),
        Scalar::Long => (cursor.long()?, 0),
        Scalar::Enum => (symbol(schema, id, cursor)?, 0),
        Scalar::Bytes(size) => {
            cursor.take(size)?;
            (length(size), at)
        }
        Scalar::Sized => {
            let size = cursor.bytes()?.len();
            (length(size), cursor.position() - size)
        }
    };
    Ok(Slot {
        id: Some(id),
        at: place_of(at)?,
        value,
        bytes: place_of(bytes)?,
    })
}

/// Records are shorter than 2 GiB, which is what their array's offsets count, and blocks are inflated to less.
#[inline]
fn place_of(at: usize) -> Result<u32, Broken> {
    u32::try_from(at).map_err(|_| Broken::End)
}

fn length(size: usize) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

fn symbol(schema: &Schema, id: Id, cursor: &mut Cursor<'_>) -> Result<i64, Broken> {
    let Node::Enum(symbols) = schema.node(id) else { return Ok(0) };
    let index = cursor.index(symbols.len(), Broken::Symbol)?;
    cursor.name(symbols[index].len())?;
    Ok(length(index))
}
