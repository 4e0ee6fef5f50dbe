//! What a statement becomes before it is planned.

use datafusion::sql::parser::Statement as DfStatement;

use super::{Named, StatementKind, TransactionStatement, parse};
use crate::engine::EngineError;

#[test]
fn a_statement_has_a_longest_text() {
    let of_length = |length: usize| format!("select '{}'", "x".repeat(length - 9));
    assert!(parse(&of_length(1 << 20)).is_ok());
    let error = parse(&of_length((1 << 20) + 1)).unwrap_err().to_string();
    assert_eq!(error, "the statement is longer than 1048576 bytes");
}

/// Rewrites a statement in which tables `a` and `b` expose `_shard_id`, and gives its text.
fn rewritten(sql: &str) -> Result<String, EngineError> {
    let mut parsed = parse(sql)?;
    let mut lookup = |schema: &str, table: &str, _: bool| match (schema, table) {
        ("default", "a" | "b") => Ok(Named::Table(vec!["_shard_id".to_owned()])),
        ("default", "plain") => Ok(Named::Table(Vec::new())),
        _ => Err(EngineError::NotFound(format!("{schema}.{table}"))),
    };
    parsed.rewrite("default", &mut lookup)?;
    match parsed.kind {
        StatementKind::Query(statement) => match *statement {
            DfStatement::Statement(statement) => Ok(statement.to_string()),
            other => Ok(other.to_string()),
        },
        other => panic!("{other:?} is no query"),
    }
}

#[test]
fn a_wildcard_skips_hidden_columns() {
    assert_eq!(
        rewritten("select *, _shard_id from a").expect("one table"),
        "SELECT * EXCLUDE (\"_shard_id\"), _shard_id FROM a"
    );
    assert_eq!(rewritten("select * from plain").expect("nothing hidden"), "SELECT * FROM plain");
    assert_eq!(
        rewritten("select a.* from a").expect("qualified"),
        "SELECT a.* EXCLUDE (\"_shard_id\") FROM a"
    );
    assert_eq!(
        rewritten("select * exclude (x) from a").expect("own exclude"),
        "SELECT * EXCLUDE (x, \"_shard_id\") FROM a"
    );
}

#[test]
fn several_relations_are_named_one_by_one() {
    assert_eq!(
        rewritten("select * from a x join plain p on x.k = p.k").expect("a join"),
        "SELECT x.* EXCLUDE (\"_shard_id\"), p.* FROM a x JOIN plain p ON x.k = p.k"
    );
    assert_eq!(
        rewritten("select * from a join b using (k)").expect("merged columns"),
        "SELECT a.* EXCLUDE (\"_shard_id\"), b.* EXCLUDE (\"_shard_id\", \"k\") FROM a JOIN b USING(k)"
    );
    assert!(matches!(
        rewritten("select * from a natural join b"),
        Err(EngineError::NotSupported(_))
    ));
    assert!(matches!(
        rewritten("select * from a, (select 1)"),
        Err(EngineError::NotSupported(_))
    ));
}

#[test]
fn common_table_expressions_hide_tables_of_their_name_and_only_where_they_are_in_scope() {
    assert_eq!(
        rewritten("with a as (select *, _shard_id from a) select * from a").expect("a shadowed table"),
        "WITH a AS (SELECT * EXCLUDE (\"_shard_id\"), _shard_id FROM a) SELECT * FROM a"
    );
    assert_eq!(
        rewritten("select * from (with c as (select 1 as k) select * from c) d").expect("an inner scope"),
        "SELECT * FROM (WITH c AS (SELECT 1 AS k) SELECT * FROM c) d"
    );
    assert!(matches!(
        rewritten("select * from (with c as (select 1) select * from c) d, c"),
        Err(EngineError::NotFound(_))
    ));
}

#[test]
fn subqueries_in_expressions_are_reached() {
    assert_eq!(
        rewritten("select 1 where exists (select * from a)").expect("exists"),
        "SELECT 1 WHERE EXISTS (SELECT * EXCLUDE (\"_shard_id\") FROM a)"
    );
    assert!(matches!(
        rewritten("select (select max(k) from missing)"),
        Err(EngineError::NotFound(_))
    ));
    assert!(matches!(
        rewritten("select k from a order by (select 1 from missing)"),
        Err(EngineError::NotFound(_))
    ));
}

#[test]
fn sequence_numbers_are_padded_where_they_are_compared() {
    let sql = rewritten("select 1 from a where _shard_sequence_id > 7 and '8' >= a._shard_sequence_id and _shard_sequence_id in ('9')")
        .expect("a filter");
    for digit in ["7", "8", "9"] {
        assert!(sql.contains(&format!("'{digit:0>57}'")), "{sql}");
    }
    assert!(
        rewritten("select 1 from a where k = '7'")
            .expect("another column")
            .contains("k = '7'")
    );
}

