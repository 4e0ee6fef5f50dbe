//! INSERT and ingest over a stream in memory.

use datafusion::arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use futures::{StreamExt, stream};
use shard_reader::{PutFate, SourceErrorKind};

use super::*;

impl World {
    /// What a statement that is no query did.
    async fn done(&self, sql: &str) -> Result<DoneResult, EngineError> {
        self.done_with(sql, None).await
    }

    async fn done_with(&self, sql: &str, parameters: Option<RecordBatch>) -> Result<DoneResult, EngineError> {
        let request = StatementRequest {
            per_shard: true,
            parameters,
            ..StatementRequest::new(sql)
        };
        match self.engine.plan(&self.session, request).await? {
            Planned::Done(done) => Ok(done),
            Planned::Query(_) => panic!("{sql} is a query"),
        }
    }

    async fn inserted(&self, sql: &str) -> Result<u64, EngineError> {
        let done = self.done(sql).await?;
        let count = done.affected.unwrap();
        assert_eq!(texts(&done.batches), [count.to_string()]);
        Ok(count)
    }

    /// Data of all records, sorted.
    fn records(&self) -> Vec<String> {
        let shards = self.source.shard_ids();
        let logs = shards.iter().flat_map(|shard| self.source.log(shard));
        let mut records: Vec<String> = logs.map(|(_, data)| String::from_utf8(data).unwrap()).collect();
        records.sort();
        records
    }

    async fn refused(&self, sql: &str) -> String {
        let error = self.done(sql).await.unwrap_err();
        assert!(self.records().is_empty(), "{sql}");
        error.to_string()
    }
}

