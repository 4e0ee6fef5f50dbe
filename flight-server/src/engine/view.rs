//! The catalog as one statement sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::{CatalogSnapshot, Definition, DirectoryCatalog, TableDefinition, TableName};
use datafusion::catalog::{CatalogProvider, CatalogProviderList, MemoryCatalogProviderList, SchemaProvider, TableProvider};
use datafusion::common::Result as DfResult;

use super::access::Grants;
use super::api::PinnedTable;
use super::error::EngineError;
use super::files::{FileAccess, FilesTable, PinnedFiles};
use super::history::{History, HybridTable, WantedHistory};
use super::plan::Tables;
use super::scratch::{self, Contents, ScratchTable, ViewEntry};
use super::sql::{CATALOG, ViewQuery};
use super::system;
use super::table::{StatementScope, StreamTable};

/// Tables that a statement can name.
#[derive(Debug)]
pub(super) struct Available {
    current: Arc<CatalogSnapshot>,
    /// Those of a ticket, which go before the catalog, since that may have changed; and streams without a definition.
    pinned: BTreeMap<TableName, PinnedTable>,
    /// Tables over files, of a ticket.
    pinned_files: BTreeMap<TableName, PinnedFiles>,
    /// Which files may be read.
    files: Arc<FileAccess>,
    /// Of who asks; `None`: the one table was asked about already.
    grants: Option<Grants>,
    /// Scratch tables and views.
    scratch: Arc<Contents>,
    /// A ticket says what there was.
    is_pinned: bool,
    /// Each table is its stream alone.
    without_histories: bool,
}

/// What a name stands for.
pub(super) enum Found {
    /// A table over a stream.
    Stream(Arc<TableDefinition>),
    /// A table over files.
    Files(FilesTable),
    /// A table about the server.
    OfServer,
    /// A scratch table.
    Scratch,
    /// A view.
    View(Arc<ViewQuery>),
}

impl Available {
    pub(super) fn new(catalog: &DirectoryCatalog, tables: Tables, grants: Grants, files: &Arc<FileAccess>) -> Self {
        let is_pinned = matches!(tables, Tables::Pinned { .. });
        let without_histories = matches!(tables, Tables::Streams);
        let (tables, pinned_files, scratch, grants) = match tables {
            Tables::Current { streams, scratch } => (streams, Vec::new(), scratch, Some(grants)),
            Tables::Streams => (Vec::new(), Vec::new(), Arc::default(), Some(grants)),
            Tables::Pinned {
                tables, files, scratch, ..
            } => (tables, files, scratch, Some(grants)),
            Tables::Sampled(table) => (vec![table], Vec::new(), Arc::default(), None),
        };
        Self {
            scratch,
            is_pinned,
            without_histories,
            current: catalog.current(),
            pinned_files: pinned_files.into_iter().map(|table| (table.name.clone(), table)).collect(),
            files: Arc::clone(files),
            pinned: tables.into_iter().map(|table| (table.name.clone(), table)).collect(),
            grants,
        }
    }

    fn pinned(&self, name: &TableName) -> Option<&PinnedTable> {
        self.pinned.get(name)
    }

    /// What a name stands for. Without a schema that is a table of the current one, else of scratch.
    pub(super) fn find(&self, name: &TableName, is_qualified: bool) -> Result<Found, EngineError> {
        if self.scratch.has(&name.table) && (name.schema == scratch::SCHEMA || !is_qualified && !self.hides_scratch(name)?) {
            return Ok(match self.scratch.view(&name.table) {
                Some(view) => Found::View(Arc::clone(view.query())),
                None => Found::Scratch,
            });
        }
        Ok(match self.definition(name)? {
            None => Found::OfServer,
            Some(Definition::Stream(definition)) => Found::Stream(definition),
            Some(Definition::Files(definition)) => Found::Files(match self.pinned_files.get(name) {
                Some(pinned) => FilesTable::pinned(pinned, Arc::clone(&self.files)),
                None => FilesTable::new(definition, Arc::clone(&self.files)),
            }),
        })
    }

