//! GetXdbcTypeInfo: the SQL types of columns and casts.

use arrow::array::RecordBatch;
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::{XdbcTypeInfo, XdbcTypeInfoDataBuilder};
use arrow_flight::sql::{CommandGetXdbcTypeInfo, Nullable, Searchable, XdbcDataType, XdbcDatetimeSubcode};

/// The answer.
pub(crate) fn batch(command: CommandGetXdbcTypeInfo) -> Result<RecordBatch, FlightError> {
    let mut builder = XdbcTypeInfoDataBuilder::new();
    for info in types() {
        builder.append(info);
    }
    command.into_builder(&builder.build()?).build()
}

fn types() -> Vec<XdbcTypeInfo> {
    vec![
        plain("BOOLEAN", XdbcDataType::XdbcBit, 1),
        integer("TINYINT", XdbcDataType::XdbcTinyint, 8),
        integer("SMALLINT", XdbcDataType::XdbcSmallint, 16),
        integer("INTEGER", XdbcDataType::XdbcInteger, 32),
        integer("BIGINT", XdbcDataType::XdbcBigint, 64),
        numeric("REAL", XdbcDataType::XdbcReal, 24, 2),
        numeric("DOUBLE", XdbcDataType::XdbcDouble, 53, 2),
        XdbcTypeInfo {
            create_params: Some(vec!["precision".into(), "scale".into()]),
            fixed_prec_scale: true,
            minimum_scale: Some(0),
            maximum_scale: Some(38),
            ..numeric("DECIMAL", XdbcDataType::XdbcDecimal, 38, 10)
        },
        XdbcTypeInfo {
            case_sensitive: true,
            ..quoted("VARCHAR", XdbcDataType::XdbcVarchar, i32::MAX, "'")
        },
        quoted("VARBINARY", XdbcDataType::XdbcVarbinary, i32::MAX, "X'"),
        XdbcTypeInfo {
            sql_data_type: XdbcDataType::XdbcDatetime,
            // Number 1 is the subcode of DATE as well as of YEAR.
            datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeYear),
            ..quoted("DATE", XdbcDataType::XdbcDate, 10, "DATE '")
        },
        XdbcTypeInfo {
            sql_data_type: XdbcDataType::XdbcDatetime,
            datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTime),
            minimum_scale: Some(0),
            maximum_scale: Some(9),
            ..quoted("TIME", XdbcDataType::XdbcTime, 18, "TIME '")
        },
        XdbcTypeInfo {
            sql_data_type: XdbcDataType::XdbcDatetime,
            datetime_subcode: Some(XdbcDatetimeSubcode::XdbcSubcodeTimestamp),
            minimum_scale: Some(0),
            maximum_scale: Some(9),
            ..quoted("TIMESTAMP", XdbcDataType::XdbcTimestamp, 29, "TIMESTAMP '")
        },
    ]
}

fn plain(name: &str, data_type: XdbcDataType, size: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        type_name: name.into(),
        local_type_name: Some(name.into()),
        data_type,
        sql_data_type: data_type,
        column_size: Some(size),
        nullable: Nullable::NullabilityNullable,
        searchable: Searchable::Full,
        ..XdbcTypeInfo::default()
    }
}

fn numeric(name: &str, data_type: XdbcDataType, size: i32, radix: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        unsigned_attribute: Some(false),
        auto_increment: Some(false),
        num_prec_radix: Some(radix),
        ..plain(name, data_type, size)
    }
}

fn integer(name: &str, data_type: XdbcDataType, bits: i32) -> XdbcTypeInfo {
    XdbcTypeInfo {
        fixed_prec_scale: true,
        minimum_scale: Some(0),
        maximum_scale: Some(0),
        ..numeric(name, data_type, bits, 2)
    }
}

fn quoted(name: &str, data_type: XdbcDataType, size: i32, prefix: &str) -> XdbcTypeInfo {
    XdbcTypeInfo {
        literal_prefix: Some(prefix.into()),
        literal_suffix: Some("'".into()),
        ..plain(name, data_type, size)
    }
}
