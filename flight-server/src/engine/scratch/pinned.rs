//! What a ticket says of scratch tables and views.

use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use uuid::Uuid;

use super::super::error::EngineError;
use super::super::parameters::{decoded, encoded};
use super::super::plan::Engine;
use super::super::session::Session;
use super::super::sql::CATALOG;
use super::SCHEMA;
use super::contents::{Contents, Table, Thing};
use super::view::View;

/// Scratch tables and views of a statement, as they were when it was planned.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedScratch {
    /// The node that keeps the versions, by its name in [`super::super::nodes::NodeState`]; `None` = there are none, or no other nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Names of tables, and of their versions.
    pub tables: Vec<(String, String)>,
    /// Views.
    pub views: Vec<PinnedView>,
}

/// A view, as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedView {
    /// Its name.
    pub name: String,
    /// Its query.
    pub text: String,
    /// Schema of the names in it that have none.
    pub schema: String,
    /// Names of its columns, where they are not the query's.
    pub columns: Vec<String>,
    /// Its columns, as they are listed: a batch without rows, as an Arrow IPC stream.
    pub fields: ByteBuf,
}

impl Engine {
    /// Has versions kept, and says which for a ticket.
    pub(in super::super) fn pin_scratch(&self, session: &Session, contents: &Contents) -> Result<PinnedScratch, EngineError> {
        if contents.is_empty() {
            return Ok(PinnedScratch::default());
        }
        self.scratch().keep(contents, &self.scratch().space(session));
        let mut pinned = PinnedScratch::default();
        if contents.things.values().any(|thing| matches!(thing, Thing::Table(_))) {
            pinned.node = self
                .config()
                .nodes
                .nodes()
                .into_iter()
                .find(|node| node.own)
                .and_then(|node| node.node);
        }
        for (name, thing) in &contents.things {
            match thing {
                Thing::Table(table) => pinned.tables.push((name.clone(), table.version.id.to_string())),
                Thing::View(view) => pinned.views.push(PinnedView {
                    name: name.clone(),
                    text: view.text.clone(),
                    schema: view.query.schema.clone(),
                    columns: view.query.columns.clone(),
                    fields: encoded(&RecordBatch::new_empty(Arc::clone(&view.fields)))?,
                }),
            }
        }
        Ok(pinned)
    }

    /// What a ticket says is there.
    pub(in super::super) fn pinned_scratch(&self, pinned: &PinnedScratch) -> Result<Arc<Contents>, EngineError> {
        let mut contents = Contents::default();
        for (name, id) in &pinned.tables {
            let id = Uuid::parse_str(id).map_err(|error| EngineError::Internal(error.to_string()))?;
            let version = self.scratch().version(id).ok_or_else(|| {
                let by = pinned.node.as_ref().map(|node| format!(" by node {node}")).unwrap_or_default();
                EngineError::FailedPrecondition(format!(
                    "the rows that table `{CATALOG}.{SCHEMA}.{name}` had when the statement was planned were kept{by}, and are no more: memory was short, or the \
                     server was restarted; run the statement again"
                ))
            })?;
            contents.things.insert(name.clone(), Thing::Table(Table { id, version }));
        }
        for view in &pinned.views {
            let fields = decoded(Some(&view.fields))?.ok_or_else(|| EngineError::Internal("a view without columns".into()))?;
            let found = View::new(&view.text, &view.schema, &view.columns, fields.schema(), None)?;
            contents.things.insert(view.name.clone(), Thing::View(found));
        }
        Ok(Arc::new(contents))
    }
}
