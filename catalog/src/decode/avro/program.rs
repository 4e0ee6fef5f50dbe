//! What goes over a datum once, made of a writer's schema and of what columns take of it: proves that the bytes are a datum and keeps what columns ask for.

use arrow::datatypes::TimeUnit;

use super::cursor::{Broken, Cursor};
use super::run::{self, Kept};
use super::schema::{Id, Node, Schema};
use super::walk::{Next, Step};

/// Types that one program has steps of; what is beyond is gone over type by type. Records that hold records twice would be without end.
const MOST_TYPES: usize = 1 << 12;

/// Steps over the values of a type.
pub(super) type Block = Vec<Op>;

#[derive(Debug)]
pub(super) enum Op {
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
    /// An array of scalars that a column takes, and each of them.
    Items(usize, Id, Id, Element),
    /// A map of scalars that a column takes, and each of them.
    Entries(usize, Id, Element),
    /// A union of scalars that nobody wants.
    Choice(Vec<(Id, Scalar)>),
    /// A union of scalars that a column takes.
    PutChoice(usize, Vec<(Id, Scalar)>),
    Union(Vec<Block>),
    Array(Id, Block),
    Map(Block),
    Indexes(Id, Vec<(usize, Block)>, Block),
    Keys(Vec<(String, Block)>, Block),
}

/// How the bytes of a scalar are read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar {
    Null,
    Boolean,
    Int,
    Long,
    Bytes(usize),
    Sized,
    Enum,
}

/// How the scalars of an array or map are read.
#[derive(Debug)]
pub(super) enum Element {
    Of(Id, Scalar),
    Union(Vec<(Id, Scalar)>),
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

    /// Goes over the datum that begins here.
    pub(super) fn run(&self, schema: &Schema, cursor: &mut Cursor<'_>, kept: &mut Kept<'_>) -> Result<(), Broken> {
        run::datum(&self.0, schema, cursor, kept)
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
                && let Some(branches) = self.scalars(branches)
            {
                block.push(Op::PutChoice(*first, branches));
                block.extend(others.iter().map(|other| Op::Copy(*first, *other)));
                return;
            }
            if matches!(step.next, Next::Nothing)
                && let Some(parts) = self.of_scalars(*first, id)
            {
                block.extend(parts);
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

    /// The steps over an array or map of scalars, or one that may be null.
    fn of_scalars(&self, place: usize, id: Id) -> Option<Block> {
        Some(match self.schema.node(id) {
            Node::Array(items) => vec![Op::Items(place, id, *items, self.element(*items)?)],
            Node::Map(values) => vec![Op::Entries(place, id, self.element(*values)?)],
            Node::Union(branches) => {
                let branch = |branch: &Id| match self.schema.node(*branch) {
                    Node::Null => Some(vec![Op::Put(place, *branch, Scalar::Null)]),
                    Node::Array(_) | Node::Map(_) => self.of_scalars(place, *branch),
                    _ => None,
                };
                vec![Op::Union(branches.iter().map(branch).collect::<Option<_>>()?)]
            }
            _ => return None,
        })
    }

    /// The branches of a union of nothing else.
    fn scalars(&self, branches: &[Id]) -> Option<Vec<(Id, Scalar)>> {
        let scalar = |id: &Id| Some((*id, Scalar::of(self.schema.node(*id))?));
        branches.iter().map(scalar).collect()
    }

    fn element(&self, id: Id) -> Option<Element> {
        match self.schema.node(id) {
            Node::Union(branches) => self.scalars(branches).map(Element::Union),
            node => Scalar::of(node).map(|scalar| Element::Of(id, scalar)),
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
            Node::Union(branches) => block.push(match self.scalars(branches) {
                Some(branches) => Op::Choice(branches),
                None => Op::Union(branches.iter().map(|branch| self.block(*branch, None)).collect()),
            }),
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
            Node::Bytes | Node::String | Node::Uuid | Node::Decimal(_) => Self::Sized,
            Node::Fixed(size) | Node::FixedDecimal(size, _) => Self::Bytes(*size),
            Node::FixedUuid => Self::Bytes(16),
            Node::Duration => Self::Bytes(12),
            Node::Enum(_) => Self::Enum,
            Node::Record(_) | Node::Union(_) | Node::Array(_) | Node::Map(_) => return None,
        })
    }
}
