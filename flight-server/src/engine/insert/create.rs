//! A table that ingest makes: a stream of its own, and a definition with the columns of the rows.

use catalog::TableName;
use datafusion::arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use shard_reader::SourceErrorKind;

use super::super::error::EngineError;
use super::super::hidden::HiddenColumn;
use super::super::plan::Engine;
use super::super::sql::{CATALOG, DdlColumn, Literal};

impl Engine {
    /// Creates the stream, waits for it, and defines the table.
    pub(super) async fn create_stream_table(&self, name: &TableName, columns: &SchemaRef) -> Result<(), EngineError> {
        let stream = stream_name(name);
        let fields = columns
            .fields()
            .iter()
            .filter(|field| field.name() != HiddenColumn::PartitionKey.name());
        let columns = fields.map(|field| column(field)).collect::<Result<Vec<_>, _>>()?;
        let definition = self.definition_of_columns(name, &stream, &columns)?;
        let (_, source) = self.sources().source(None).await?;
        let sink = source
            .writing()
            .ok_or_else(|| EngineError::NotSupported("streams cannot be created here".into()))?;
        match source.describe(&stream).await {
            Err(error) if error.kind == SourceErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
            Ok(_) => {
                return Err(EngineError::Exists(format!(
                    "table `{CATALOG}.{name}` is missing, and a stream `{stream}` is there; CREATE EXTERNAL TABLE makes a table of it, which can be appended to"
                )));
            }
        }
        sink.create(&stream, None).await?;
        tracing::info!(%stream, table = %name, "created a stream for an ingest");
        self.keep_definition(&definition).await.map_err(|error| EngineError::Write {
            category: error.category(),
            message: format!("stream `{stream}` was created, and its table could not be defined: {error}"),
        })
    }
}

/// The stream of a table: what stream names do not take becomes `-`.
fn stream_name(name: &TableName) -> String {
    let full = match name.schema.as_str() {
        catalog::DEFAULT_SCHEMA => name.table.clone(),
        schema => format!("{schema}.{}", name.table),
    };
    full.replace(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c), "-")
}

fn column(field: &Field) -> Result<DdlColumn, EngineError> {
    let column_type = type_name(field.data_type())
        .map_err(|other| EngineError::NotSupported(format!("column `{}`: a table has no column of type {other}", field.name())))?;
    let keys = match column_type == "varbinary" {
        true => vec![("format".to_owned(), Literal::Text("base64".into()))],
        false => Vec::new(),
    };
    Ok(DdlColumn {
        name: field.name().clone(),
        column_type,
        keys,
    })
}

/// The type of a definition that takes the values of an Arrow type; `Err` = that type, where there is none.
pub(in super::super) fn type_name(data_type: &DataType) -> Result<String, String> {
    let plain = |name: &str| Ok(name.to_owned());
    match data_type {
        DataType::Boolean => plain("boolean"),
        DataType::Int8 => plain("tinyint"),
        DataType::Int16 | DataType::UInt8 => plain("smallint"),
        DataType::Int32 | DataType::UInt16 => plain("integer"),
        DataType::Int64 | DataType::UInt32 => plain("bigint"),
        DataType::UInt64 => plain("decimal(20,0)"),
        DataType::Float16 | DataType::Float32 => plain("real"),
        DataType::Float64 => plain("double"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => plain("varchar"),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => plain("varbinary"),
        DataType::Date32 | DataType::Date64 => plain("date"),
        DataType::Time32(unit) | DataType::Time64(unit) => Ok(format!("time({})", unit_name(*unit))),
        DataType::Timestamp(unit, None) => Ok(format!("timestamp({})", unit_name(*unit))),
        DataType::Timestamp(unit, Some(_)) => Ok(format!("timestamp({}) with time zone", unit_name(*unit))),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *scale >= 0 =>
        {
            Ok(format!("decimal({precision},{scale})"))
        }
        DataType::Dictionary(_, values) => type_name(values),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            Ok(format!("array<{}>", type_name(item.data_type())?))
        }
        DataType::Struct(fields) => {
            let parts = fields.iter().map(|field| {
                let name = field.name().replace('"', "\"\"");
                Ok(format!("\"{name}\" {}", type_name(field.data_type())?))
            });
            Ok(format!("row<{}>", parts.collect::<Result<Vec<_>, String>>()?.join(", ")))
        }
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => Ok(format!(
                "map<{}, {}>",
                type_name(fields[0].data_type())?,
                type_name(fields[1].data_type())?
            )),
            other => Err(other.to_string()),
        },
        other => Err(other.to_string()),
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn types_of_clients_have_a_name() {
        let item = |of: DataType| Arc::new(Field::new("item", of, true));
        let row = DataType::Struct(
            vec![
                Field::new("a \"b\"", DataType::Utf8View, true),
                Field::new("c", DataType::UInt64, true),
            ]
            .into(),
        );
        for (data_type, name) in [
            (DataType::UInt32, "bigint"),
            (
                DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::LargeUtf8)),
                "varchar",
            ),
            (
                DataType::Timestamp(TimeUnit::Microsecond, Some("Europe/Berlin".into())),
                "timestamp(us) with time zone",
            ),
            (
                DataType::LargeList(item(row)),
                "array<row<\"a \"\"b\"\"\" varchar, \"c\" decimal(20,0)>>",
            ),
            (DataType::Decimal128(10, 2), "decimal(10,2)"),
        ] {
            assert_eq!(type_name(&data_type).unwrap(), name);
            catalog::ColumnType::try_from(name.to_owned()).unwrap();
        }
        assert!(type_name(&DataType::Decimal128(10, -2)).is_err());
        assert!(type_name(&DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::DayTime)).is_err());
    }

    #[test]
    fn streams_are_named_after_their_tables() {
        for (schema, table, stream) in [
            ("default", "t_1", "t_1"),
            ("web", "clicks", "web.clicks"),
            ("default", "my täble", "my-t-ble"),
        ] {
            let name = TableName {
                schema: schema.into(),
                table: table.into(),
            };
            assert_eq!(stream_name(&name), stream);
        }
    }
}
