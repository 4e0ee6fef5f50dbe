//! What goes over a datum once, made of a writer's schema and of what columns take of it: proves that the bytes are a datum and keeps what columns ask for.

use arrow::datatypes::TimeUnit;

use super::cursor::{Broken, Cursor};
use super::schema::{Id, Node, Schema};
use super::walk::{self, Next, Step};

/// Types that one program has steps of; what is beyond is gone over type by type. Records that hold records twice would be without end.
const MOST_TYPES: usize = 1 << 12;

/// Steps over the values of a type.
type Block = Vec<Op>;

#[derive(Debug)]
enum Op {
    /// So many bytes of names: what stands for much in few bytes is counted.
    Names(usize),
    Enter,
    Leave,
    Bytes(usize),
    Boolean,
    Int,
    Long,
    Sized,
    Enum(Id),
    /// Anything else that nobody wants.
    Skip(Id),
    /// A scalar that a column takes.
    Put(usize, Id, Scalar),
    /// A value of parts that a column takes; what is in it follows.
    Mark(usize, Id),
    /// A column takes what another has taken.
    Copy(usize, usize),
    Union(Vec<Block>),
    Array(Id, Block),
    Map(Block),
    Indexes(Id, Vec<(usize, Block)>, Block),
    Keys(Vec<(String, Block)>, Block),
}

/// How the bytes of a scalar are read.
#[derive(Debug, Clone, Copy)]
enum Scalar {
    Null,
    Boolean,
    Int,
    Long,
    Bytes(usize),
    Sized,
    Enum,
}

/// What a column takes of a datum.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    /// Its type; `None` is NULL. Never a union of scalars, but the branch.
    pub(super) id: Option<Id>,
    /// Where it begins.
    pub(super) at: u32,
    /// The number, the index of a symbol, or the number of its bytes.
    pub(super) value: i64,
    /// Where its bytes begin, if it has any.
    pub(super) bytes: u32,
}

impl Slot {
    pub(super) const NULL: Self = Self {
        id: None,
        at: 0,
        value: 0,
        bytes: 0,
    };
}

/// Goes over data of one schema.
#[derive(Debug)]
pub(super) struct Program(Block);

impl Program {
    pub(super) fn new(schema: &Schema, step: Option<&Step>) -> Self {
        let mut compiler = Compiler {
            schema,
            inside: Vec::new(),
            types: 0,
        };
        Self(compiler.block(schema.root, step))
    }

    /// Goes over the datum that begins here; each column's slot has to be NULL before.
    pub(super) fn run(&self, schema: &Schema, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Broken> {
        run(&self.0, schema, cursor, slots)
    }
}

struct Compiler<'s> {
    schema: &'s Schema,
    /// Records that are being compiled, as what nobody wants.
    inside: Vec<Id>,
    types: usize,
}

impl Compiler<'_> {
    fn block(&mut self, id: Id, step: Option<&Step>) -> Block {
        let mut block = Block::new();
        self.value(id, step, &mut block);
        block
    }

    fn value(&mut self, id: Id, step: Option<&Step>, block: &mut Block) {
        let Some(step) = step else {
            return self.unwanted(id, block);
        };
        let node = self.schema.node(id);
        if let Some((first, others)) = step.places.split_first() {
            if let Some(scalar) = Scalar::of(node) {
                block.push(Op::Put(*first, id, scalar));
                block.extend(others.iter().map(|other| Op::Copy(*first, *other)));
                return;
            }
            if let Node::Union(branches) = node
                && !self.schema.is_nested(id)
            {
                let branch = |branch: &Id| match Scalar::of(self.schema.node(*branch)) {
                    Some(scalar) => vec![Op::Put(*first, *branch, scalar)],
                    None => vec![Op::Skip(*branch)],
                };
                block.push(Op::Union(branches.iter().map(branch).collect()));
                block.extend(others.iter().map(|other| Op::Copy(*first, *other)));
                return;
            }
            block.extend(step.places.iter().map(|place| Op::Mark(*place, id)));
        }
        match (node, &step.next) {
            (Node::Record(fields), Next::Each(steps)) => {
                block.push(Op::Enter);
                for ((_, field), step) in fields.iter().zip(steps) {
                    self.value(*field, step.as_ref(), block);
                }
                block.push(Op::Leave);
            }
            (Node::Union(branches), Next::Each(steps)) => {
                let branches = branches.iter().zip(steps);
                let branches = branches.map(|(branch, step)| self.block(*branch, step.as_ref())).collect();
                block.push(Op::Union(branches));
            }
            (Node::Map(values), Next::Keys(keys)) => {
                let keys = keys
                    .iter()
                    .map(|(key, step)| (key.clone(), self.block(*values, Some(step))))
                    .collect();
                let others = self.block(*values, None);
                block.push(Op::Keys(keys, others));
            }
            (Node::Array(items), Next::Indexes(indexes)) => {
                let indexes = indexes
                    .iter()
                    .map(|(index, step)| (*index, self.block(*items, Some(step))))
                    .collect();
                let others = self.block(*items, None);
                block.push(Op::Indexes(*items, indexes, others));
            }
            _ => self.unwanted(id, block),
        }
    }

    /// What is only gone over. Values without parts that take a fixed number of bytes are gone over at once.
    fn unwanted(&mut self, id: Id, block: &mut Block) {
        self.types += 1;
        if self.types > MOST_TYPES || self.inside.contains(&id) {
            block.push(Op::Skip(id));
            return;
        }
        match self.schema.node(id) {
            Node::Record(fields) => {
                self.inside.push(id);
                block.extend([Op::Enter, Op::Names(fields.iter().map(|(name, _)| name.len()).sum())]);
                for (_, field) in fields {
                    self.unwanted(*field, block);
                }
                block.push(Op::Leave);
                self.inside.pop();
            }
            Node::Union(branches) => {
                let branches = branches.iter().map(|branch| self.block(*branch, None)).collect();
                block.push(Op::Union(branches));
            }
            Node::Array(items) => {
                let items_block = self.block(*items, None);
                block.push(Op::Array(*items, items_block));
            }
            Node::Map(values) => {
                let values = self.block(*values, None);
                block.push(Op::Map(values));
            }
            node => match (Scalar::of(node), block.last_mut()) {
                (Some(Scalar::Bytes(more)), Some(Op::Bytes(bytes))) => *bytes = bytes.saturating_add(more),
                (Some(Scalar::Bytes(bytes)), _) => block.push(Op::Bytes(bytes)),
                (Some(Scalar::Boolean), _) => block.push(Op::Boolean),
                (Some(Scalar::Int), _) => block.push(Op::Int),
                (Some(Scalar::Long), _) => block.push(Op::Long),
                (Some(Scalar::Sized), _) => block.push(Op::Sized),
                (Some(Scalar::Enum), _) => block.push(Op::Enum(id)),
                (Some(Scalar::Null), _) => {}
                (None, _) => block.push(Op::Skip(id)),
            },
        }
    }
}