#[test]
fn a_statement_may_be_followed() {
    for sql in [
        "follow select * from plain",
        "/*+ start='latest' */ FOLLOW\nselect 1",
        "-- ü\n /* FOLLOW */ Follow with c as (select 1 as k) select * from c",
        "follow (select 1)",
        "explain verbose follow select 1",
    ] {
        assert!(parse(sql).expect(sql).follow, "{sql}");
    }
    for sql in [
        "select follow from a",
        "select 1 as follow",
        "select * from follow",
        "with follow as (select 1) select * from follow",
    ] {
        assert!(!parse(sql).expect(sql).follow, "{sql}");
    }
    assert_eq!(
        rewritten("follow select * from a").expect("one table"),
        "SELECT * EXCLUDE (\"_shard_id\") FROM a"
    );
    for (sql, place) in [
        ("/* é */ follow select * fromm a", "line: 1, column: 25"),
        ("follow set kinesis.start = 'latest'", "column 1"),
        ("follow follow select 1", "column 1"),
        ("follow", "column 1"),
    ] {
        let error = parse(sql).expect_err(sql);
        assert_eq!(error.category(), crate::engine::ErrorCategory::InvalidArgument, "{sql}: {error}");
        assert!(error.to_string().to_lowercase().contains(place), "{sql}: {error}");
    }
    // the word is blanked, not cut out
    let place = |sql: &str| {
        let text = parse(sql).expect_err(sql).to_string();
        text[text.rfind("Line").or(text.rfind("line")).unwrap_or(0)..].to_owned()
    };
    assert_eq!(place("follow select * fromm a"), place("       select * fromm a"));
    assert!(matches!(
        parse("explain analyze follow select 1"),
        Err(EngineError::NotSupported(_))
    ));
}

#[test]
fn other_statements_are_options_or_refused_with_a_reason() {
    assert!(
        matches!(parse("SET kinesis.start = '-1h'").expect("an option").kind, StatementKind::Set { name, value } if name == "kinesis.start" && value == "-1h")
    );
    assert!(matches!(parse("SET TIME ZONE 'UTC'").expect("a zone").kind, StatementKind::Set { name, .. } if name == "time_zone"));
    assert!(
        matches!(parse("RESET kinesis.start").expect("an option").kind, StatementKind::Reset { name: Some(name) } if name == "kinesis.start")
    );
    assert!(matches!(parse("SHOW ALL").expect("all").kind, StatementKind::Show { name: None }));
    for (sql, expected) in [
        ("BEGIN", TransactionStatement::Begin),
        ("start transaction", TransactionStatement::Begin),
        ("begin work;", TransactionStatement::Begin),
        ("COMMIT", TransactionStatement::Commit),
        ("commit work", TransactionStatement::Commit),
        ("rollback", TransactionStatement::Rollback),
    ] {
        assert!(
            matches!(parse(sql).expect(sql).kind, StatementKind::Transaction(found) if found == expected),
            "{sql}"
        );
    }
    for sql in [
        "SET datafusion.sql_parser.dialect = 'snowflake'",
        "SET datafusion.runtime.memory_limit = '1G'",
        "CREATE EXTERNAL TABLE t STORED AS ORC LOCATION 's3://bucket/x'",
        "EXPLAIN COPY (SELECT 1) TO 's3://bucket/x.csv'",
        "EXPLAIN ANALYZE COPY (SELECT 1) TO 's3://bucket/x.csv'",
        "CREATE TABLE t (a bigint PRIMARY KEY)",
        "CREATE TABLE t (a bigint) WITH (x = 1)",
        "CREATE TABLE t (a bigint, UNIQUE (a))",
        "CREATE MATERIALIZED VIEW v AS SELECT 1",
        "CREATE SCHEMA s",
        "UPDATE a SET b = 1",
        "DELETE FROM a WHERE b = 1",
        "INSERT INTO a VALUES (1) RETURNING b",
        "INSERT OVERWRITE a VALUES (1)",
        "DROP SCHEMA a",
        "SAVEPOINT a",
        "ROLLBACK TO SAVEPOINT a",
        "COMMIT AND CHAIN",
        "EXPLAIN BEGIN",
        "EXPLAIN ANALYZE INSERT INTO a VALUES (1)",
        "PREPARE p AS SELECT 1",
    ] {
        match parse(sql) {
            Err(EngineError::NotSupported(reason)) => assert!(reason.len() > 20, "{sql}: {reason}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
    for sql in ["", "select 1; select 2", "selec 1", "select 'open"] {
        let error = parse(sql).expect_err(sql);
        assert_eq!(error.category(), crate::engine::ErrorCategory::InvalidArgument, "{sql}: {error}");
    }
    assert!(rewritten("select * from a for system_time as of '2020-01-01'").is_err());
}
