//! Data of one schema that have been gone over and whose values go into columns together, a column at a time: what a column's values are is then decided
//! once for all of them.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::cell::Cell;
use super::super::contents::DecodeError;
use super::super::rows::Rows;
use super::super::sink::{Shape, Sink, Told, keep_first};
use super::Bound;
use super::cursor::{Broken, Cursor};
use super::run::{Kept, Slot};
use super::scalars::{Column, scalars};
use super::schema::{Id, Node};

/// Data of a batch: what is kept of them stays in the processor's nearer caches.
const MOST: usize = 256;
/// Elements of arrays and maps that are kept before they are taken.
const MANY_ELEMENTS: usize = 1 << 14;
/// Bytes of data between looks at what they have come to in a column.
const LOOK: usize = 1 << 14;

/// Data that wait.
#[derive(Debug)]
pub(super) struct Batch<'a> {
    bound: Option<Arc<Bound>>,
    pub(super) width: usize,
    pub(super) data: Vec<Cow<'a, [u8]>>,
    /// Of each datum one for each column.
    pub(super) slots: Vec<Slot>,
    pub(super) elements: Vec<Slot>,
}

impl<'a> Batch<'a> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            bound: None,
            width,
            data: Vec::with_capacity(MOST),
            slots: Vec::with_capacity(MOST * width),
            elements: Vec::new(),
        }
    }

    /// Whether what waits has to be taken (see [`Self::columns`]) before a datum of this schema can.
    pub(super) fn is_full_for(&self, bound: &Arc<Bound>) -> bool {
        self.data.len() >= MOST
            || self.elements.len() >= MANY_ELEMENTS
            || self.bound.as_ref().is_some_and(|known| !Arc::ptr_eq(known, bound))
    }

    /// Takes the datum that comes next, all of these bytes. One that is broken is none.
    pub(super) fn push(&mut self, bound: &Arc<Bound>, data: Cow<'a, [u8]>) -> Result<(), Broken> {
        let mut cursor = Cursor::new(&data);
        self.go_over(bound, &mut cursor)?;
        match cursor.rest() {
            0 => {
                self.data.push(data);
                Ok(())
            }
            rest => {
                self.slots.truncate(self.data.len() * self.width);
                Err(Broken::Rest(rest))
            }
        }
    }

    /// As [`Self::push`], of one of the data that follow each other in a block.
    pub(super) fn push_next(&mut self, bound: &Arc<Bound>, block: &'a [u8], cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        self.go_over(bound, cursor)?;
        self.data.push(Cow::Borrowed(block));
        Ok(())
    }

    fn go_over(&mut self, bound: &Arc<Bound>, cursor: &mut Cursor<'_>) -> Result<(), Broken> {
        if self.bound.is_none() {
            self.bound = Some(Arc::clone(bound));
        }
        let before = self.slots.len();
        self.slots.resize(before + self.width, Slot::NULL);
        let elements = self.elements.len();
        let mut kept = Kept {
            slots: &mut self.slots[before..],
            elements: &mut self.elements,
        };
        let gone_over = bound.program.run(&bound.schema, cursor, &mut kept);
        if gone_over.is_err() {
            self.slots.truncate(before);
            self.elements.truncate(elements);
        }
        gone_over
    }

    /// Adds what waits to all columns; the number of its rows.
    pub(super) fn columns(&mut self, rows: &mut Rows) -> Result<usize, DecodeError> {
        let count = self.data.len();
        if let (Some(bound), true) = (self.bound.take(), count > 0) {
            for place in 0..self.width {
                self.column(&bound, place, rows)?;
            }
        }
        self.data.clear();
        self.slots.clear();
        self.elements.clear();
        Ok(count)
    }

    fn column(&self, bound: &Bound, place: usize, rows: &mut Rows) -> Result<(), DecodeError> {
        let count = self.data.len();
        let slot = |row: usize| &self.slots[row * self.width + place];
        let mut ids = (0..count).filter_map(|row| slot(row).id);
        let Some(id) = ids.next() else {
            rows.cells(place, count, |_| Cell::Null);
            return Ok(());
        };
        if ids.any(|other| other != id) {
            return self.one_by_one(bound, place, rows);
        }
        if bound.schema.is_of_parts(id) {
            return match self.parts(bound, id, place, rows) {
                true => rows.check_column(place),
                false => self.one_by_one(bound, place, rows),
            };
        }
        let mut column = Column { rows, place };
        match scalars(&bound.schema, id, count, |row| (slot(row), &self.data[row]), &mut column) {
            true => Ok(()),
            false => self.one_by_one(bound, place, rows),
        }
    }

    /// Values of several types, or of parts.
    fn one_by_one(&self, bound: &Bound, place: usize, rows: &mut Rows) -> Result<(), DecodeError> {
        let mut looked = 0;
        for (row, data) in self.data.iter().enumerate() {
            let slot = &self.slots[row * self.width + place];
            match slot.id {
                None => rows.cell(place, Cell::Null),
                Some(id) => match self.elements_of(slot).filter(|_| bound.schema.is_of_parts(id)) {
                    Some(elements) => rows.parts(place, |sink| bound.append_elements(slot, id, elements, data, sink)),
                    None => bound.value(place, id, &mut Cursor::at(data, slot.at as usize), rows),
                },
            }
            // Some bytes stand for no more values than they are, unless there are types that take none, or long names.
            looked += data.len();
            if looked >= LOOK || !bound.schema.is_small() {
                rows.check_column(place)?;
                looked = 0;
            }
        }
        Ok(())
    }

    /// The elements of an array or map, if they are kept.
    pub(super) fn elements_of(&self, slot: &Slot) -> Option<&[Slot]> {
        self.elements.get(slot.range())
    }
}

impl Bound {
    /// Adds an array or map of these elements.
    fn append_elements(&self, slot: &Slot, id: Id, elements: &[Slot], data: &[u8], sink: &mut Sink) -> Told {
        let mut told = None;
        match (self.schema.node(id), sink.shape()) {
            (Node::Array(_), Shape::List(list)) => {
                for (index, element) in elements.iter().enumerate() {
                    let refused = self.append_element(element, data, list.elements());
                    keep_first(&mut told, || index.to_string(), refused);
                }
                list.end(true);
            }
            (Node::Map(_), Shape::Map(map)) => {
                for entry in elements.chunks_exact(2) {
                    let key = entry[0].bytes_of(data);
                    let key = std::str::from_utf8(key).map_or_else(|_| String::from_utf8_lossy(key), Cow::Borrowed);
                    let refused = match map.entry(&key) {
                        Ok(value) => self.append_element(&entry[1], data, value),
                        Err(refusal) => Some(Box::new(refusal)),
                    };
                    keep_first(&mut told, || key.into_owned(), refused);
                }
                map.end(true);
            }
            _ => return self.append(id, &mut Cursor::at(data, slot.at as usize), sink),
        }
        told
    }

    fn append_element(&self, element: &Slot, data: &[u8], sink: &mut Sink) -> Told {
        let Some(id) = element.id else {
            return sink.append(Cell::Null).err().map(Box::new);
        };
        let cell = match self.schema.node(id) {
            Node::Int | Node::Long => Cell::Integer(element.value),
            Node::Boolean => Cell::Boolean(element.value != 0),
            Node::String | Node::Uuid => Cell::of_text(element.bytes_of(data)),
            Node::Bytes | Node::Fixed(_) => Cell::Bytes(element.bytes_of(data)),
            _ => return self.append(id, &mut Cursor::at(data, element.at as usize), sink),
        };
        sink.append(cell).err().map(Box::new)
    }
}
