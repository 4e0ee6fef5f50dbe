//! The catalog as one statement sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::{CatalogSnapshot, DirectoryCatalog, TableDefinition, TableName};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result as DfResult;

use super::api::PinnedTable;
use super::error::EngineError;
use super::plan::Tables;
use super::sql::CATALOG;
use super::system;
use super::table::{StatementScope, StreamTable};

/// Tables that a statement can name.
#[derive(Debug)]
pub(super) enum Available {
    Current(Arc<CatalogSnapshot>),
    Pinned(BTreeMap<TableName, PinnedTable>),
}

impl Available {
    pub(super) fn new(catalog: &DirectoryCatalog, tables: Tables) -> Self {
        match tables {
            Tables::Current => Self::Current(catalog.current()),
            Tables::Pinned { tables, .. } => Self::Pinned(tables.into_iter().map(|table| (table.name.clone(), table)).collect()),
        }
    }

    /// The definition of a table over a stream; `None` for a table about the server.
    pub(super) fn definition(&self, name: &TableName) -> Result<Option<Arc<TableDefinition>>, EngineError> {
        let found = match self {
            Self::Current(catalog) => catalog.tables.get(name).cloned(),
            Self::Pinned(tables) => tables.get(name).map(|table| Arc::clone(&table.definition)),
        };
        if found.is_some() || name.schema == "information_schema" || (name.schema == system::SCHEMA && system::exists(&name.table)) {
            return Ok(found);
        }
        Err(EngineError::NotFound(self.missing(name)))
    }

    fn missing(&self, name: &TableName) -> String {
        let mut message = format!("table `{CATALOG}.{name}` not found");
        if let Self::Current(catalog) = self {
            let full = name.to_string();
            let nearest = catalog
                .tables
                .keys()
                .map(|known| (strsim::jaro_winkler(&known.to_string(), &full), known))
                .filter(|(score, _)| *score > 0.85)
                .max_by(|left, right| left.0.total_cmp(&right.0));
            if let Some((_, nearest)) = nearest {
                message += &format!("; did you mean `{nearest}`?");
            }
            if !catalog.errors.is_empty() {
                message += &format!(
                    "; {} definition file(s) cannot be used: see {CATALOG}.{}.catalog_errors",
                    catalog.errors.len(),
                    system::SCHEMA
                );
            }
        }
        message
    }

    /// Provider for each table that the statement names; a reference more is the same provider, so that it sees the same rows.
    pub(super) fn tables(
        &self,
        exposed: &BTreeMap<TableName, BTreeSet<String>>,
        scope: &Arc<StatementScope>,
    ) -> Result<Streams, EngineError> {
        let mut named = BTreeMap::new();
        for (name, columns) in exposed {
            let Some(definition) = self.definition(name)? else { continue };
            let table = StreamTable::new(name.clone(), definition, columns, Arc::clone(scope));
            if let Self::Pinned(tables) = self
                && let Some(pinned) = tables.get(name)
            {
                table.pin(pinned.snapshot.clone())?;
            }
            named.insert(name.clone(), Arc::new(table));
        }
        let others = match self {
            Self::Current(catalog) => catalog.tables.clone(),
            Self::Pinned(_) => BTreeMap::new(),
        };
        Ok(Streams {
            named,
            others,
            scope: Arc::clone(scope),
        })
    }
}

/// Tables over streams.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    named: BTreeMap<TableName, Arc<StreamTable>>,
    /// All that the catalog has: for `information_schema`.
    others: BTreeMap<TableName, Arc<TableDefinition>>,
    scope: Arc<StatementScope>,
}

impl Streams {
    fn schemas(&self) -> BTreeSet<String> {
        let names = self.named.keys().chain(self.others.keys()).map(|name| name.schema.clone());
        names.chain(["default".to_owned()]).collect()
    }

    fn names(&self, schema: &str) -> BTreeSet<String> {
        self.named
            .keys()
            .chain(self.others.keys())
            .filter(|name| name.schema == schema)
            .map(|name| name.table.clone())
            .collect()
    }

    fn table(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        if let Some(table) = self.named.get(name) {
            return Some(Arc::clone(table) as Arc<dyn TableProvider>);
        }
        let definition = self.others.get(name)?;
        Some(Arc::new(StreamTable::new(
            name.clone(),
            Arc::clone(definition),
            &BTreeSet::new(),
            Arc::clone(&self.scope),
        )))
    }
}

/// The one catalog, for the query engine.
pub(super) fn catalogs(streams: Streams, facts: system::Facts) -> Arc<dyn CatalogProviderList> {
    let list = MemoryCatalogProviderList::new();
    list.register_catalog(
        CATALOG.to_owned(),
        Arc::new(View {
            streams: Arc::new(streams),
            facts: Arc::new(facts),
        }),
    );
    Arc::new(list)
}

#[derive(Debug)]
struct View {
    streams: Arc<Streams>,
    facts: Arc<system::Facts>,
}

impl CatalogProvider for View {
    fn schema_names(&self) -> Vec<String> {
        self.streams.schemas().into_iter().chain([system::SCHEMA.to_owned()]).collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        if name == system::SCHEMA {
            return Some(Arc::new(SystemSchema {
                facts: Arc::clone(&self.facts),
            }));
        }
        self.streams.schemas().contains(name).then(|| {
            let schema: Arc<dyn SchemaProvider> = Arc::new(StreamSchema {
                name: name.to_owned(),
                streams: Arc::clone(&self.streams),
            });
            schema
        })
    }
}

struct StreamSchema {
    name: String,
    streams: Arc<Streams>,
}

impl fmt::Debug for StreamSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamSchema").field("name", &self.name).finish_non_exhaustive()
    }
}

#[async_trait]
impl SchemaProvider for StreamSchema {
    fn table_names(&self) -> Vec<String> {
        self.streams.names(&self.name).into_iter().collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        Ok(self.streams.table(&TableName {
            schema: self.name.clone(),
            table: name.to_owned(),
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        self.streams.names(&self.name).contains(name)
    }
}

#[derive(Debug)]
struct SystemSchema {
    facts: Arc<system::Facts>,
}

#[async_trait]
impl SchemaProvider for SystemSchema {
    fn table_names(&self) -> Vec<String> {
        system::TABLES.iter().map(|name| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        self.facts.table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        system::exists(name)
    }
}
