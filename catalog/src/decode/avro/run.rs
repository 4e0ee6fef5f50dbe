//! Goes over data as a program says (see `program`).

use std::ops::Range;

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
    /// The number, the index of a symbol, or where its bytes are. Of an array or map where its elements are, keys among them; -1 where they are not kept.
    pub(super) value: i64,
}

impl Slot {
    pub(super) const NULL: Self = Self { id: None, at: 0, value: 0 };

    /// Where its bytes or elements are.
    #[inline]
    pub(super) fn range(&self) -> Range<usize> {
        let value = self.value.cast_unsigned();
        let first = (value >> 32) as usize;
        first..first + (value & 0xffff_ffff) as usize
    }

    /// Its bytes, of a value that is bytes.
    #[inline]
    pub(super) fn bytes_of<'d>(&self, data: &'d [u8]) -> &'d [u8] {
        data.get(self.range()).unwrap_or_default()
    }
}

/// What [`Slot::range`] says.
#[inline]
fn range(first: usize, length: usize) -> i64 {
    ((first as u64) << 32 | length as u64).cast_signed()
}

/// Goes over a datum.
pub(super) fn datum(program: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
    // Records are shorter than 2 GiB, which is what their array's offsets count, and blocks are inflated to less: places are 31 bits.
    if cursor.position() + cursor.rest() > i32::MAX as usize {
        return Err(Broken::End);
    }
    block(program, schema, cursor, kept)
}

/// Goes over what a block's steps are for.
fn block(block: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
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
                let mut parts = Parts::begin(*id, cursor, kept);
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                    for _ in 0..count {
                        element.read(schema, cursor, parts.next(kept))?;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
                kept.slots[*place] = parts.end(kept);
            }
            Op::Entries(place, id, element) => {
                let mut parts = Parts::begin(*id, cursor, kept);
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(false)? {
                    for _ in 0..count {
                        put(Scalar::Sized, *id, schema, cursor, parts.next(kept))?;
                        element.read(schema, cursor, parts.next(kept))?;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
                kept.slots[*place] = parts.end(kept);
            }
            Op::Choice(branches) => {
                let (id, scalar) = branches[cursor.index(branches.len(), Broken::Branch)?];
                cursor.enter()?;
                pass(scalar, id, schema, cursor)?;
                cursor.leave();
            }
            Op::PutChoice(place, branches) => {
                let (id, scalar) = branches[cursor.index(branches.len(), Broken::Branch)?];
                cursor.enter()?;
                put(scalar, id, schema, cursor, &mut kept.slots[*place])?;
                cursor.leave();
            }
            Op::Names(bytes) => cursor.name(*bytes)?,
            Op::Enter => cursor.enter()?,
            Op::Leave => cursor.leave(),
            Op::Bytes(count) => drop(cursor.take(*count)?),
            Op::Boolean => drop(cursor.boolean()?),
            Op::Int => drop(cursor.int()?),
            Op::Long => cursor.pass_number()?,
            Op::Sized => drop(cursor.bytes()?),
            Op::Enum(id) => drop(symbol(schema, *id, cursor)?),
            Op::Skip(id) => walk::skip(schema, *id, cursor)?,
            Op::Put(place, id, scalar) => put(*scalar, *id, schema, cursor, &mut kept.slots[*place])?,
            Op::Mark(place, id) => {
                kept.slots[*place] = Slot {
                    id: Some(*id),
                    at: cursor.position() as u32,
                    value: -1,
                };
            }
            Op::Copy(from, to) => kept.slots[*to] = kept.slots[*from],
        }
    }
    Ok(())
}

impl Element {
    #[inline(always)]
    fn read(&self, schema: &Schema, cursor: &mut Cursor<'_>, slot: &mut Slot) -> Result<(), Broken> {
        match self {
            Self::Of(id, scalar) => put(*scalar, *id, schema, cursor, slot),
            Self::Union(branches) => {
                let (id, scalar) = branches[cursor.index(branches.len(), Broken::Branch)?];
                cursor.enter()?;
                put(scalar, id, schema, cursor, slot)?;
                cursor.leave();
                Ok(())
            }
        }
    }
}

/// An array or map whose elements are being kept.
struct Parts {
    slot: Slot,
    first: usize,
    kept: bool,
    /// Of an element that is not kept.
    lost: Slot,
}

impl Parts {
    fn begin(id: Id, cursor: &Cursor<'_>, kept: &Kept<'_>) -> Self {
        Self {
            slot: Slot {
                id: Some(id),
                at: cursor.position() as u32,
                value: -1,
            },
            first: kept.elements.len(),
            kept: true,
            lost: Slot::NULL,
        }
    }

    /// The next element, to be written where it stays.
    #[inline(always)]
    fn next<'k>(&'k mut self, kept: &'k mut Kept<'_>) -> &'k mut Slot {
        if self.kept && kept.elements.len() >= MOST_ELEMENTS {
            kept.elements.truncate(self.first);
            self.kept = false;
        }
        if self.kept {
            kept.elements.push(Slot::NULL);
        }
        match kept.elements.last_mut() {
            Some(last) if self.kept => last,
            _ => &mut self.lost,
        }
    }

    fn end(self, kept: &Kept<'_>) -> Slot {
        match self.kept {
            true => Slot {
                value: range(self.first, kept.elements.len() - self.first),
                ..self.slot
            },
            false => self.slot,
        }
    }
}

/// A block that may be empty.
#[inline]
fn run_one(block: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
    match block {
        [] => Ok(()),
        block => self::block(block, schema, cursor, kept),
    }
}

/// Goes over a scalar.
#[inline(always)]
fn pass(scalar: Scalar, id: Id, schema: &Schema, cursor: &mut Cursor<'_>) -> Result<(), Broken> {
    match scalar {
        Scalar::Null => {}
        Scalar::Boolean => drop(cursor.boolean()?),
        Scalar::Int => drop(cursor.int()?),
        Scalar::Long => cursor.pass_number()?,
        Scalar::Enum => drop(symbol(schema, id, cursor)?),
        Scalar::Bytes(size) => drop(cursor.take(size)?),
        Scalar::Sized => drop(cursor.bytes()?),
    }
    Ok(())
}

/// Writes a scalar into its place.
#[inline(always)]
fn put(scalar: Scalar, id: Id, schema: &Schema, cursor: &mut Cursor<'_>, slot: &mut Slot) -> Result<(), Broken> {
    let at = cursor.position();
    slot.value = match scalar {
        Scalar::Null => {
            *slot = Slot::NULL;
            return Ok(());
        }
        Scalar::Boolean => i64::from(cursor.boolean()?),
        Scalar::Int => i64::from(cursor.int()?),
        Scalar::Long => cursor.number()?,
        Scalar::Enum => symbol(schema, id, cursor)?,
        Scalar::Bytes(size) => {
            cursor.take(size)?;
            range(at, size)
        }
        Scalar::Sized => {
            let size = cursor.bytes()?.len();
            range(cursor.position() - size, size)
        }
    };
    slot.id = Some(id);
    slot.at = at as u32;
    Ok(())
}

fn symbol(schema: &Schema, id: Id, cursor: &mut Cursor<'_>) -> Result<i64, Broken> {
    let Node::Enum(symbols) = schema.node(id) else { return Ok(0) };
    let index = cursor.index(symbols.len(), Broken::Symbol)?;
    cursor.name(symbols[index].len())?;
    Ok(i64::try_from(index).unwrap_or(i64::MAX))
}
