//! Where rows go: a table, and for each column of the rows a column of it.

use std::sync::Arc;

use catalog::{DirectoryCatalog, TableDefinition, TableName};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::sql::sqlparser::ast::ObjectName;

use super::super::access::Grants;
use super::super::error::EngineError;
use super::super::files::FileAccess;
use super::super::hidden::HiddenColumn;
use super::super::plan::Tables;
use super::super::sql::{CATALOG, table_of};
use super::super::system;
use super::super::view::Available;

/// A table, and what each column of the rows is in it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: TableName,
    pub(super) definition: Arc<TableDefinition>,
    pub(super) places: Vec<Place>,
    pub(super) key: Key,
    /// Rows are written into aggregates.
    pub(super) aggregated: bool,
}

/// What a column of the rows is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// A column of the definition.
    Data(usize),
    /// The partition key.
    PartitionKey,
}

/// Where partition keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// Each record has one of its own: records spread over the shards.
    Any,
    /// A column of the rows.
    Column(usize),
}

/// The table that a statement names.
pub(super) fn name(table: &ObjectName, schema: &str) -> Result<TableName, EngineError> {
    match table_of(table, schema)? {
        Some((schema, table)) => Ok(TableName { schema, table }),
        None => Err(EngineError::Invalid(format!("`{table}` is not the name of a table"))),
    }
}

/// Its definition. Whether anything may be written there was asked before; `grants` decide which names are near.
pub(super) fn definition(
    catalog: &DirectoryCatalog,
    name: &TableName,
    grants: &Grants,
    files: &Arc<FileAccess>,
) -> Result<Arc<TableDefinition>, EngineError> {
    if name.schema == system::SCHEMA || name.schema == "information_schema" {
        return Err(EngineError::NotSupported(format!(
            "table `{CATALOG}.{name}` is about the server; nothing is written to it"
        )));
    }
    if let Some(definition) = catalog.current().tables.get(name) {
        return Ok(Arc::clone(definition));
    }
    if catalog.current().files.contains_key(name) {
        return Err(EngineError::NotSupported(format!(
            "table `{CATALOG}.{name}` is over files: INSERT writes to streams and scratch tables, and COPY writes files"
        )));
    }
    let available = Available::new(catalog, Tables::nothing_else(), grants.clone(), files);
    Err(EngineError::NotFound(available.missing(name)))
}

impl Target {
    /// `columns`: those of the rows, in their order; `None` = all that a wildcard shows. `key`: the column that partition keys come from, where it is said.
    pub(super) fn new(
        name: TableName,
        definition: Arc<TableDefinition>,
        columns: Option<&[String]>,
        key: Option<&str>,
        aggregated: bool,
    ) -> Result<Self, EngineError> {
        let places: Vec<Place> = match columns {
            Some(columns) => columns
                .iter()
                .map(|column| place(&name, &definition, column))
                .collect::<Result<_, _>>()?,
            None => {
                let visible = definition.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
                visible.map(|(index, _)| Place::Data(index)).collect()
            }
        };
        for (at, place) in places.iter().enumerate() {
            if places[..at].contains(place) {
                return Err(EngineError::Invalid(format!(
                    "column `{}` is given twice",
                    place_name(&definition, *place)
                )));
            }
        }
        let position = |column: &str| {
            let wanted = |place: &Place| place_name(&definition, *place).eq_ignore_ascii_case(column);
            places.iter().position(wanted)
        };
        let key = match key {
            Some(column) => Key::Column(position(column).ok_or_else(|| {
                EngineError::Invalid(format!(
                    "option `partition_key`: column `{column}` is not among those that are written to table `{CATALOG}.{name}`"
                ))
            })?),
            None => {
                let own = places.iter().position(|place| *place == Place::PartitionKey);
                let defined = || definition.partition_key.as_deref().and_then(position);
                own.or_else(defined).map_or(Key::Any, Key::Column)
            }
        };
        Ok(Self {
            name,
            definition,
            places,
            key,
            aggregated,
        })
    }

    /// Whether the rows have as many columns as there are places for.
    pub(super) fn check_width(&self, columns: usize) -> Result<(), EngineError> {
        if columns == self.places.len() {
            return Ok(());
        }
        Err(EngineError::Invalid(format!(
            "the rows have {columns} columns, and {} of table `{CATALOG}.{}` are written; name the columns: INSERT INTO {} (…)",
            self.places.len(),
            self.name,
            self.name.table
        )))
    }

    /// Names and types of parameters, of which each column of the rows is one.
    pub(super) fn parameters(&self, columns: &[usize]) -> SchemaRef {
        let count = columns.iter().map(|column| column + 1).max().unwrap_or(0);
        let field = |parameter: usize| {
            let place = columns
                .iter()
                .position(|column| *column == parameter)
                .and_then(|at| self.places.get(at));
            let data_type = match place {
                Some(Place::Data(index)) => self.definition.columns.get(*index).map(|column| column.column_type.data_type()),
                Some(Place::PartitionKey) => Some(DataType::Utf8),
                None => None,
            };
            Field::new(format!("${}", parameter + 1), data_type.unwrap_or(DataType::Null), true)
        };
        Arc::new(Schema::new((0..count).map(field).collect::<Vec<_>>()))
    }

    /// Name of what a column of the rows is.
    pub(super) fn column(&self, at: usize) -> &str {
        self.places.get(at).map_or("", |place| place_name(&self.definition, *place))
    }
}

fn place_name(definition: &TableDefinition, place: Place) -> &str {
    match place {
        Place::Data(index) => definition.columns.get(index).map_or("", |column| column.name.as_str()),
        Place::PartitionKey => HiddenColumn::PartitionKey.name(),
    }
}

fn place(table: &TableName, definition: &TableDefinition, column: &str) -> Result<Place, EngineError> {
    if let Some(index) = definition.columns.iter().position(|known| known.name == column) {
        return Ok(Place::Data(index));
    }
    if column == HiddenColumn::PartitionKey.name() {
        return Ok(Place::PartitionKey);
    }
    if HiddenColumn::ALL.into_iter().any(|hidden| hidden.name() == column) {
        return Err(EngineError::Invalid(format!(
            "column `{column}` is the stream's to say; of the hidden columns only `{}` can be written",
            HiddenColumn::PartitionKey.name()
        )));
    }
    let near = definition
        .columns
        .iter()
        .map(|known| (strsim::jaro_winkler(&known.name.to_lowercase(), &column.to_lowercase()), known))
        .filter(|(score, _)| *score > 0.8)
        .max_by(|left, right| left.0.total_cmp(&right.0));
    let suggestion = near.map_or_else(String::new, |(_, known)| format!("; did you mean `{}`?", known.name));
    Err(EngineError::Invalid(format!(
        "table `{CATALOG}.{table}` has no column `{column}`{suggestion}"
    )))
}
