//! Arrays, maps and rows.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;

use super::super::cell::Cell;
use super::super::json::{self, BROKEN, Found};
use super::values::Refused;
use super::{Refusal, Sink};
use crate::{ColumnType, Compat};

/// Scalars that one array or map may hold: what small text can say at length must not take all memory.
const MOST_CELLS: usize = 1 << 24;

/// Where each value ends among its elements, and which values are NULL.
#[derive(Debug, Default)]
struct Ends {
    ends: Vec<i32>,
    valid: Vec<bool>,
}

impl Ends {
    fn push(&mut self, end: usize, valid: bool) {
        // Elements are bounded far below; past the bound the array is refused when it is finished.
        self.ends.push(i32::try_from(end).unwrap_or(i32::MAX));
        self.valid.push(valid);
    }

    fn finish(&mut self) -> (OffsetBuffer<i32>, Option<NullBuffer>) {
        let ends = std::mem::take(&mut self.ends);
        let valid = std::mem::take(&mut self.valid);
        let offsets: ScalarBuffer<i32> = std::iter::once(0).chain(ends).collect();
        let nulls = NullBuffer::from(valid);
        (OffsetBuffer::new(offsets), Some(nulls).filter(|nulls| nulls.null_count() > 0))
    }
}

#[derive(Debug)]
pub(in crate::decode) struct ListValues {
    pub(super) element: Sink,
    ends: Ends,
    /// Scalars of an element.
    width: usize,
}

