//! CREATE EXTERNAL TABLE over files, and how such a table is shown.

use std::sync::Arc;

use catalog::{CsvFiles, FileTable, StoredAs, TableName};
use datafusion::arrow::datatypes::{Field, Schema};
use datafusion::execution::session_state::SessionStateBuilder;
use object_store::ObjectMeta;
use serde_yaml::{Mapping, Value};

use super::super::definitions::{identifier, quoted, value};
use super::super::error::EngineError;
use super::super::insert::type_name;
use super::super::plan::Engine;
use super::super::sql::{CreateTable, DdlColumn};
use super::access::Purpose;
use super::place::Place;
use super::{delta, listing, runtime, table};

/// Files that are looked at for columns.
const LOOKED_AT: usize = 100;

impl Engine {
    /// The document of a definition over files that a statement makes. Without columns they are those of the files that are there.
    pub(in super::super) async fn files_document(
        &self,
        name: &TableName,
        create: &CreateTable,
        stored_as: StoredAs,
    ) -> Result<Mapping, EngineError> {
        let place = Place::of_statement(&create.location)?;
        let access = &self.config().files;
        access.check(&place, Purpose::Read)?;
        let mut document = Mapping::new();
        document.insert("table".into(), name.table.as_str().into());
        document.insert("schema".into(), name.schema.as_str().into());
        document.insert("location".into(), create.location.as_str().into());
        document.insert("stored_as".into(), stored_as.word().into());
        let mut csv = Mapping::new();
        for (key, literal) in &create.options {
            let of_csv = key.strip_prefix("csv.").or_else(|| key.strip_prefix("format.")).unwrap_or(key);
            let place = match key.as_str() {
                "comment" => &mut document,
                _ => &mut csv,
            };
            if place.insert(of_csv.into(), value(literal)).is_some() {
                return Err(EngineError::Invalid(format!("option `{key}` is given twice")));
            }
        }
        if !csv.is_empty() {
            document.insert("csv".into(), csv.into());
        }
        let mut columns = match &create.columns {
            Some(columns) => columns.iter().map(column).collect::<Result<Vec<Value>, _>>()?,
            None => Vec::new(),
        };
        for folder in &create.partitioned_by {
            let named = |column: &Value| column.get("name").and_then(Value::as_str) == Some(folder);
            if !columns.iter().any(named) {
                columns.push(typed(folder, "varchar"));
            }
        }
        if !create.partitioned_by.is_empty() {
            let folders: Vec<Value> = create.partitioned_by.iter().map(|folder| folder.as_str().into()).collect();
            document.insert("partitioned_by".into(), folders.into());
        }
        if create.columns.is_none() {
            let mut found = self.columns_of_files(&place, &document).await?;
            found.retain(|column| !columns.iter().any(|folder| folder.get("name") == column.get("name")));
            found.append(&mut columns);
            columns = found;
        }
        document.insert("columns".into(), columns.into());
        Ok(document)
    }

    async fn columns_of_files(&self, place: &Place, document: &Mapping) -> Result<Vec<Value>, EngineError> {
        // any column will do: it is the format that is asked for
        let mut document = document.clone();
        document.remove("partitioned_by");
        document.insert("columns".into(), vec![typed("any", "varchar")].into());
        let definition = parsed(&document)?;
        let name = &definition.name;
        let opened = self.config().files.open(place, Purpose::Read).await?;
        if definition.stored_as == StoredAs::Delta {
            let found = delta::at(name, place, opened, None).await?;
            return columns_of(&found.table.schema());
        }
        let files = listing::list(place, &opened, &name.to_string()).await?;
        if files.is_empty() {
            return Err(EngineError::NotFound(format!(
                "no file lies at {place} that could tell the columns of table {name}; give them: CREATE EXTERNAL TABLE {name} (column type, …)"
            )));
        }
        let looked_at = files.iter().take(LOOKED_AT).map(|file| file.meta(&opened.root));
        let looked_at = looked_at.collect::<Result<Vec<ObjectMeta>, _>>()?;
        let state = SessionStateBuilder::new_from_existing(self.template().clone())
            .with_runtime_env(runtime(self.runtime())?)
            .build();
        let schema = table::format(&definition).infer_schema(&state, &opened.store, &looked_at).await?;
        columns_of(&schema)
    }
}