#[tokio::test(start_paused = true)]
async fn values_become_records_and_are_read_again() {
    let world = World::new(3);
    assert_eq!(
        world
            .inserted("insert into t values (1, 'a'), (2, null), (null, 'c')")
            .await
            .unwrap(),
        3
    );
    assert_eq!(world.records(), [r#"{"n":1,"word":"a"}"#, r#"{"n":2}"#, r#"{"word":"c"}"#]);
    assert_eq!(world.rows("select * from t").await.unwrap(), ["1|a", "2|NULL", "NULL|c"]);
    assert_eq!(
        world
            .inserted("INSERT INTO kinesis.default.t (word) SELECT upper(word) FROM t WHERE n = 1")
            .await
            .unwrap(),
        1
    );
    assert_eq!(world.rows("select * from t").await.unwrap(), ["1|a", "2|NULL", "NULL|A", "NULL|c"]);
    assert_eq!(
        world
            .inserted("insert into t select n + 10, word from t where n is not null")
            .await
            .unwrap(),
        2
    );
    assert_eq!(world.rows("select n from t where n > 10").await.unwrap(), ["11", "12"]);
}

#[tokio::test(start_paused = true)]
async fn a_statement_reads_what_was_there_before_it() {
    let world = World::with_rows(2, 100);
    for times in [1, 2, 3] {
        assert_eq!(
            world.inserted("insert into t select n, word from t").await.unwrap(),
            100 * (1 << (times - 1))
        );
    }
    assert_eq!(world.rows("select count(*), sum(n) from t").await.unwrap(), ["800|39600"]);
}

#[tokio::test(start_paused = true)]
async fn keys_decide_the_shard() {
    let world = World::new(4);
    world
        .inserted("insert into t (n, word, _partition_key) select value, 'w', 'key ' || (value % 3) from generate_series(1, 300)")
        .await
        .unwrap();
    let keys = "select _partition_key, count(distinct _shard_id), count(*) from t group by 1";
    assert_eq!(world.rows(keys).await.unwrap(), ["key 0|1|100", "key 1|1|100", "key 2|1|100"]);
    // in the order of the rows, as far as they have one key
    let ordered = world
        .rows("select n from t where _partition_key = 'key 1' order by _shard_sequence_id")
        .await
        .unwrap();
    assert_eq!(ordered.len(), 100);
    let world = World::new(4);
    world
        .inserted("/*+ partition_key='word' */ insert into t select value, 'w' || (value % 2) from generate_series(1, 10)")
        .await
        .unwrap();
    assert_eq!(world.rows("select distinct _partition_key = word from t").await.unwrap(), ["true"]);
    let spread = World::new(4);
    spread
        .inserted("insert into t (n) select value from generate_series(1, 400)")
        .await
        .unwrap();
    assert_eq!(
        spread
            .rows("select count(distinct _shard_id), count(distinct _partition_key) from t")
            .await
            .unwrap(),
        ["4|400"]
    );
    let defined = World::defined(
        Arc::new(MemorySource::new(4)),
        "table: t\nstream: s\npartition_key: w\ncolumns:\n  - { name: n, type: bigint }\n  - { name: w, type: varchar }\n",
    );
    defined.inserted("insert into t values (1, 'a'), (2, 'b')").await.unwrap();
    assert_eq!(defined.rows("select n, _partition_key from t").await.unwrap(), ["1|a", "2|b"]);
    // it is not written, so it decides nothing
    assert_eq!(defined.inserted("insert into t (n) values (3)").await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn wrong_statements_write_nothing() {
    let world = World::new(1);
    for (sql, said) in [
        (
            "insert into t values (1)",
            "the rows have 1 columns, and 2 of table `kinesis.default.t` are written",
        ),
        (
            "insert into t (n, wrod) values (1, 'a')",
            "has no column `wrod`; did you mean `word`?",
        ),
        ("insert into t (n, n) values (1, 2)", "column `n` is given twice"),
        (
            "insert into t (n, _shard_id) values (1, 'x')",
            "of the hidden columns only `_partition_key`",
        ),
        ("insert into u values (1)", "table `kinesis.default.u` not found"),
        ("insert into kinesis.system.streams values (1)", "is about the server"),
        (
            "insert into t values (1, 'a'), (2.5, 'b')",
            "row 2: the value is not a whole number",
        ),
        ("insert into t values ('1', 'a'), ('x', 'b')", "column `n`, row 2:"),
        (
            "insert into t (n, _partition_key) values (1, 'a'), (2, null)",
            "row 2: a partition key cannot be NULL",
        ),
        ("insert into t (n, _partition_key) values (1, '')", "1 to 256 characters"),
        (
            "/*+ partition_key='word' */ insert into t (n) values (1)",
            "column `word` is not among those that are written",
        ),
        ("insert overwrite t values (1, 'a')", "cannot be done to a stream"),
        ("insert into t values (1, 'a') returning n", "RETURNING is not supported"),
        ("insert into t (n, secret) values (1, 2)", "to the same place of a document"),
        ("follow insert into t select n, word from t", "FOLLOW stands before SELECT or WITH"),
        ("explain analyze insert into t select n, word from t", "would write the rows"),
    ] {
        let error = world.refused(sql).await;
        assert!(error.contains(said), "{sql}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn preparing_and_explaining_write_nothing() {
    let world = World::new(1);
    let values = OptionValues::default();
    let prepared = world
        .engine
        .prepare(&world.session, "insert into t values (1, 'a')", &values, None)
        .await
        .unwrap();
    assert!(prepared.is_update && prepared.schema.is_none());
    let error = world
        .engine
        .prepare(&world.session, "insert into t (m) values (1)", &values, None)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("has no column `m`"), "{error}");
    let plan = world.rows("explain insert into t select n, word from t where n = 1").await.unwrap();
    assert!(plan.iter().any(|row| row.contains("ShardScan")), "{plan:?}");
    assert!(world.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_principal_needs_the_right_to_write() {
    let world = World::new(1);
    let rule = AccessRule::new("*", [Right::Read]).unwrap().on_tables(["*"]).unwrap();
    let config = EngineConfig {
        access: Arc::new(Access::new(vec![rule])),
        ..world.engine.config().clone()
    };
    let world = world.reconfigured(config);
    let error = world.done("insert into t values (1, 'a')").await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied);
    let error = world
        .ingest(request("t", vec![("n", Arc::new(Int64Array::from(vec![1])))]))
        .await
        .unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied);
    assert!(world.records().is_empty());
}

#[tokio::test(start_paused = true)]
async fn throttled_and_unreachable_streams_get_all_rows_once() {
    let world = World::new(2);
    world.source.script_puts([
        PutFate::Refuse { every: 2 },
        PutFate::Fail(SourceErrorKind::Unavailable),
        PutFate::Refuse { every: 3 },
    ]);
    assert_eq!(
        world
            .inserted("insert into t select value, 'w' from generate_series(1, 5000)")
            .await
            .unwrap(),
        5000
    );
    assert_eq!(
        world.rows("select count(*), count(distinct n), sum(n) from t").await.unwrap(),
        ["5000|5000|12502500"]
    );
    assert_eq!(world.engine.written().now().records, 5000);
    assert!(world.engine.written().now().retried >= 500);
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_how_many_records_were_acknowledged() {
    let world = World::new(1);
    world.source.script_puts([PutFate::Taken, PutFate::Fail(SourceErrorKind::Denied)]);
    let error = world
        .done("insert into t select value, 'w' from generate_series(1, 1000)")
        .await
        .unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied);
    assert!(error.to_string().contains("500 records were acknowledged before"), "{error}");
    assert_eq!(world.records().len(), 500);
    let queries = "select kind, state from kinesis.system.queries where sql like 'insert%'";
    assert_eq!(world.rows(queries).await.unwrap(), ["insert|failed"]);
    // a row that cannot be written, after some that were
    let world = World::new(1);
    let sql = "insert into t select case when value > 15000 then 1.5 else value end, 'w' from generate_series(1, 20000)";
    let error = world.done(sql).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::InvalidArgument);
    let written = world.records().len();
    assert!(written > 0 && written < 15_001);
    assert!(
        error.to_string().contains(&format!("{written} records were acknowledged before")),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn rows_are_written_as_declared_whatever_the_session_shows() {
    let world = World::defined(
        Arc::new(MemorySource::new(1)),
        "table: t\nstream: s\ncolumns:\n  - { name: at, type: timestamp(ms) }\n  - { name: d, type: 'decimal(20,4)' }\n",
    );
    // past what nanoseconds hold
    world
        .inserted("insert into t values ('2500-01-02T03:04:05.678', '1.25'), ('1969-12-31T23:59:59.999', '-0.0001')")
        .await
        .unwrap();
    assert_eq!(
        world.records(),
        [
            r#"{"at":"1969-12-31T23:59:59.999Z","d":-0.0001}"#,
            r#"{"at":"2500-01-02T03:04:05.678Z","d":1.2500}"#
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn consuming_inserts_move_the_checkpoint_once() {
    let world = World::with_rows(2, 10);
    for sql in [
        "set kinesis.checkpoint_name = 'copy'",
        "set kinesis.checkpoint_mode = 'consume'",
        "set kinesis.start = 'trim_horizon'",
        "begin",
    ] {
        world.done(sql).await.unwrap();
    }
    assert_eq!(world.inserted("insert into t select n + 1000, word from t").await.unwrap(), 10);
    world.done("commit").await.unwrap();
    world.done("begin").await.unwrap();
    // what was written is what is new
    assert_eq!(
        world.rows("select count(*), min(n), max(n) from t").await.unwrap(),
        ["10|1000|1009"]
    );
}

fn request(table: &str, columns: Vec<(&str, ArrayRef)>) -> IngestRequest {
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true))).unwrap();
    IngestRequest {
        catalog: None,
        schema: None,
        table: table.to_owned(),
        temporary: false,
        if_missing: IfMissing::Fail,
        if_exists: IfExists::Append,
        overrides: OptionValues::default(),
        columns: batch.schema(),
        batches: stream::iter([Ok(batch)]).boxed(),
    }
}

impl World {
    async fn ingest(&self, request: IngestRequest) -> Result<u64, EngineError> {
        self.engine.ingest(&self.session, request).await
    }
}

#[tokio::test(start_paused = true)]
async fn ingested_columns_go_by_their_names() {
    let world = World::new(2);
    let words: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None]));
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["k", "k"]));
    let floats: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0]));
    let columns = vec![("WORD", Arc::clone(&words)), ("_partition_key", keys), ("n", floats)];
    assert_eq!(world.ingest(request("T", columns)).await.unwrap(), 2);
    assert_eq!(
        world.rows("select n, word, _partition_key from t").await.unwrap(),
        ["1|a|k", "2|NULL|k"]
    );
    let error = world.ingest(request("t", vec![("m", Arc::clone(&words))])).await.unwrap_err();
    assert!(error.to_string().contains("has no column `m`"), "{error}");
    let fail = IngestRequest {
        if_exists: IfExists::Fail,
        ..request("t", vec![("word", Arc::clone(&words))])
    };
    assert_eq!(world.ingest(fail).await.unwrap_err().category(), ErrorCategory::AlreadyExists);
    let replace = IngestRequest {
        if_exists: IfExists::Replace,
        ..request("t", vec![("word", Arc::clone(&words))])
    };
    let error = world.ingest(replace).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::InvalidArgument);
    assert!(error.to_string().contains("cannot be replaced"), "{error}");
    let missing = world
        .ingest(request("other", vec![("word", Arc::clone(&words))]))
        .await
        .unwrap_err();
    assert_eq!(missing.category(), ErrorCategory::NotFound);
    assert_eq!(world.records().len(), 2);
    let broken = IngestRequest {
        batches: stream::iter([Err(EngineError::Unavailable("the client ended its rows".into()))]).boxed(),
        ..request("t", vec![("word", words)])
    };
    assert_eq!(world.ingest(broken).await.unwrap_err().category(), ErrorCategory::Unavailable);
    let kinds = world
        .rows("select kind, state, count(*) from kinesis.system.queries where kind = 'ingest' group by 1, 2")
        .await
        .unwrap();
    assert_eq!(kinds, ["ingest|done|1", "ingest|failed|5"]);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_missing_is_made_of_the_columns() {
    let world = World::new(2);
    world.source.delete();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("a", Arc::new(Int64Array::from(vec![Some(7), None]))),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1_468_152_236_000_001, 0]))),
        ("bytes", Arc::new(BinaryArray::from(vec![b"\xff".as_ref(), b""]))),
        ("x/y", Arc::new(StringArray::from(vec!["é", "2"]))),
    ];
    let create = IngestRequest {
        if_missing: IfMissing::Create,
        if_exists: IfExists::Fail,
        schema: Some("lab".into()),
        ..request("made", columns)
    };
    assert_eq!(world.ingest(create).await.unwrap(), 2);
    assert_eq!(
        world.records(),
        [
            r#"{"a":7,"at":"2016-07-10T12:03:56.000001Z","bytes":"/w==","x/y":"é"}"#,
            r#"{"at":"1970-01-01T00:00:00Z","bytes":"","x/y":"2"}"#
        ]
    );
    let rows = world
        .rows("select a, at, encode(bytes, 'hex'), \"x/y\" from lab.made")
        .await
        .unwrap();
    assert_eq!(rows, ["7|2016-07-10T12:03:56.000001|ff|é", "NULL|1970-01-01T00:00:00||2"]);
    let shown = texts(&world.done("show create table lab.made").await.unwrap().batches);
    assert!(shown[0].contains("kinesis://lab.made"), "{shown:?}");
    // the stream is there by now
    let again = IngestRequest {
        if_missing: IfMissing::Create,
        ..request("made", vec![("a", Arc::new(Int64Array::from(vec![1])))])
    };
    assert_eq!(world.ingest(again).await.unwrap_err().category(), ErrorCategory::AlreadyExists);
    assert_eq!(world.engine.written().now().records, 2);
}