impl ListValues {
    pub(super) fn new(element: &ColumnType, compat: Compat) -> Result<Self, String> {
        Ok(Self {
            element: Sink::new(element, None, compat)?,
            ends: Ends::default(),
            width: width(element),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.valid.len()
    }

    pub(super) fn cells(&self) -> usize {
        self.len() + self.element.cells()
    }

    fn close(&mut self, valid: bool) {
        self.ends.push(self.element.len(), valid);
    }

    /// Ends a value after so many elements of all values.
    pub(in crate::decode) fn close_at(&mut self, end: usize, valid: bool) {
        self.ends.push(end, valid);
    }

    pub(super) fn append(&mut self, cell: Cell<'_>) -> Result<(), Refused> {
        let Some(raw) = json_of(cell) else {
            self.close(false);
            return if cell == Cell::Null { Ok(()) } else { Err(None) };
        };
        let elements = match json::elements(&raw, MOST_CELLS / self.width) {
            Ok(elements) => elements,
            Err(reason) => {
                self.close(false);
                return Err(reason.map(whole));
            }
        };
        let mut refused = Ok(());
        for (index, element) in elements.into_iter().enumerate() {
            if let Err(refusal) = self.element.append_json(Some(element))
                && refused.is_ok()
            {
                refused = Err(Some(inside(&index.to_string(), refusal)));
            }
        }
        self.close(true);
        refused
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let DataType::List(field) = data_type else {
            return Err(ArrowError::SchemaError(format!("{data_type} is no list")));
        };
        let (offsets, nulls) = self.ends.finish();
        let element = self.element.finish()?;
        Ok(Arc::new(ListArray::try_new(Arc::clone(field), offsets, element, nulls)?))
    }
}

#[derive(Debug)]
pub(in crate::decode) struct MapValues {
    pub(super) key: Sink,
    pub(super) value: Sink,
    /// Tries keys whose type not every text converts into.
    pub(super) trial: Option<Sink>,
    ends: Ends,
    width: usize,
}

impl MapValues {
    pub(super) fn new(key: &ColumnType, value: &ColumnType, compat: Compat) -> Result<Self, String> {
        Ok(Self {
            // Keys have to be: no compatible 0 for what does not convert.
            key: Sink::new(key, None, Compat::None)?,
            value: Sink::new(value, None, compat)?,
            trial: match key {
                ColumnType::Varchar => None,
                other => Some(Sink::new(other, None, Compat::None)?),
            },
            ends: Ends::default(),
            width: 1 + width(value),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.valid.len()
    }

    pub(super) fn cells(&self) -> usize {
        self.len() + self.key.cells() + self.value.cells()
    }

    fn close(&mut self, valid: bool) {
        self.ends.push(self.value.len(), valid);
    }

    /// Ends a value after so many entries of all values.
    pub(in crate::decode) fn close_at(&mut self, end: usize, valid: bool) {
        self.ends.push(end, valid);
    }

    /// Adds a key if it converts.
    pub(super) fn try_key(&mut self, key: &str) -> Result<(), Refusal> {
        if let Some(trial) = &mut self.trial {
            let tried = trial.append(Cell::Text(key));
            if trial.len() >= 1024 || tried.is_err() {
                trial.forget();
            }
            tried?;
        }
        self.key.append(Cell::Text(key))
    }

    pub(super) fn append(&mut self, cell: Cell<'_>) -> Result<(), Refused> {
        let Some(raw) = json_of(cell) else {
            self.close(false);
            return if cell == Cell::Null { Ok(()) } else { Err(None) };
        };
        let entries = match json::entries(&raw, MOST_CELLS / self.width) {
            Ok(entries) => entries,
            Err(reason) => {
                self.close(false);
                return Err(reason.map(whole));
            }
        };
        let mut refused = Ok(());
        for (key, value) in entries {
            // A map without the entry is the nearest to a NULL key, which no map has.
            let appended = match self.try_key(&key) {
                Err(refusal) => Err(refusal),
                Ok(()) => self.value.append_json(Some(value)),
            };
            if let Err(refusal) = appended
                && refused.is_ok()
            {
                refused = Err(Some(inside(&key, refusal)));
            }
        }
        self.close(true);
        refused
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let DataType::Map(field, sorted) = data_type else {
            return Err(ArrowError::SchemaError(format!("{data_type} is no map")));
        };
        let DataType::Struct(fields) = field.data_type() else {
            return Err(ArrowError::SchemaError(format!("{data_type} has no entries")));
        };
        let (offsets, nulls) = self.ends.finish();
        let entries = StructArray::try_new(fields.clone(), vec![self.key.finish()?, self.value.finish()?], None)?;
        Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?))
    }
}

#[derive(Debug)]
pub(in crate::decode) struct RowValues {
    names: Vec<String>,
    pub(super) fields: Vec<Sink>,
    valid: Vec<bool>,
}

impl RowValues {
    pub(super) fn new(fields: &[(String, ColumnType)], compat: Compat) -> Result<Self, String> {
        Ok(Self {
            names: fields.iter().map(|(name, _)| name.clone()).collect(),
            fields: fields
                .iter()
                .map(|(_, field)| Sink::new(field, None, compat))
                .collect::<Result<_, _>>()?,
            valid: Vec::new(),
        })
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    pub(super) fn len(&self) -> usize {
        self.valid.len()
    }

    pub(super) fn cells(&self) -> usize {
        self.len() + self.fields.iter().map(Sink::cells).sum::<usize>()
    }

    /// Ends a value; its fields have been added.
    pub(super) fn close(&mut self, valid: bool) {
        self.valid.push(valid);
    }

    fn append_null(&mut self) {
        for field in &mut self.fields {
            // NULL converts into everything.
            let _converted = field.append(Cell::Null);
        }
        self.close(false);
    }

    pub(super) fn append(&mut self, cell: Cell<'_>) -> Result<(), Refused> {
        let Some(raw) = json_of(cell) else {
            self.append_null();
            return if cell == Cell::Null { Ok(()) } else { Err(None) };
        };
        let values = match json::fields(&raw, &self.names) {
            Ok(values) => values,
            Err(reason) => {
                self.append_null();
                return Err(reason.map(whole));
            }
        };
        let mut refused = Ok(());
        for ((field, name), value) in self.fields.iter_mut().zip(&self.names).zip(values) {
            if let Err(refusal) = field.append_json(value)
                && refused.is_ok()
            {
                refused = Err(Some(inside(name, refusal)));
            }
        }
        self.close(true);
        refused
    }

    pub(super) fn finish(&mut self, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let DataType::Struct(fields) = data_type else {
            return Err(ArrowError::SchemaError(format!("{data_type} is no row")));
        };
        let valid = std::mem::take(&mut self.valid);
        let length = valid.len();
        let nulls = Some(NullBuffer::from(valid)).filter(|nulls| nulls.null_count() > 0);
        let arrays = self.fields.iter_mut().map(Sink::finish).collect::<Result<Vec<_>, _>>()?;
        Ok(Arc::new(StructArray::try_new_with_length(fields.clone(), arrays, nulls, length)?))
    }
}

impl Sink {
    /// Adds a JSON value as written.
    fn append_json(&mut self, raw: Option<&str>) -> Result<(), Refusal> {
        let found = raw.map_or(Found::Nothing, |raw| Found::new(raw, self.takes_json()));
        match found.cell() {
            Some(cell) => self.append(cell),
            None => {
                self.append(Cell::Null)?;
                Err(*whole(BROKEN.to_owned()))
            }
        }
    }
}

fn whole(reason: String) -> Box<Refusal> {
    Box::new(Refusal {
        inside: String::new(),
        reason,
    })
}

fn inside(step: &str, refusal: Refusal) -> Box<Refusal> {
    Box::new(Refusal {
        inside: format!("/{step}{}", refusal.inside),
        reason: refusal.reason,
    })
}

/// The JSON that a value is, or that its text holds.
fn json_of(cell: Cell<'_>) -> Option<Cow<'_, str>> {
    match cell {
        Cell::Json(raw) => Some(Cow::Borrowed(raw)),
        Cell::Text(_) | Cell::Bytes(_) => cell.text().filter(|text| json::is_json(text)),
        _ => None,
    }
}

/// Scalars of a value that holds no arrays.
fn width(column_type: &ColumnType) -> usize {
    match column_type {
        ColumnType::Row(fields) => 1 + fields.iter().map(|(_, field)| width(field)).sum::<usize>(),
        _ => 1,
    }
}
