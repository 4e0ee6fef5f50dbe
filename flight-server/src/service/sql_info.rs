//! GetSqlInfo: what this server is and what its SQL does.
//!
//! The class of each value matters as much as the value: JDBC casts limits to `Long` and bitmasks to `Integer`, and fails on the other.
//! An `i64` here is `bigint_value`, an `i32` is `int32_bitmask`.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use arrow::compute::can_cast_types;
use arrow::datatypes::{DataType, TimeUnit};
use arrow_flight::error::FlightError;
use arrow_flight::sql::metadata::SqlInfoDataBuilder;
use arrow_flight::sql::{
    CommandGetSqlInfo, SqlInfo, SqlNullOrdering, SqlOuterJoinsSupportLevel, SqlSupportedCaseSensitivity, SqlSupportedGroupBy,
    SqlSupportedResultSetConcurrency, SqlSupportedResultSetType, SqlSupportedSubqueries, SqlSupportedTransaction, SqlSupportedUnions,
    SqlSupportsConvert, SqlTransactionIsolationLevel, SupportedSqlGrammar,
};

use crate::engine::SqlWords;

/// Arrow's IPC format, as FlightSql.proto wants it: the version of the Arrow columnar format.
const ARROW_FORMAT: &str = "1.5";

/// JDBC reads entry level of SQL-92 from bit 0.
const ANSI92_ENTRY: i32 = 1;

/// The answer: all there is, or what was asked for.
pub(crate) fn batch(command: CommandGetSqlInfo, words: &SqlWords) -> Result<RecordBatch, FlightError> {
    let mut builder = SqlInfoDataBuilder::new();
    server(&mut builder);
    syntax(&mut builder);
    functions(&mut builder, words);
    features(&mut builder);
    limits(&mut builder);
    transactions_and_cursors(&mut builder);
    command.into_builder(&builder.build()?).build()
}

fn bits(values: impl IntoIterator<Item = i32>) -> i32 {
    values.into_iter().fold(0, |mask, value| mask | (1 << value))
}

fn server(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::FlightSqlServerName, "shardflight");
    builder.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    builder.append(SqlInfo::FlightSqlServerArrowVersion, ARROW_FORMAT);
    builder.append(SqlInfo::FlightSqlServerReadOnly, false);
    builder.append(SqlInfo::FlightSqlServerSql, true);
    builder.append(SqlInfo::FlightSqlServerSubstrait, false);
    builder.append(SqlInfo::FlightSqlServerSubstraitMinVersion, "");
    builder.append(SqlInfo::FlightSqlServerSubstraitMaxVersion, "");
    builder.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::Transaction as i32);
    builder.append(SqlInfo::FlightSqlServerCancel, true);
    builder.append(SqlInfo::FlightSqlServerBulkIngestion, true);
    builder.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    builder.append(SqlInfo::FlightSqlServerStatementTimeout, 0_i32);
    builder.append(SqlInfo::FlightSqlServerTransactionTimeout, 0_i32);
}

fn syntax(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlDdlCatalog, false);
    builder.append(SqlInfo::SqlDdlSchema, false);
    builder.append(SqlInfo::SqlDdlTable, true);
    builder.append(
        SqlInfo::SqlIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32,
    );
    builder.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // Quoted identifiers are kept as they are written; the enumeration has no word for that.
    builder.append(
        SqlInfo::SqlQuotedIdentifierCase,
        SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32,
    );
    builder.append(SqlInfo::SqlAllTablesAreSelectable, true);
    builder.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    builder.append(SqlInfo::SqlSearchStringEscape, "\\");
    builder.append(SqlInfo::SqlExtraNameCharacters, "");
    builder.append(SqlInfo::SqlSchemaTerm, "schema");
    builder.append(SqlInfo::SqlProcedureTerm, "procedure");
    builder.append(SqlInfo::SqlCatalogTerm, "catalog");
    builder.append(SqlInfo::SqlCatalogAtStart, true);
}

fn functions(builder: &mut SqlInfoDataBuilder, words: &SqlWords) {
    builder.append(SqlInfo::SqlKeywords, list(&words.keywords).as_slice());
    builder.append(SqlInfo::SqlNumericFunctions, list(&words.numeric).as_slice());
    builder.append(SqlInfo::SqlStringFunctions, list(&words.string).as_slice());
    builder.append(SqlInfo::SqlSystemFunctions, list(&words.system).as_slice());
    builder.append(SqlInfo::SqlDatetimeFunctions, list(&words.datetime).as_slice());
    builder.append(SqlInfo::SqlSupportsConvert, conversions());
}