    /// Whether a name stands for a table that is no scratch table. Where it could stand for both, a ticket says which it was.
    fn hides_scratch(&self, name: &TableName) -> Result<bool, EngineError> {
        if self.is_pinned {
            return Ok(self.pinned.contains_key(name) || self.pinned_files.contains_key(name));
        }
        let of_server = name.schema == "information_schema" || (name.schema == system::SCHEMA && system::find(&name.table).is_some());
        let of_catalog = self.current.has(name) && self.grants.as_ref().is_some_and(|grants| grants.reads(name, None));
        match of_server || of_catalog {
            true => Err(scratch::ambiguous(name)),
            false => Ok(false),
        }
    }

    /// What of scratch a statement depends on.
    pub(super) fn scratch(&self, named: impl Fn(&str) -> bool) -> Contents {
        self.scratch.only(named)
    }

    /// The definition of a table; `None` for a table about the server.
    fn definition(&self, name: &TableName) -> Result<Option<Definition>, EngineError> {
        let of_server = name.schema == "information_schema" || (name.schema == system::SCHEMA && system::find(&name.table).is_some());
        let found = match self.pinned(name) {
            Some(table) => Some(Definition::Stream(Arc::clone(&table.definition))),
            None => match self.pinned_files.get(name) {
                Some(table) => Some(Definition::Files(Arc::clone(&table.definition))),
                None => self.current.get(name),
            },
        };
        let stream = match &found {
            Some(Definition::Stream(definition)) => Some(definition.stream.as_str()),
            _ => None,
        };
        if let Some(grants) = self.grants.as_ref().filter(|_| found.is_some() || !of_server) {
            // Asked before it is told whether there is such a table.
            grants.check_read(name, stream)?;
        }
        if found.is_some() || of_server {
            return Ok(found);
        }
        Err(EngineError::NotFound(self.missing(name)))
    }

    /// What is said of a table that is not there.
    pub(super) fn missing(&self, name: &TableName) -> String {
        let mut message = format!("table `{CATALOG}.{name}` not found");
        let full = name.to_string();
        let nearest = self
            .current
            .tables
            .keys()
            .chain(self.current.files.keys())
            .filter(|known| self.grants.as_ref().is_none_or(|grants| grants.reads(known, None)))
            .map(|known| (strsim::jaro_winkler(&known.to_string(), &full), known))
            .filter(|(score, _)| *score > 0.9)
            .max_by(|left, right| left.0.total_cmp(&right.0));
        if let Some((_, nearest)) = nearest {
            message += &format!("; did you mean `{nearest}`?");
        }
        if !self.current.errors.is_empty() {
            let errors = self.current.errors.len();
            message += &format!(
                "; {errors} definition file(s) cannot be used: see {CATALOG}.{}.catalog_errors",
                system::SCHEMA
            );
        }
        message
    }

    /// Histories that tables of these names need.
    pub(super) fn histories(&self, exposed: &BTreeMap<TableName, BTreeSet<String>>) -> Result<Vec<WantedHistory>, EngineError> {
        let mut wanted = Vec::new();
        for name in exposed.keys().filter(|_| !self.without_histories) {
            let Some(Definition::Stream(definition)) = self.definition(name)? else {
                continue;
            };
            // of a ticket, or a stream without a definition: as it says
            let pinned = self.pinned(name).map(|table| table.history.as_ref());
            if let (Some(offload), None | Some(Some(_))) = (&definition.history, pinned) {
                wanted.push(WantedHistory {
                    table: name.clone(),
                    offload: offload.clone(),
                    pinned: pinned.flatten().cloned(),
                });
            }
        }
        Ok(wanted)
    }

    /// Provider for each table that the statement names; a reference more is the same provider, so that it sees the same rows.
    pub(super) fn tables(
        &self,
        exposed: &BTreeMap<TableName, BTreeSet<String>>,
        files: BTreeMap<TableName, FilesTable>,
        scope: &Arc<StatementScope>,
        access: &Arc<FileAccess>,
        mut histories: BTreeMap<TableName, Arc<History>>,
    ) -> Result<Streams, EngineError> {
        let (mut named, mut hybrid) = (BTreeMap::new(), BTreeMap::new());
        for (name, columns) in exposed {
            let Some(Definition::Stream(definition)) = self.definition(name)? else {
                continue;
            };
            let mut table = StreamTable::new(name.clone(), definition, columns, Arc::clone(scope));
            let history = histories.remove(name);
            if let Some(history) = &history {
                table = table.behind(Arc::clone(history));
            }
            if let Some(snapshot) = self.pinned(name).and_then(|pinned| pinned.snapshot.clone()) {
                table.pin(snapshot)?;
            }
            let table = Arc::new(table);
            if let Some(history) = &history {
                let both = HybridTable::new(Arc::clone(&table), history, &scope.options, exposed.len() == 1)?;
                hybrid.insert(name.clone(), Arc::new(both));
            }
            named.insert(name.clone(), table);
        }
        Ok(Streams {
            named,
            hybrid,
            files: files.into_iter().map(|(name, table)| (name, Arc::new(table))).collect(),
            access: Arc::clone(access),
            others: Arc::clone(&self.current),
            grants: self.grants.clone(),
            scratch: Arc::clone(&self.scratch),
            scope: Arc::clone(scope),
        })
    }
}

