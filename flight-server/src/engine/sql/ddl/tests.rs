use super::super::{StatementKind, parse};
use super::{DdlColumn, DdlStatement, Literal};

fn ddl(sql: &str) -> DdlStatement {
    match parse(sql).expect("a statement").kind {
        StatementKind::Definition(statement) => statement,
        other => panic!("{sql}: {other:?}"),
    }
}

fn refused(sql: &str) -> String {
    parse(sql).expect_err(sql).to_string()
}

fn text(text: &str) -> Literal {
    Literal::Text(text.to_owned())
}

#[test]
fn create_with_types_as_definitions_write_them() {
    let DdlStatement::Create(create) = ddl("
        create or replace external table Web.\"Hits\" (
            host varchar,
            at timestamp(ms) with time zone path 'time/stamp' FORMAT '%d, (%b' comment 'it''s, then',
            \"Deep\" row<a bigint, b array<map<varchar,bigint>>> hidden,
            price decimal(10, 2) null
        )
        stored as kinesis location 'kinesis://hits'
        comment 'all of them'
        options (format 'json', 'event_time.column' = at, event_time.early '5m', x.y -7, z true);")
    else {
        panic!("not CREATE")
    };
    assert_eq!(create.name.to_string(), "Web.\"Hits\"");
    assert!(create.or_replace && !create.if_not_exists);
    let column = |name: &str, column_type: &str, keys: Vec<(&str, Literal)>| DdlColumn {
        name: name.to_owned(),
        column_type: column_type.to_owned(),
        keys: keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
    };
    let expected = [
        column("host", "varchar", vec![]),
        column(
            "at",
            "timestamp(ms) with time zone",
            vec![
                ("path", text("time/stamp")),
                ("format", text("%d, (%b")),
                ("comment", text("it's, then")),
            ],
        ),
        column(
            "Deep",
            "row<a bigint, b array<map<varchar, bigint>>>",
            vec![("hidden", Literal::Boolean(true))],
        ),
        column("price", "decimal(10, 2)", vec![]),
    ];
    assert_eq!(create.columns.as_deref(), Some(&expected[..]));
    assert_eq!(create.location, "kinesis://hits");
    let expected = [
        ("comment", text("all of them")),
        ("format", text("json")),
        ("event_time.column", text("at")),
        ("event_time.early", text("5m")),
        ("x.y", Literal::Number("-7".into())),
        ("z", Literal::Boolean(true)),
    ];
    assert_eq!(create.options, expected.map(|(key, value)| (key.to_owned(), value)));
}

#[test]
fn the_other_statements() {
    let DdlStatement::Create(create) = ddl("CREATE EXTERNAL TABLE IF NOT EXISTS t STORED AS KINESIS LOCATION 'kinesis://s'") else {
        panic!("not CREATE")
    };
    assert!(create.columns.is_none() && create.if_not_exists);
    assert!(matches!(
        ddl("drop table if exists kinesis.default.t;"),
        DdlStatement::Drop { if_exists: true, .. }
    ));
    let DdlStatement::AddColumn { column, if_not_exists, .. } = ddl("alter table t add column if not exists n bigint path 'a/n'") else {
        panic!("not ALTER")
    };
    assert!(if_not_exists);
    assert_eq!((column.name.as_str(), column.column_type.as_str()), ("n", "bigint"));
    assert!(matches!(ddl("show create table t"), DdlStatement::ShowCreate(_)));
    for sql in ["describe t", "DESC web.t", "describe table t;"] {
        assert!(matches!(ddl(sql), DdlStatement::Describe(_)), "{sql}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (sql, part) in [
        ("create external table t (a bigint) stored as orc location 'x'", "STORED AS KINESIS"),
        (
            "create external table t stored as kinesis location 'kinesis://s' partitioned by (a)",
            "files in folders",
        ),
        (
            "create external table t stored as csv location 's3://bucket' partitioned by ()",
            "the name of a column",
        ),
        ("create external table t (a bigint) stored as kinesis", "expected LOCATION"),
        (
            "create external table t (a bigint) location 'kinesis://s'",
            "expected STORED AS KINESIS",
        ),
        (
            "create external table t (a) stored as kinesis location 's'",
            "expected a type, found `)` at line 1, column 27",
        ),
        ("create external table t (a bigint b) stored as kinesis location 's' x", "found `x`"),
        (
            "create external table t (a bigint not null) stored as kinesis location 's'",
            "NOT NULL",
        ),
        (
            "create external table t (a bigint,) stored as kinesis location 's'",
            "the name of a column",
        ),
        ("create external table t () stored as kinesis location 's'", "the name of a column"),
        ("create external table t stored as kinesis location 's' options (a", "found the end"),
        ("drop table a, b", "the end of the statement"),
        ("drop table", "the name of a table"),
        ("alter table t drop column a", "ADD COLUMN"),
        ("alter table t add column a bigint; drop table t", "the end of the statement"),
        ("show create table", "the name of a table"),
    ] {
        let error = refused(sql);
        assert!(error.contains(part), "{sql}: {error}");
    }
}
