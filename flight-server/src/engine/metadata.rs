//! Tables, for the metadata calls of clients.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::{Field, Schema};

use super::access::Right;
use super::api::{TableEntry, TableKind};
use super::plan::Engine;
use super::session::{Principal, Session};
use super::system;

impl Engine {
    /// The tables that a principal may read, with their visible columns, by schema and name. From definitions alone: a stream need not exist to be listed.
    /// Those of the schema `scratch` too: the session's, or the principal's.
    pub fn tables(&self, principal: &Principal, session: Option<&Session>) -> Vec<TableEntry> {
        let catalog = self.catalog().current();
        let mut tables: Vec<TableEntry> = catalog
            .tables
            .iter()
            .filter(|(name, _)| self.access().has_table(&principal.0, Right::Read, name))
            .map(|(name, definition)| {
                let all = definition.arrow_schema();
                let hidden: BTreeSet<&str> = definition
                    .columns
                    .iter()
                    .filter(|column| column.hidden)
                    .map(|column| column.name.as_str())
                    .collect();
                let visible: Vec<Arc<Field>> = all
                    .fields()
                    .iter()
                    .filter(|field| !hidden.contains(field.name().as_str()))
                    .cloned()
                    .collect();
                TableEntry {
                    schema: name.schema.clone(),
                    name: name.table.clone(),
                    kind: TableKind::BaseTable,
                    arrow_schema: Arc::new(Schema::new(visible)),
                    comment: definition.comment.clone(),
                }
            })
            .collect();
        let files = catalog
            .files
            .iter()
            .filter(|(name, _)| self.access().has_table(&principal.0, Right::Read, name));
        tables.extend(files.map(|(name, definition)| TableEntry {
            schema: name.schema.clone(),
            name: name.table.clone(),
            kind: TableKind::BaseTable,
            arrow_schema: definition.arrow_schema(),
            comment: definition.comment.clone(),
        }));
        tables.extend(system::TABLES.iter().map(|table| TableEntry {
            schema: system::SCHEMA.into(),
            name: table.name().into(),
            kind: TableKind::SystemTable,
            arrow_schema: table.schema(),
            comment: Some(table.comment().into()),
        }));
        tables.extend(self.scratch_entries(principal, session));
        tables.sort_by(|left, right| (&left.schema, &left.name).cmp(&(&right.schema, &right.name)));
        tables
    }
}