fn bound(columns: Vec<ArrayRef>) -> Option<RecordBatch> {
    let columns = columns
        .into_iter()
        .enumerate()
        .map(|(place, column)| (format!("p{place}"), column, true));
    Some(RecordBatch::try_from_iter_with_nullable(columns).unwrap())
}

#[tokio::test(start_paused = true)]
async fn rows_of_parameters_share_their_calls() {
    let world = World::new(2);
    let numbers: ArrayRef = Arc::new((0..5000).collect::<Int64Array>());
    let words: ArrayRef = Arc::new((0..5000).map(|n| Some(format!("w{n}"))).collect::<StringArray>());
    let rows = bound(vec![Arc::clone(&numbers), Arc::clone(&words)]);
    let done = world.done_with("insert into t values (?, ?)", rows).await.unwrap();
    assert_eq!(done.affected, Some(5000));
    assert_eq!(world.source.put_calls(), 10, "500 records a call");
    let sums = "select count(*), sum(n), count(distinct word) from t where word = 'w' || n";
    assert_eq!(world.rows(sums).await.unwrap(), ["5000|12497500|5000"]);
    // in another order, one of them twice
    let done = world.done_with(
        "insert into t (word, n, _partition_key) values ($2, $1, $2)",
        bound(vec![Arc::new(Int64Array::from(vec![-1])), Arc::new(StringArray::from(vec!["x"]))]),
    );
    assert_eq!(done.await.unwrap().affected, Some(1));
    assert_eq!(
        world.rows("select n, word, _partition_key from t where n < 0").await.unwrap(),
        ["-1|x|x"]
    );
    // a query for each row
    let done = world.done_with(
        "insert into t (n) select n + ? from t where n = -1",
        bound(vec![Arc::new(Int64Array::from(vec![-10, -20, -30]))]),
    );
    assert_eq!(done.await.unwrap().affected, Some(3));
    assert_eq!(world.rows("select n from t where n < -1").await.unwrap(), ["-11", "-21", "-31"]);
    let values = OptionValues::default();
    let prepared = world
        .engine
        .prepare(&world.session, "insert into t (word, n) values (?, ?)", &values, None)
        .await
        .unwrap();
    let types: Vec<DataType> = prepared.parameters.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Utf8, DataType::Int64]);
    for (sql, parameters, said) in [
        (
            "insert into t values (?, ?)",
            bound(vec![numbers]),
            "the statement has 2 parameters, and 1 are bound",
        ),
        ("insert into t values (?, ?)", None, "2 parameters"),
        ("insert into t values (?)", bound(vec![words]), "the rows have 1 columns"),
    ] {
        let error = world.done_with(sql, parameters).await.unwrap_err();
        assert!(error.to_string().contains(said), "{sql}: {error}");
    }
}