impl Scalar {
    fn of(node: &Node) -> Option<Self> {
        Some(match node {
            Node::Null => Self::Null,
            Node::Boolean => Self::Boolean,
            Node::Int | Node::Date | Node::Time(TimeUnit::Millisecond) => Self::Int,
            Node::Long | Node::Time(_) | Node::Timestamp(_) => Self::Long,
            Node::Float => Self::Bytes(4),
            Node::Double => Self::Bytes(8),
            Node::Bytes | Node::String | Node::Decimal(_) => Self::Sized,
            Node::Fixed(size) | Node::FixedDecimal(size, _) => Self::Bytes(*size),
            Node::FixedUuid => Self::Bytes(16),
            Node::Duration => Self::Bytes(12),
            Node::Enum(_) => Self::Enum,
            Node::Record(_) | Node::Union(_) | Node::Array(_) | Node::Map(_) => return None,
        })
    }
}

fn run(block: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Broken> {
    for op in block {
        match op {
            Op::Union(branches) => {
                let index = cursor.index(branches.len(), Broken::Branch)?;
                cursor.enter()?;
                run_one(&branches[index], schema, cursor, slots)?;
                cursor.leave();
            }
            Op::Array(items, each) => {
                cursor.enter()?;
                while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                    for _ in 0..count {
                        run_one(each, schema, cursor, slots)?;
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
                        run_one(each, schema, cursor, slots)?;
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
                        run_one(each, schema, cursor, slots)?;
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
                        run_one(each, schema, cursor, slots)?;
                    }
                    cursor.block_ends(end)?;
                }
                cursor.leave();
            }
            plain => run_plain(plain, schema, cursor, slots)?,
        }
    }
    Ok(())
}

/// A block that most often is of one step, or none.
#[inline]
fn run_one(block: &[Op], schema: &Schema, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Broken> {
    match block {
        [] => Ok(()),
        [Op::Union(_) | Op::Array(..) | Op::Map(_) | Op::Indexes(..) | Op::Keys(..)] | [_, _, ..] => run(block, schema, cursor, slots),
        [plain] => run_plain(plain, schema, cursor, slots),
    }
}

/// A step without others in it.
#[inline(always)]
fn run_plain(op: &Op, schema: &Schema, cursor: &mut Cursor<'_>, slots: &mut [Slot]) -> Result<(), Broken> {
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
        Op::Put(place, id, scalar) => slots[*place] = put(*scalar, *id, schema, cursor)?,
        Op::Mark(place, id) => {
            slots[*place] = Slot {
                id: Some(*id),
                at: place_of(cursor.position())?,
                ..Slot::NULL
            };
        }
        Op::Copy(from, to) => slots[*to] = slots[*from],
        Op::Union(_) | Op::Array(..) | Op::Map(_) | Op::Indexes(..) | Op::Keys(..) => {}
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