fn columns_of(schema: &Schema) -> Result<Vec<Value>, EngineError> {
    let column = |field: &Arc<Field>| {
        let column_type = type_name(field.data_type()).map_err(|other| {
            EngineError::NotSupported(format!(
                "column `{}`: a table has no column of type {other}; give the columns",
                field.name()
            ))
        })?;
        Ok(typed(field.name(), &column_type))
    };
    schema.fields().iter().map(column).collect()
}

fn parsed(document: &Mapping) -> Result<Arc<FileTable>, EngineError> {
    let text =
        serde_yaml::to_string(document).map_err(|error| EngineError::Internal(format!("a definition cannot be written: {error}")))?;
    FileTable::from_yaml_in(&text, catalog::DEFAULT_SCHEMA)
        .map_err(|error| EngineError::Invalid(format!("the definition is not valid: {}", error.message)))
}

fn typed(name: &str, column_type: &str) -> Value {
    let mut document = Mapping::new();
    document.insert("name".into(), name.into());
    document.insert("type".into(), column_type.into());
    document.into()
}

fn column(column: &DdlColumn) -> Result<Value, EngineError> {
    let Value::Mapping(mut document) = typed(&column.name, &column.column_type) else {
        return Err(EngineError::Internal("a column is no map".into()));
    };
    for (key, literal) in &column.keys {
        document.insert(key.as_str().into(), value(literal));
    }
    Ok(document.into())
}

/// The statement that makes the definition.
pub(in super::super) fn statement(table: &FileTable) -> String {
    let columns = table.columns.iter().map(|column| {
        let comment = column.comment.as_ref().map(|comment| format!(" COMMENT {}", quoted(comment)));
        format!("{} {}{}", identifier(&column.name), column.column_type, comment.unwrap_or_default())
    });
    let columns: Vec<String> = columns.collect();
    let mut sql = format!(
        "CREATE EXTERNAL TABLE {}.{} (\n  {}\n)\nSTORED AS {}\nLOCATION {}",
        identifier(&table.name.schema),
        identifier(&table.name.table),
        columns.join(",\n  "),
        table.stored_as.word().to_uppercase(),
        quoted(&table.location)
    );
    let folders = &table.columns[table.in_files()..];
    if !folders.is_empty() {
        let folders: Vec<String> = folders.iter().map(|column| identifier(&column.name)).collect();
        sql += &format!("\nPARTITIONED BY ({})", folders.join(", "));
    }
    if let Some(comment) = &table.comment {
        sql += &format!("\nCOMMENT {}", quoted(comment));
    }
    let options = csv_options(&table.csv);
    if !options.is_empty() {
        sql += &format!("\nOPTIONS (\n  {}\n)", options.join(",\n  "));
    }
    sql
}

fn csv_options(csv: &CsvFiles) -> Vec<String> {
    let usual = CsvFiles::default();
    let byte = |byte: u8| match byte {
        b'\t' => "'tab'".to_owned(),
        byte => quoted(&char::from(byte).to_string()),
    };
    let mut options = Vec::new();
    if csv.header != usual.header {
        options.push(format!("header {}", csv.header));
    }
    if csv.delimiter != usual.delimiter {
        options.push(format!("delimiter {}", byte(csv.delimiter)));
    }
    if csv.quote != usual.quote {
        options.push(format!("quote {}", byte(csv.quote)));
    }
    if let Some(escape) = csv.escape {
        options.push(format!("escape {}", byte(escape)));
    }
    if csv.newlines_in_values != usual.newlines_in_values {
        options.push(format!("newlines_in_values {}", csv.newlines_in_values));
    }
    options
}
