//! What a session has in its scratch schema at one moment.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use uuid::Uuid;

use super::memory::Reservation;
use super::view::View;

/// Rows that are held, with what they cost.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) batch: RecordBatch,
    pub(super) _held: Reservation,
}

/// The rows of a table, from one change of it to the next.
#[derive(Debug)]
pub(in super::super) struct Version {
    /// Names it in tickets: nobody guesses it.
    pub(super) id: Uuid,
    /// How many versions were before.
    pub(super) number: u64,
    pub(super) schema: SchemaRef,
    pub(super) pieces: Vec<Arc<Piece>>,
}

impl Version {
    pub(super) fn first(schema: SchemaRef, pieces: Vec<Arc<Piece>>) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::new_v4(),
            number: 0,
            schema,
            pieces,
        })
    }

    /// The version that follows, with these rows.
    pub(super) fn next(&self, pieces: Vec<Arc<Piece>>) -> Arc<Self> {
        Arc::new(Self {
            id: Uuid::new_v4(),
            number: self.number + 1,
            schema: Arc::clone(&self.schema),
            pieces,
        })
    }

    pub(super) fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.batch.num_rows()).sum()
    }
}

/// A scratch table.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// A table that is dropped and made again is another one.
    pub(super) id: Uuid,
    pub(super) version: Arc<Version>,
}

/// Something in the schema.
#[derive(Debug, Clone)]
pub(super) enum Thing {
    Table(Table),
    View(Arc<View>),
}

/// All of it, by name.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Contents {
    pub(super) things: BTreeMap<String, Thing>,
}

impl Contents {
    pub(in super::super) fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    pub(in super::super) fn names(&self) -> impl Iterator<Item = &str> {
        self.things.keys().map(String::as_str)
    }

    pub(in super::super) fn has(&self, name: &str) -> bool {
        self.things.contains_key(name)
    }

    pub(in super::super) fn version(&self, name: &str) -> Option<&Arc<Version>> {
        match self.things.get(name)? {
            Thing::Table(table) => Some(&table.version),
            Thing::View(_) => None,
        }
    }

    pub(in super::super) fn view(&self, name: &str) -> Option<&Arc<View>> {
        match self.things.get(name)? {
            Thing::View(view) => Some(view),
            Thing::Table(_) => None,
        }
    }

    /// Only what has these names.
    pub(in super::super) fn only(&self, named: impl Fn(&str) -> bool) -> Self {
        let things = self.things.iter().filter(|(name, _)| named(name));
        Self {
            things: things.map(|(name, thing)| (name.clone(), thing.clone())).collect(),
        }
    }
}