fn list(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

fn features(builder: &mut SqlInfoDataBuilder) {
    builder.append(SqlInfo::SqlSupportsColumnAliasing, true);
    builder.append(SqlInfo::SqlNullPlusNullIsNull, true);
    builder.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    builder.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    builder.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    builder.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    let group_by = [
        SqlSupportedGroupBy::SqlGroupByUnrelated,
        SqlSupportedGroupBy::SqlGroupByBeyondSelect,
    ];
    builder.append(SqlInfo::SqlSupportedGroupBy, bits(group_by.map(|level| level as i32)));
    builder.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    builder.append(SqlInfo::SqlSupportsNonNullableColumns, false);
    let grammar = [SupportedSqlGrammar::SqlMinimumGrammar, SupportedSqlGrammar::SqlCoreGrammar];
    builder.append(SqlInfo::SqlSupportedGrammar, bits(grammar.map(|level| level as i32)));
    builder.append(SqlInfo::SqlAnsi92SupportedLevel, ANSI92_ENTRY);
    builder.append(SqlInfo::SqlSupportsIntegrityEnhancementFacility, false);
    let joins = [
        SqlOuterJoinsSupportLevel::SqlLimitedOuterJoins,
        SqlOuterJoinsSupportLevel::SqlFullOuterJoins,
    ];
    builder.append(SqlInfo::SqlOuterJoinsSupportLevel, bits(joins.map(|level| level as i32)));
    builder.append(SqlInfo::SqlSchemasSupportedActions, 0_i32);
    builder.append(SqlInfo::SqlCatalogsSupportedActions, 0_i32);
    builder.append(SqlInfo::SqlSupportedPositionedCommands, 0_i32);
    builder.append(SqlInfo::SqlSelectForUpdateSupported, false);
    builder.append(SqlInfo::SqlStoredProceduresSupported, false);
    let subqueries = [
        SqlSupportedSubqueries::SqlSubqueriesInComparisons,
        SqlSupportedSubqueries::SqlSubqueriesInExists,
        SqlSupportedSubqueries::SqlSubqueriesInIns,
    ];
    builder.append(SqlInfo::SqlSupportedSubqueries, bits(subqueries.map(|kind| kind as i32)));
    builder.append(SqlInfo::SqlCorrelatedSubqueriesSupported, true);
    let unions = [SqlSupportedUnions::SqlUnion, SqlSupportedUnions::SqlUnionAll];
    builder.append(SqlInfo::SqlSupportedUnions, bits(unions.map(|kind| kind as i32)));
}

/// Zero is "no limit, or not known".
fn limits(builder: &mut SqlInfoDataBuilder) {
    for limit in [
        SqlInfo::SqlMaxBinaryLiteralLength,
        SqlInfo::SqlMaxCharLiteralLength,
        SqlInfo::SqlMaxColumnNameLength,
        SqlInfo::SqlMaxColumnsInGroupBy,
        SqlInfo::SqlMaxColumnsInIndex,
        SqlInfo::SqlMaxColumnsInOrderBy,
        SqlInfo::SqlMaxColumnsInSelect,
        SqlInfo::SqlMaxColumnsInTable,
        SqlInfo::SqlMaxConnections,
        SqlInfo::SqlMaxCursorNameLength,
        SqlInfo::SqlMaxIndexLength,
        SqlInfo::SqlDbSchemaNameLength,
        SqlInfo::SqlMaxProcedureNameLength,
        SqlInfo::SqlMaxCatalogNameLength,
        SqlInfo::SqlMaxRowSize,
        SqlInfo::SqlMaxStatementLength,
        SqlInfo::SqlMaxStatements,
        SqlInfo::SqlMaxTableNameLength,
        SqlInfo::SqlMaxTablesInSelect,
        SqlInfo::SqlMaxUsernameLength,
    ] {
        builder.append(limit, 0_i64);
    }
    builder.append(SqlInfo::SqlMaxRowSizeIncludesBlobs, true);
}

fn transactions_and_cursors(builder: &mut SqlInfoDataBuilder) {
    // a transaction that observes sees each statement's newest records; one that consumes, or was begun in SQL, sees one snapshot
    let read_committed = SqlTransactionIsolationLevel::SqlTransactionReadCommitted as i32;
    builder.append(SqlInfo::SqlDefaultTransactionIsolation, i64::from(read_committed));
    builder.append(SqlInfo::SqlTransactionsSupported, true);
    builder.append(SqlInfo::SqlSupportedTransactionsIsolationLevels, bits([read_committed]));
    builder.append(SqlInfo::SqlDataDefinitionCausesTransactionCommit, false);
    builder.append(SqlInfo::SqlDataDefinitionsInTransactionsIgnored, false);
    let forward_only = SqlSupportedResultSetType::SqlResultSetTypeForwardOnly as i32;
    builder.append(SqlInfo::SqlSupportedResultSetTypes, bits([forward_only]));
    let read_only = SqlSupportedResultSetConcurrency::SqlResultSetConcurrencyReadOnly as i32;
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetUnspecified, 0_i32);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetForwardOnly, bits([read_only]));
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollSensitive, 0_i32);
    builder.append(SqlInfo::SqlSupportedConcurrenciesForResultSetScrollInsensitive, 0_i32);
    builder.append(SqlInfo::SqlBatchUpdatesSupported, false);
    builder.append(SqlInfo::SqlSavepointsSupported, false);
    builder.append(SqlInfo::SqlNamedParametersSupported, false);
    builder.append(SqlInfo::SqlLocatorsUpdateCopy, false);
    builder.append(SqlInfo::SqlStoredFunctionsUsingCallSyntaxSupported, false);
}

