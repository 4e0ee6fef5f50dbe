//! Tables and columns, as Flight SQL's GetTables lists them.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Schema, SchemaRef};
use arrow_flight::IpcMessage;

use super::client::{Client, ClientError};
use super::results::Results;

/// A table of the server.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) schema: String,
    pub(super) name: String,
    pub(super) kind: String,
    pub(super) columns: SchemaRef,
}

/// All tables, in the server's order.
pub(super) async fn tables(client: &Client) -> Result<Vec<Table>, ClientError> {
    let mut results = Results::fetch(client, client.tables().await?);
    let mut tables = Vec::new();
    while let Some(batch) = results.next().await? {
        read(&batch, &mut tables)?;
    }
    Ok(tables)
}

fn read(batch: &RecordBatch, tables: &mut Vec<Table>) -> Result<(), ClientError> {
    let text = |name: &str| {
        let column = batch.column_by_name(name).and_then(|column| column.as_string_opt::<i32>());
        column.ok_or_else(|| ClientError::Answer(format!("GetTables has no text column {name}")))
    };
    let (schemas, names, kinds) = (text("db_schema_name")?, text("table_name")?, text("table_type")?);
    let columns = batch
        .column_by_name("table_schema")
        .and_then(|column| column.as_binary_opt::<i32>());
    let columns = columns.ok_or_else(|| ClientError::Answer("GetTables has no column table_schema".to_owned()))?;
    for row in 0..batch.num_rows() {
        let message = IpcMessage(columns.value(row).to_vec().into());
        let columns = Schema::try_from(message).map_err(|error| ClientError::Answer(format!("schema of {}: {error}", names.value(row))))?;
        tables.push(Table {
            schema: if schemas.is_null(row) {
                String::new()
            } else {
                schemas.value(row).to_owned()
            },
            name: names.value(row).to_owned(),
            kind: kinds.value(row).to_owned(),
            columns: columns.into(),
        });
    }
    Ok(())
}

/// `\d`
pub(super) fn list(tables: &[Table]) -> String {
    columns(
        &["schema", "table", "kind"],
        tables
            .iter()
            .map(|table| vec![table.schema.clone(), table.name.clone(), table.kind.clone()]),
    )
}

/// `\d name`; the name may have its schema and catalog before it. None if there is no such table.
pub(super) fn describe(tables: &[Table], name: &str) -> Option<String> {
    let plain = name.replace('"', "");
    let wanted = plain.strip_prefix("kinesis.").unwrap_or(&plain);
    let matches =
        |table: &&Table| table.name.eq_ignore_ascii_case(wanted) || format!("{}.{}", table.schema, table.name).eq_ignore_ascii_case(wanted);
    let table = tables.iter().find(matches)?;
    let fields = table.columns.fields().iter();
    let rows = fields.map(|field| {
        let comment = field
            .metadata()
            .get("comment")
            .or_else(|| field.metadata().get("ARROW:FLIGHT:SQL:REMARKS"));
        vec![
            field.name().clone(),
            field.data_type().to_string(),
            comment.cloned().unwrap_or_default(),
        ]
    });
    Some(columns(&["column", "type", "comment"], rows))
}

fn columns(names: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = std::iter::once(names.iter().map(ToString::to_string).collect())
        .chain(rows)
        .collect();
    let width = |column: usize| rows.iter().map(|row: &Vec<String>| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..names.len()).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn tables_are_found_by_any_of_their_names() {
        let field = Field::new("host", DataType::Utf8, true).with_metadata([("comment".to_owned(), "who".to_owned())].into());
        let columns = Schema::new(vec![field, Field::new("bytes", DataType::Int64, true)]).into();
        let tables = [Table {
            schema: "default".into(),
            name: "nasahttp".into(),
            kind: "BASE TABLE".into(),
            columns,
        }];
        assert_eq!(list(&tables), "schema   table     kind\ndefault  nasahttp  BASE TABLE\n");
        for name in [
            "nasahttp",
            "NASAHTTP",
            "default.nasahttp",
            "kinesis.default.nasahttp",
            "\"nasahttp\"",
        ] {
            assert_eq!(
                describe(&tables, name).as_deref(),
                Some("column  type   comment\nhost    Utf8   who\nbytes   Int64\n"),
                "{name}"
            );
        }
        assert_eq!(describe(&tables, "other"), None);
    }
}
