//! Statements about definitions, and streams without one.

use std::collections::BTreeSet;

use super::*;

impl World {
    /// Runs a statement that gives its rows when it is planned.
    async fn run_now(&self, sql: &str) -> Result<Vec<String>, EngineError> {
        let request = StatementRequest::new(sql);
        match self.engine.plan(&self.session, request).await? {
            Planned::Done(done) => Ok(texts(&done.batches)),
            Planned::Query(_) => panic!("{sql} is a query"),
        }
    }

    async fn category(&self, sql: &str) -> ErrorCategory {
        self.run_now(sql).await.expect_err(sql).category()
    }

    fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self._directory.path()).unwrap();
        let mut names: Vec<String> = names.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.retain(|name| !name.starts_with("datafusion"));
        names.sort();
        names
    }
}

const CREATE: &str = "create external table web.hits (id bigint path 'n' comment 'its number', word varchar, secret bigint path 'n' hidden)
    stored as kinesis location 'kinesis://s' comment 'it''s a table' options (format 'json', start 'latest', bad_records 'skip')";

#[tokio::test]
async fn a_table_lives_from_create_to_drop() {
    let world = World::with_rows(2, 10);
    assert!(world.run_now(CREATE).await.unwrap().is_empty());
    let all = "/*+ start='trim_horizon' */ select";
    assert_eq!(
        world.rows(&format!("{all} sum(id), count(word) from web.hits")).await.unwrap(),
        ["45|10"]
    );
    assert_eq!(world.files(), ["table.yaml", "web.hits.yaml"]);
    assert_eq!(
        world.run_now("describe web.hits").await.unwrap(),
        ["id|bigint|YES|its number", "word|varchar|YES|NULL"]
    );

    // What is shown makes the same table again.
    let shown = world.run_now("show create table web.hits").await.unwrap().remove(0);
    let before = Arc::clone(world.engine.catalog().current().tables.values().next_back().unwrap());
    world
        .run_now(&shown.replace("CREATE EXTERNAL", "CREATE OR REPLACE EXTERNAL"))
        .await
        .unwrap();
    let after = Arc::clone(world.engine.catalog().current().tables.values().next_back().unwrap());
    assert_eq!(before, after, "{shown}");

    assert_eq!(world.category(CREATE).await, ErrorCategory::AlreadyExists);
    world
        .run_now(&CREATE.replace("table web", "table if not exists web").replace("'n' hidden", "'x'"))
        .await
        .unwrap();
    assert_eq!(after, *world.engine.catalog().current().tables.values().next_back().unwrap());

    world
        .run_now("alter table web.hits add column half double path 'n' comment 'not half'")
        .await
        .unwrap();
    assert_eq!(world.rows(&format!("{all} sum(half) from web.hits")).await.unwrap(), ["45.0"]);
    assert_eq!(
        world.category("alter table web.hits add column HALF double").await,
        ErrorCategory::AlreadyExists
    );
    world
        .run_now("alter table web.hits add column if not exists half double")
        .await
        .unwrap();

    world.run_now("drop table web.hits").await.unwrap();
    assert_eq!(world.files(), ["table.yaml"]);
    assert_eq!(world.category("drop table web.hits").await, ErrorCategory::NotFound);
    world.run_now("drop table if exists web.hits").await.unwrap();
    assert_eq!(world.category("describe web.hits").await, ErrorCategory::NotFound);
    assert!(!world.run_now("describe system.streams").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_ticket_keeps_the_definition_that_it_was_planned_with() {
    let world = World::with_rows(1, 3);
    let planned = world.plan("select n from t", false).await.unwrap();
    world
        .run_now("create or replace external table t (n varchar path 'word') stored as kinesis location 'kinesis://s'")
        .await
        .unwrap();
    assert_eq!(world.rows("select n from t").await.unwrap(), ["w0", "w1", "w2"]);
    let mut rows = texts(&world.run(planned.parts[0].clone()).await.unwrap());
    rows.sort();
    assert_eq!(rows, ["0", "1", "2"]);
    world.run_now("drop table t").await.unwrap();
    assert_eq!(world.run(planned.parts[0].clone()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_definition_file_shows_no_secrets() {
    let world = World::new(1);
    let yaml = "table: own\nstream: s\nkinesis: { region: r, external_id: hush, role_arn: 'arn:aws:iam::1:role/r' }
start: -1h\ncolumns:\n  - { name: A b, path: x~1y/0, type: 'map<varchar, double>', hidden: true }\n";
    std::fs::write(world._directory.path().join("own.yaml"), yaml).unwrap();
    world.engine.catalog().refresh();
    let shown = world.run_now("show create table own").await.unwrap().remove(0);
    let expected = "CREATE EXTERNAL TABLE default.own (
  \"A b\" map<varchar, double> PATH 'x~1y/0' HIDDEN
)
STORED AS KINESIS
LOCATION 'kinesis://s'
OPTIONS (
  kinesis.region 'r',
  start '-1h'
)";
    assert_eq!(shown, expected);
}

#[tokio::test]
async fn preparing_changes_nothing() {
    let world = World::new(1);
    for (sql, is_update) in [
        (CREATE, true),
        ("drop table t", true),
        ("show create table t", false),
        ("describe t", false),
    ] {
        let prepared = world
            .engine
            .prepare(&world.session, sql, &OptionValues::default(), None)
            .await
            .unwrap();
        assert_eq!((prepared.is_update, prepared.schema.is_none()), (is_update, is_update), "{sql}");
    }
    assert_eq!(world.files(), ["table.yaml"]);
}

#[tokio::test]
async fn columns_are_inferred() {
    let world = World::new(2);
    let create = "create external table guessed stored as kinesis location 'kinesis://s'";
    assert_eq!(
        world.category(create).await,
        ErrorCategory::FailedPrecondition,
        "there are no records"
    );
    let ids = world.source.shard_ids();
    world.put(&ids[0], r#"{"eventTime":1719828672123,"Host":"a","size":1}"#);
    world.put(&ids[1], r#"{"size":2.5,"ok":true,"seen":"2024-07-01T10:11:12Z"}"#);
    world.put(&ids[1], "no JSON");
    world.run_now(create).await.unwrap();
    let mut described = world.run_now("describe guessed").await.unwrap();
    described.sort();
    assert_eq!(
        described,
        [
            "eventtime|timestamp(ms)|YES|NULL",
            "host|varchar|YES|NULL",
            "ok|boolean|YES|NULL",
            "seen|timestamp(s)|YES|NULL",
            "size|double|YES|NULL"
        ]
    );
    assert_eq!(
        world.rows("select sum(size), max(seen) from guessed").await.unwrap(),
        ["3.5|2024-07-01T10:11:12"]
    );

    // Later records bring more; the definition is extended, and what it says stays.
    world.put(&ids[0], r#"{"size":"large","more":{"x":1}}"#);
    let base = Arc::clone(world.engine.catalog().current().tables.values().next().unwrap());
    let proposal = world.engine.propose("me", "s", "unused", Some((&*base, None)), 100).await.unwrap();
    let extended = catalog::TableDefinition::from_yaml(&proposal.yaml).unwrap();
    assert_eq!(extended.columns[..base.columns.len()], base.columns[..]);
    assert_eq!(extended.columns[base.columns.len()].name, "more");
    assert_eq!((proposal.records, proposal.unreadable), (4, 1));
}

#[tokio::test]
async fn columns_of_csv_are_inferred() {
    let world = World::new(1);
    let id = world.source.shard_ids()[0].clone();
    world.put(&id, "Id;when/at;x\n1;2024-07-01 10:00:00;a");
    world.put(&id, "Id;when/at;x\n2;2024-07-01 11:00:00;b");
    let create = "create external table c stored as kinesis location 'kinesis://s' options ('format.csv.header' true, format 'csv', 'format.csv.delimiter' ';')";
    world.run_now(create).await.unwrap();
    assert_eq!(
        world.run_now("describe c").await.unwrap(),
        ["id|bigint|YES|NULL", "when_at|timestamp(s)|YES|NULL", "x|varchar|YES|NULL"]
    );
    let shown = world.run_now("show create table c").await.unwrap().remove(0);
    assert!(
        shown.contains("PATH 'when/at'") && shown.contains("format.csv.header true"),
        "{shown}"
    );
    world.run_now(&shown.replace("CREATE", "CREATE OR REPLACE")).await.unwrap();
    assert_eq!(
        world
            .category("create external table r stored as kinesis location 'kinesis://s' options (format 'raw')")
            .await,
        ErrorCategory::InvalidArgument
    );
}

#[tokio::test]
async fn a_stream_without_a_definition_may_be_of_any_format_whose_columns_are_known() {
    let world = World::new(1);
    let id = world.source.shard_ids()[0].clone();
    world.put(&id, "id;when\n1;a\n2;b");
    world.put(&id, "id;when\n3;c");
    let csv = r#"kinesis_stream('s', format => '{ csv: { header: true, delimiter: ";" } }')"#;
    assert_eq!(
        world.rows(&format!("select sum(id), max(\"when\") from {csv}")).await.unwrap(),
        ["6|c"]
    );
    // The same stream in several ways, in one statement.
    let two = format!(
        "select (select count(*) from kinesis_stream('s', format => 'csv')) as a, (select count(*) from {csv}) as b, (select count(*) from kinesis_stream('s')) as c"
    );
    assert_eq!(world.rows(&two).await.unwrap(), ["5|3|2"]);
    for (wrong, category) in [
        ("'s', format => 'nonsense'", ErrorCategory::InvalidArgument),
        ("'s', format => '{ csv: { separator: x } }'", ErrorCategory::InvalidArgument),
        ("'s', format => 'raw'", ErrorCategory::InvalidArgument),
        ("'s', format => 1", ErrorCategory::InvalidArgument),
        ("'s', kind => 'csv'", ErrorCategory::InvalidArgument),
        (
            "'s', format => '{ avro: { schema_file: x.avsc } }'",
            ErrorCategory::PermissionDenied,
        ),
        (
            "'s', format => '{ avro: { framing: confluent, registry: \"http://x\" } }'",
            ErrorCategory::PermissionDenied,
        ),
    ] {
        let sql = format!("select * from kinesis_stream({wrong})");
        assert_eq!(world.plan(&sql, false).await.expect_err(wrong).category(), category, "{wrong}");
    }
}

#[tokio::test]
async fn columns_of_avro_are_declared() {
    let world = World::new(1);
    let schema = r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"},{"name":"Text","type":["null","string"]}]}"#;
    // No record is needed for it.
    let create = format!("create external table a stored as kinesis location 'kinesis://s' options ('format.avro.schema' '{schema}')");
    world.run_now(&create).await.unwrap();
    assert_eq!(
        world.run_now("describe a").await.unwrap(),
        ["n|bigint|YES|NULL", "text|varchar|YES|NULL"]
    );
    world.put(&world.source.shard_ids()[0].clone(), "\u{54}\u{2}\u{2}x");
    assert_eq!(world.rows("select n, text from a").await.unwrap(), ["42|x"]);

    // The schema of a file beside the definition stays there.
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("r.avsc"), schema).unwrap();
    let text = "table: t\nstream: s\nformat: { avro: { schema_file: r.avsc } }\ncolumns:\n  - { name: n, type: integer }\n";
    let base = catalog::TableDefinition::from_yaml_file(text, "default", directory.path()).unwrap();
    let proposal = world
        .engine
        .propose("me", "s", "unused", Some((&base, Some(text.to_owned()))), 100)
        .await
        .unwrap();
    let extended = catalog::TableDefinition::from_yaml_file(&proposal.yaml, "default", directory.path()).unwrap();
    let types: Vec<String> = extended.columns.iter().map(|column| column.column_type.to_string()).collect();
    assert_eq!(types, ["integer", "varchar"]);
    assert!(proposal.yaml.contains("r.avsc"), "{}", proposal.yaml);
}

#[tokio::test]
async fn a_stream_needs_no_definition() {
    let world = World::with_rows(3, 30);
    let sql = "select sum(s.n), count(distinct _shard_id) from kinesis_stream('elsewhere') s";
    assert_eq!(world.rows(sql).await.unwrap(), ["435|3"]);
    assert_eq!(
        world
            .rows("select count(*) from kinesis_stream('elsewhere') where kinesis_stream.word = 'w1'")
            .await
            .unwrap(),
        ["6"]
    );
    let both = "select count(*) from kinesis_stream('a') a join (select n from kinesis_stream('b')) b on a.n = b.n";
    assert_eq!(world.rows(both).await.unwrap(), ["30"]);
    let planned = world.plan("select * from kinesis_stream('elsewhere')", true).await.unwrap();
    assert_eq!(planned.schema.fields().len(), 2, "hidden columns stay hidden");
    assert_eq!(planned.parts.len(), 3);
    // A ticket needs no second look at the stream.
    world.put(&world.source.shard_ids()[0].clone(), r#"{"n":"now a text"}"#);
    let mut rows = 0;
    for part in planned.parts {
        rows += texts(&world.run(part).await.unwrap()).len();
    }
    assert_eq!(rows, 30);
    for wrong in [
        "select * from kinesis_stream()",
        "select * from kinesis_stream('a', 'b')",
        "select * from kinesis_stream(1)",
    ] {
        assert_eq!(
            world.plan(wrong, false).await.expect_err(wrong).category(),
            ErrorCategory::InvalidArgument
        );
    }
}

#[tokio::test]
async fn a_stream_without_documents_has_hidden_columns() {
    let world = World::new(1);
    assert_eq!(
        world.rows("select _message from kinesis_stream('s')").await.unwrap(),
        Vec::<String>::new()
    );
    world.put(&world.source.shard_ids()[0].clone(), "text");
    assert_eq!(
        world
            .rows("select _message->>'a', cast(_message as varchar) from kinesis_stream('s')")
            .await
            .unwrap(),
        ["NULL|text"]
    );
}

#[tokio::test]
async fn tables_over_one_stream_share_what_is_read() {
    let world = World::with_rows(2, 100);
    for name in ["a", "b", "c"] {
        let create = format!("create external table {name} (n bigint) stored as kinesis location 'kinesis://s'");
        world.run_now(&create).await.unwrap();
    }
    assert_eq!(world.rows("select sum(n) from a").await.unwrap(), ["4950"]);
    let before = world.source.calls();
    let cached = "/*+ freshness='cached' */ select";
    for table in ["b", "c"] {
        assert_eq!(world.rows(&format!("{cached} sum(n) from {table}")).await.unwrap(), ["4950"]);
    }
    let joined = format!("{cached} count(*) from a join b on a.n = b.n join c on a.n = c.n");
    assert_eq!(world.rows(&joined).await.unwrap(), ["100"]);
    let after = world.source.calls();
    assert_eq!((after.open, after.read), (before.open, before.read), "nothing is read again");
    // A sample is taken at the tip, which takes a look at it; its records are those that are held.
    assert_eq!(world.rows("select sum(n) from kinesis_stream('s')").await.unwrap(), ["4950"]);
    assert_eq!(world.source.calls().records, before.records);
}

#[tokio::test]
async fn what_is_not_allowed_is_denied() {
    let source = Arc::new(MemorySource::new(1));
    let rules = DefinitionRules {
        changes: true,
        streams: AllowedStreams::new(["clicks-*"]).unwrap(),
        roles: Patterns::default(),
    };
    let world = World::ruled(source, rules);
    let create = |stream: &str, options: &str| {
        format!(
            "create or replace external table x (n bigint) stored as kinesis location 'kinesis://{stream}' options (format 'json'{options})"
        )
    };
    world.run_now(&create("clicks-eu", "")).await.unwrap();
    world.run_now(&create("s", "")).await.unwrap();
    for (sql, category) in [
        (create("other", ""), ErrorCategory::PermissionDenied),
        (create("s", ", kinesis.region 'eu-west-1'"), ErrorCategory::PermissionDenied),
        (
            create("s", ", kinesis.endpoint 'http://127.0.0.1:1'"),
            ErrorCategory::PermissionDenied,
        ),
        (
            create("s", ", 'kinesis.role_arn' 'arn:aws:iam::1:role/r'"),
            ErrorCategory::PermissionDenied,
        ),
        (
            create("s", ", 'format.avro.schema_file' '/etc/hostname'"),
            ErrorCategory::PermissionDenied,
        ),
        (
            create("s", ", 'format.protobuf.descriptor' '/etc/hostname'"),
            ErrorCategory::PermissionDenied,
        ),
        (create("s", ", stream 'other'"), ErrorCategory::InvalidArgument),
        (create("s", ", formt 'json'"), ErrorCategory::InvalidArgument),
        (create("s", "").replace("kinesis://", "s3://"), ErrorCategory::InvalidArgument),
        (create("s", "").replace("n bigint", "n bigin"), ErrorCategory::InvalidArgument),
        (create("s", "").replace("table x", "table system.x"), ErrorCategory::InvalidArgument),
        (create("s", "").replace("table x", "table other.default.x"), ErrorCategory::NotFound),
    ] {
        assert_eq!(world.category(&sql).await, category, "{sql}");
    }
    let denied = world
        .plan("select * from kinesis_stream('other')", false)
        .await
        .expect_err("denied");
    assert_eq!(denied.category(), ErrorCategory::PermissionDenied);

    let fixed = World::ruled(Arc::new(MemorySource::new(1)), DefinitionRules::default());
    for sql in [create("s", ""), "drop table t".into(), "alter table t add column x bigint".into()] {
        assert_eq!(fixed.category(&sql).await, ErrorCategory::PermissionDenied, "{sql}");
    }
    assert_eq!(fixed.run_now("describe t").await.unwrap().len(), 2);
}

/// Blocks of a language in a document.
fn blocks<'a>(document: &'a str, language: &str) -> Vec<&'a str> {
    let opened = format!("```{language}\n");
    let mut found = Vec::new();
    let mut rest = document;
    while let Some((_, after)) = rest.split_once(&opened) {
        let (block, tail) = after.split_once("```").expect("a closed block");
        found.push(block);
        rest = tail;
    }
    found
}

#[tokio::test]
async fn what_the_documentation_shows_works() {
    let document = include_str!("../../../../docs/definitions.md");
    for yaml in blocks(document, "yaml") {
        catalog::TableDefinition::from_yaml(yaml).expect(yaml);
    }
    let world = World::new(1);
    let statements = blocks(document, "sql");
    assert_eq!(statements.len(), 1);
    for sql in statements {
        world.run_now(sql).await.expect(sql);
        let described = world.run_now("describe web.requests").await.unwrap();
        assert_eq!(
            described,
            ["host|varchar|YES|who asked", "at|timestamp(s)|YES|NULL", "size|bigint|YES|NULL"]
        );
    }
    let functions = include_str!("../../../../docs/functions.md");
    let rows = functions.lines().filter(|line| line.starts_with("| `"));
    let names: BTreeSet<&str> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap_or_default().split('`'))
        .map(|code| code.split('(').next().unwrap_or_default())
        .filter(|name| name.contains("json"))
        .collect();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let error = world
            .plan(&format!("select {name}()"), false)
            .await
            .expect_err("it takes arguments");
        assert!(!error.to_string().contains("Invalid function"), "{error}");
    }
}

#[tokio::test]
async fn columns_of_log_lines_and_envelopes_are_known() {
    let source = Arc::new(MemorySource::new(1));
    let shard = source.shard_ids()[0].clone();
    let line = r#"h - - [01/Aug/1995:00:00:01 -0400] "GET / HTTP/1.0" 200 1839 "-" "agent""#;
    source.put(&shard, "key", line.as_bytes()).unwrap();
    source.put(&shard, "key", b"no line").unwrap();
    let world = World::over(source);
    let create = "create external table lines stored as kinesis location 'kinesis://s' options (format 'combined')";
    world.run_now(create).await.unwrap();
    let sql = "select host, time, request, status, bytes, referer, user_agent from lines where _message_valid";
    let rows = world.rows(sql).await.unwrap();
    assert_eq!(rows, ["h|1995-08-01T04:00:01|GET / HTTP/1.0|200|1839|NULL|agent"]);
    for format in ["clf", "cloudwatch_logs", "cloudevents"] {
        let create = format!("create external table {format} stored as kinesis location 'kinesis://s' options (format '{format}')");
        world.run_now(&create).await.unwrap();
    }
    assert_eq!(world.run_now("describe cloudwatch_logs").await.unwrap().len(), 6);
    assert_eq!(world.run_now("describe cloudevents").await.unwrap().len(), 8);
    let error = world
        .run_now("create external table other stored as kinesis location 'kinesis://s' options (format 'raw')")
        .await
        .expect_err("ranges of bytes are not to be guessed");
    assert!(error.to_string().contains("they are given"), "{error}");
}