/// What CAST does, from what Arrow's cast does.
fn conversions() -> BTreeMap<i32, Vec<i32>> {
    let types = [
        (SqlSupportsConvert::SqlConvertBigint, DataType::Int64),
        (SqlSupportsConvert::SqlConvertBit, DataType::Boolean),
        (SqlSupportsConvert::SqlConvertChar, DataType::Utf8),
        (SqlSupportsConvert::SqlConvertDate, DataType::Date32),
        (SqlSupportsConvert::SqlConvertDecimal, DataType::Decimal128(38, 10)),
        (SqlSupportsConvert::SqlConvertFloat, DataType::Float64),
        (SqlSupportsConvert::SqlConvertInteger, DataType::Int32),
        (SqlSupportsConvert::SqlConvertNumeric, DataType::Decimal128(38, 10)),
        (SqlSupportsConvert::SqlConvertReal, DataType::Float32),
        (SqlSupportsConvert::SqlConvertSmallint, DataType::Int16),
        (
            SqlSupportsConvert::SqlConvertTimestamp,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
        ),
        (SqlSupportsConvert::SqlConvertTinyint, DataType::Int8),
        (SqlSupportsConvert::SqlConvertVarbinary, DataType::Binary),
        (SqlSupportsConvert::SqlConvertVarchar, DataType::Utf8),
    ];
    types
        .iter()
        .map(|(from, from_type)| {
            let to = types.iter().filter(|(_, to_type)| can_cast_types(from_type, to_type));
            (*from as i32, to.map(|(to, _)| *to as i32).collect())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::UInt32Type;

    use super::*;

    /// Type ids of the union's children, by FlightSql.proto: 0 string, 1 bool, 2 bigint, 3 bitmask, 4 list, 5 map.
    fn classes() -> BTreeMap<u32, i8> {
        let batch = batch(CommandGetSqlInfo { info: vec![] }, &SqlWords::default()).unwrap();
        let codes = batch.column(0).as_primitive::<UInt32Type>();
        let values = batch.column(1).as_union();
        (0..batch.num_rows()).map(|row| (codes.value(row), values.type_id(row))).collect()
    }

    #[test]
    fn every_code_is_there() {
        let codes: Vec<u32> = classes().into_keys().collect();
        let expected: Vec<u32> = (0..=11).chain([100, 101]).chain(500..=576).collect();
        assert_eq!(codes, expected);
    }

    #[test]
    fn classes_are_those_that_jdbc_casts_to() {
        let classes = classes();
        let long = (541..=555).chain(557..=562);
        let integer = [522, 525, 526, 528, 533, 534, 535, 538, 540, 564, 567, 568, 569, 570, 571];
        let flag = [
            3, 4, 5, 9, 10, 11, 500, 501, 502, 506, 515, 516, 518, 519, 520, 521, 523, 524, 527, 532, 536, 537, 539, 556, 563, 565, 566,
            572, 573, 574, 575, 576,
        ];
        let text = [0, 1, 2, 504, 513, 514, 529, 530, 531];
        let checks = long
            .map(|code| (code, 2))
            .chain(integer.map(|code| (code, 3)))
            .chain(flag.map(|code| (code, 1)))
            .chain(text.map(|code| (code, 0)))
            .chain((508..=512).map(|code| (code, 4)))
            .chain([(517, 5), (8, 3)]);
        for (code, class) in checks {
            assert_eq!(classes[&code], class, "code {code}");
        }
    }

    #[test]
    fn asks_for_codes_get_those_codes() {
        let batch = batch(CommandGetSqlInfo { info: vec![8, 9_999] }, &SqlWords::default()).unwrap();
        assert_eq!(batch.num_rows(), 1);
        let values = batch.column(1).as_union();
        assert_eq!(values.value(0).to_data().buffers()[0].typed_data::<i32>(), [1]);
    }
}
