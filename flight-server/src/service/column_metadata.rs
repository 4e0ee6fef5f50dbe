//! What GetTables says of a column beside its Arrow type: metadata of its field, as JDBC's `DatabaseMetaData` reads it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

/// Key of a comment in a definition's schema.
const COMMENT: &str = "comment";

const YES: &str = "1";
const NO: &str = "0";

/// The schema with metadata for each column of a table.
pub(crate) fn described(schema: &Schema, catalog: &str, db_schema: &str, table: &str) -> SchemaRef {
    let of_field = |field: &Arc<Field>| {
        let (name, digits) = sql_type(field.data_type());
        let mut said: HashMap<String, String> = field.metadata().clone();
        let mut say = |key: &str, value: &str| {
            said.insert(format!("ARROW:FLIGHT:SQL:{key}"), value.to_owned());
        };
        say("CATALOG_NAME", catalog);
        say("SCHEMA_NAME", db_schema);
        say("TABLE_NAME", table);
        say("TYPE_NAME", name);
        if let Some((precision, scale)) = digits {
            say("PRECISION", &precision.to_string());
            say("SCALE", &scale.to_string());
        }
        say("IS_AUTO_INCREMENT", NO);
        say("IS_CASE_SENSITIVE", if name == "VARCHAR" { YES } else { NO });
        say("IS_SEARCHABLE", YES);
        if let Some(comment) = field.metadata().get(COMMENT) {
            say("REMARKS", comment);
        }
        Arc::new(field.as_ref().clone().with_metadata(said))
    };
    let fields: Vec<Arc<Field>> = schema.fields().iter().map(of_field).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// A type's name in GetXdbcTypeInfo, and decimal digits, in all and behind the point.
fn sql_type(data_type: &DataType) -> (&'static str, Option<(u8, i8)>) {
    match data_type {
        DataType::Boolean => ("BOOLEAN", None),
        DataType::Int8 => ("TINYINT", Some((3, 0))),
        DataType::Int16 | DataType::UInt8 => ("SMALLINT", Some((5, 0))),
        DataType::Int32 | DataType::UInt16 => ("INTEGER", Some((10, 0))),
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => ("BIGINT", Some((19, 0))),
        DataType::Float16 | DataType::Float32 => ("REAL", None),
        DataType::Float64 => ("DOUBLE", None),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => ("DECIMAL", Some((*precision, *scale))),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ("VARCHAR", None),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => ("VARBINARY", None),
        DataType::Date32 | DataType::Date64 => ("DATE", None),
        DataType::Time32(_) | DataType::Time64(_) => ("TIME", None),
        DataType::Timestamp(..) => ("TIMESTAMP", None),
        DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..) | DataType::ListView(_) | DataType::LargeListView(_) => {
            ("ARRAY", None)
        }
        DataType::Map(..) => ("MAP", None),
        DataType::Struct(_) => ("ROW", None),
        DataType::Dictionary(_, values) => sql_type(values),
        DataType::RunEndEncoded(_, values) => sql_type(values.data_type()),
        DataType::Interval(_) | DataType::Duration(_) => ("INTERVAL", None),
        DataType::Null | DataType::Union(..) => ("OTHER", None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_says_what_jdbc_reads() {
        let commented =
            Field::new("d", DataType::Decimal128(10, 2), true).with_metadata(HashMap::from([("comment".into(), "dollars".into())]));
        let schema = described(
            &Schema::new(vec![commented, Field::new("w", DataType::Utf8, true)]),
            "kinesis",
            "default",
            "t",
        );
        let said = |column: usize, key: &str| {
            schema
                .field(column)
                .metadata()
                .get(&format!("ARROW:FLIGHT:SQL:{key}"))
                .map(String::as_str)
        };
        for (key, first, second) in [
            ("CATALOG_NAME", Some("kinesis"), Some("kinesis")),
            ("SCHEMA_NAME", Some("default"), Some("default")),
            ("TABLE_NAME", Some("t"), Some("t")),
            ("TYPE_NAME", Some("DECIMAL"), Some("VARCHAR")),
            ("PRECISION", Some("10"), None),
            ("SCALE", Some("2"), None),
            ("IS_AUTO_INCREMENT", Some("0"), Some("0")),
            ("IS_CASE_SENSITIVE", Some("0"), Some("1")),
            ("IS_SEARCHABLE", Some("1"), Some("1")),
            ("REMARKS", Some("dollars"), None),
        ] {
            assert_eq!((said(0, key), said(1, key)), (first, second), "{key}");
        }
    }
}
