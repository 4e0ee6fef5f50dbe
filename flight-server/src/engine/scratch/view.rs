//! A view: the text of a query, planned anew wherever it is named.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;

use super::super::error::EngineError;
use super::super::sql::{ParsedStatement, ViewQuery};
use super::contents::{Contents, Thing};
use super::memory::Reservation;

/// A view.
#[derive(Debug)]
pub(in super::super) struct View {
    pub(super) text: String,
    pub(super) query: Arc<ViewQuery>,
    /// Columns as they were when it was made: for those who ask for columns without planning.
    pub(super) fields: SchemaRef,
    pub(super) _held: Option<Reservation>,
}

impl View {
    pub(super) fn new(
        text: &str,
        schema: &str,
        columns: &[String],
        fields: SchemaRef,
        held: Option<Reservation>,
    ) -> Result<Arc<Self>, EngineError> {
        Ok(Arc::new(Self {
            text: text.to_owned(),
            query: Arc::new(ViewQuery::parse(text, schema, columns)?),
            fields,
            _held: held,
        }))
    }

    /// What stands where it is named.
    pub(in super::super) fn query(&self) -> &Arc<ViewQuery> {
        &self.query
    }
}

impl Contents {
    /// What the views mention that a statement may name, the statement mentions: their words decide which hidden columns tables expose.
    pub(in super::super) fn mentioned(&self, parsed: &mut ParsedStatement) {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        loop {
            let before = seen.len();
            for (name, thing) in &self.things {
                if let Thing::View(view) = thing
                    && parsed.mentions(name)
                    && seen.insert(name)
                {
                    parsed.mention(&view.query);
                }
            }
            if seen.len() == before {
                return;
            }
        }
    }
}