/// Tables over streams.
#[derive(Debug, Clone)]
pub(super) struct Streams {
    named: BTreeMap<TableName, Arc<StreamTable>>,
    /// Those of them that have a history.
    hybrid: BTreeMap<TableName, Arc<HybridTable>>,
    files: BTreeMap<TableName, Arc<FilesTable>>,
    access: Arc<FileAccess>,
    /// All that the catalog has: for `information_schema`.
    others: Arc<CatalogSnapshot>,
    /// Only what they let be read is shown of those.
    grants: Option<Grants>,
    scratch: Arc<Contents>,
    scope: Arc<StatementScope>,
}

impl Streams {
    /// The tables that the statement names.
    pub(super) fn named(&self) -> Vec<StreamTable> {
        self.named.values().map(|table| StreamTable::clone(table)).collect()
    }

    /// The tables over files that the statement names.
    pub(super) fn files(&self) -> Vec<FilesTable> {
        self.files.values().map(|table| FilesTable::clone(table)).collect()
    }

    fn known(&self) -> impl Iterator<Item = &TableName> {
        let others = self.others.tables.keys().chain(self.others.files.keys());
        let others = others.filter(|name| self.grants.as_ref().is_some_and(|grants| grants.reads(name, None)));
        self.named.keys().chain(self.files.keys()).chain(others)
    }

    fn schemas(&self) -> BTreeSet<String> {
        let names = self.known().map(|name| name.schema.clone());
        let scratch = (!self.scratch.is_empty()).then(|| scratch::SCHEMA.to_owned());
        names.chain(["default".to_owned()]).chain(scratch).collect()
    }

    fn names(&self, schema: &str) -> BTreeSet<String> {
        let scratch = self.scratch.names().filter(|_| schema == scratch::SCHEMA).map(str::to_owned);
        self.known()
            .filter(|name| name.schema == schema)
            .map(|name| name.table.clone())
            .chain(scratch)
            .collect()
    }

    fn table(&self, name: &TableName) -> Option<Arc<dyn TableProvider>> {
        if name.schema == scratch::SCHEMA {
            if let Some(version) = self.scratch.version(&name.table) {
                return Some(Arc::new(ScratchTable::new(&name.table, version)));
            }
            if let Some(view) = self.scratch.view(&name.table) {
                return Some(Arc::new(ViewEntry(Arc::clone(view))));
            }
        }
        if let Some(table) = self.hybrid.get(name) {
            return Some(Arc::clone(table) as Arc<dyn TableProvider>);
        }
        if let Some(table) = self.named.get(name) {
            return Some(Arc::clone(table) as Arc<dyn TableProvider>);
        }
        if let Some(table) = self.files.get(name) {
            return Some(Arc::clone(table) as Arc<dyn TableProvider>);
        }
        self.known().find(|known| *known == name)?;
        if let Some(files) = self.others.files.get(name) {
            return Some(Arc::new(FilesTable::new(Arc::clone(files), Arc::clone(&self.access))));
        }
        let definition = self.others.tables.get(name)?;
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
        system::TABLES.iter().map(|table| table.name().to_owned()).collect()
    }

    async fn table(&self, name: &str) -> DfResult<Option<Arc<dyn TableProvider>>> {
        Ok(system::find(name).map(|table| {
            let provider: Arc<dyn TableProvider> = Arc::new(system::Provider {
                table,
                facts: Arc::clone(&self.facts),
            });
            provider
        }))
    }

    fn table_exist(&self, name: &str) -> bool {
        system::find(name).is_some()
    }
}
