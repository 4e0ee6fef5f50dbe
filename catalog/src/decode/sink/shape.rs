//! Nested values that a format puts together part by part.

use super::nested::{ListValues, MapValues, RowValues};
use super::values::Values;
use super::{Refusal, Sink};

/// What a sink is for.
pub(in crate::decode) enum Shape<'s> {
    /// Anything without parts; JSON and texts that hold some too.
    Scalar,
    List(&'s mut ListValues),
    Map(&'s mut MapValues),
    Row(&'s mut RowValues),
}

/// Why a value, or something in it, became NULL.
pub(in crate::decode) type Told = Option<Box<Refusal>>;

impl Sink {
    /// The parts to be filled of a nested value. Whoever begins one fills all of them and ends it; [`Sink::append`] adds one as a whole, NULL for example.
    pub(in crate::decode) fn shape(&mut self) -> Shape<'_> {
        match &mut self.values {
            Values::List(list) => Shape::List(list),
            Values::Map(map) => Shape::Map(map),
            Values::Row(row) => Shape::Row(row),
            _ => Shape::Scalar,
        }
    }
}

/// Scalars that one array or map may hold: what few bytes can say must not take all memory.
pub(in crate::decode) const MOST_IN_ONE: usize = 1 << 24;
/// How many elements are added between looks at that bound.
const LOOK: usize = 256;

/// Keeps one array or map within its bound.
#[derive(Debug)]
pub(in crate::decode) struct Growth {
    before: usize,
    elements: usize,
}

impl Growth {
    /// Of the value that is begun in this sink of elements.
    pub(in crate::decode) fn new(elements: &Sink) -> Self {
        Self {
            before: elements.cells(),
            elements: 0,
        }
    }

    /// Whether another element is too many.
    pub(in crate::decode) fn is_over(&mut self, elements: &Sink) -> bool {
        self.elements += 1;
        self.elements.is_multiple_of(LOOK) && elements.cells() - self.before > MOST_IN_ONE
    }

    pub(in crate::decode) fn refusal() -> Box<Refusal> {
        Box::new(Refusal {
            inside: String::new(),
            reason: format!("an array or map of more than {MOST_IN_ONE} values"),
        })
    }
}

impl ListValues {
    /// Takes the elements of the next list.
    pub(in crate::decode) fn elements(&mut self) -> &mut Sink {
        &mut self.element
    }

    /// The list has all its elements, or is NULL in spite of those it has.
    pub(in crate::decode) fn end(&mut self, valid: bool) {
        self.close_at(self.element.len(), valid);
    }
}

impl MapValues {
    /// Adds a key, whose value follows; one that does not convert is left out.
    pub(in crate::decode) fn entry(&mut self, key: &str) -> Result<&mut Sink, Refusal> {
        self.try_key(key)?;
        Ok(&mut self.value)
    }

    /// Takes the values of entries.
    pub(in crate::decode) fn entries(&mut self) -> &mut Sink {
        &mut self.value
    }

    /// The map has all its entries, or is NULL in spite of those it has.
    pub(in crate::decode) fn end(&mut self, valid: bool) {
        self.close_at(self.value.len(), valid);
    }
}

impl RowValues {
    /// The place of a field.
    pub(in crate::decode) fn place(&self, name: &str) -> Option<usize> {
        self.names().iter().position(|known| known == name)
    }

    /// Takes the value of one field of the next row.
    pub(in crate::decode) fn field(&mut self, place: usize) -> &mut Sink {
        &mut self.fields[place]
    }

    /// The row has the fields that it has; the others are NULL.
    pub(in crate::decode) fn end(&mut self) {
        let before = self.len();
        for field in &mut self.fields {
            if field.len() == before {
                // NULL converts into everything.
                let _converted = field.append(super::super::cell::Cell::Null);
            }
        }
        self.close(true);
    }

    /// Whether the next row has that field already.
    pub(in crate::decode) fn has(&self, place: usize) -> bool {
        self.fields[place].len() > self.len()
    }
}

/// Keeps the first of what is told, as something that is inside of a value.
pub(in crate::decode) fn keep_first(kept: &mut Told, step: impl FnOnce() -> String, told: Told) {
    if let (None, Some(mut refusal)) = (&kept, told) {
        refusal.inside = format!("/{}{}", step(), refusal.inside);
        *kept = Some(refusal);
    }
}
