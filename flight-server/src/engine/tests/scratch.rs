//! Scratch tables and views: what they hold, who sees them, and what a ticket gives after they have changed.

use datafusion::arrow::array::{ArrayRef, Int64Array, LargeStringArray, StringArray};
use futures::{StreamExt, stream};

use super::*;

mod views;

/// One engine, several sessions.
fn session(principal: &str) -> Arc<Session> {
    Session::new(SessionId(principal.into()), Principal(principal.into()))
}

impl World {
    /// The same world with other limits of scratch tables.
    fn with_scratch(self, scratch: ScratchConfig) -> Self {
        let config = EngineConfig {
            scratch,
            ..self.engine.config().clone()
        };
        self.reconfigured(config)
    }

    /// Another session of the same server.
    fn another(&self, session: Arc<Session>) -> Self {
        Self {
            source: Arc::clone(&self.source),
            engine: Arc::clone(&self.engine),
            session,
            _directory: tempfile::tempdir().unwrap(),
        }
    }

    async fn asked(&self, sql: &str, parameters: Option<RecordBatch>) -> Result<Option<u64>, EngineError> {
        let request = StatementRequest {
            parameters,
            ..StatementRequest::new(sql)
        };
        match self.engine.plan(&self.session, request).await? {
            Planned::Done(done) => Ok(done.affected),
            Planned::Query(_) => panic!("{sql} is a query"),
        }
    }

    /// Runs statements that give nothing.
    async fn all(&self, statements: &[&str]) {
        for sql in statements {
            self.asked(sql, None).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        }
    }

    async fn fails(&self, sql: &str, category: ErrorCategory, text: &str) {
        let error = match self.asked_or_planned(sql).await {
            Err(error) => error,
            Ok(()) => panic!("{sql} works"),
        };
        assert_eq!(error.category(), category, "{sql}: {error}");
        assert!(error.to_string().contains(text), "{sql}: {error}");
    }

    async fn asked_or_planned(&self, sql: &str) -> Result<(), EngineError> {
        let request = StatementRequest::new(sql);
        self.engine.plan(&self.session, request).await.map(drop)
    }

    async fn read(&self, query: &PlannedQuery) -> Result<Vec<String>, EngineError> {
        let mut rows = Vec::new();
        for part in &query.parts {
            rows.extend(texts(&self.run(part.clone()).await?));
        }
        rows.sort();
        Ok(rows)
    }
}

#[tokio::test(start_paused = true)]
async fn tables_take_rows_and_give_them_back() {
    let world = World::with_rows(2, 6);
    world.all(&["create table s (a bigint, b text, c double)"]).await;
    assert_eq!(
        world.asked("insert into s values (1, 'x', 0.5), (2, null, 1)", None).await.unwrap(),
        Some(2)
    );
    assert_eq!(
        world
            .asked("insert into scratch.s (b, a) select word, n from t where n > 3", None)
            .await
            .unwrap(),
        Some(2)
    );
    assert_eq!(
        world.rows("select * from s").await.unwrap(),
        ["1|x|0.5", "2|NULL|1.0", "4|w4|NULL", "5|w0|NULL"]
    );
    assert_eq!(
        world
            .rows("select s.a, t.word from kinesis.scratch.s join t on s.a = t.n where s.a > 1")
            .await
            .unwrap(),
        ["2|w2", "4|w4", "5|w0"]
    );
    assert_eq!(
        world
            .asked(
                "create or replace table s as select a * 10 as a, b from s where b is not null",
                None
            )
            .await
            .unwrap(),
        Some(3)
    );
    assert_eq!(world.rows("select a, b from s").await.unwrap(), ["10|x", "40|w4", "50|w0"]);
    // a stream takes rows of a scratch table
    assert_eq!(world.asked("insert into t select a, b from s", None).await.unwrap(), Some(3));
    assert_eq!(world.rows("select n from t where n >= 10").await.unwrap(), ["10", "40", "50"]);
    assert_eq!(world.asked("delete from s", None).await.unwrap(), Some(3));
    assert_eq!(world.rows("select count(*) from s").await.unwrap(), ["0"]);
    world
        .all(&[
            "drop table s",
            "drop table if exists s",
            "create temporary table if not exists s (z integer not null)",
            "create temp table if not exists s (y bigint)",
            "insert into s select 7",
            "truncate table s",
        ])
        .await;
    assert_eq!(world.rows("select z from s").await.unwrap(), Vec::<String>::new());
    let plan = world.rows("explain select z from s where z > 1").await.unwrap();
    assert!(
        plan.iter()
            .any(|row| row.contains("ScratchScanExec: table=scratch.s, version=2, rows=0")),
        "{plan:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn rows_of_parameters_are_put_all_at_once_or_not_at_all() {
    let world = World::new(1);
    world.all(&["create table s (a integer not null, b varchar(10))"]).await;
    let prepared = world
        .engine
        .prepare(&world.session, "insert into s values (?, ?)", &OptionValues::default(), None)
        .await
        .unwrap();
    assert!(prepared.is_update && prepared.schema.is_none());
    let types: Vec<DataType> = prepared.parameters.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int32, DataType::Utf8]);
    let rows = |numbers: Vec<Option<i64>>| {
        let words: StringArray = numbers.iter().map(|number| number.map(|number| format!("w{number}"))).collect();
        let numbers: ArrayRef = Arc::new(Int64Array::from(numbers));
        RecordBatch::try_from_iter_with_nullable([("1", numbers, true), ("2", Arc::new(words) as ArrayRef, true)]).unwrap()
    };
    let insert = "insert into s values (?, ?)";
    assert_eq!(
        world.asked(insert, Some(rows(vec![Some(1), Some(2), Some(3)]))).await.unwrap(),
        Some(3)
    );
    for (wrong, text) in [
        (vec![Some(4), None], "row 2: the column is NOT NULL"),
        (vec![Some(1 << 40)], "row 1: "),
    ] {
        let error = world.asked(insert, Some(rows(wrong))).await.unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(world.rows("select * from s").await.unwrap(), ["1|w1", "2|w2", "3|w3"]);
    let query = "insert into s select a + $1, b from s where a > $2";
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![10, 100]));
    let bounds: ArrayRef = Arc::new(Int64Array::from(vec![2, 1]));
    let both = RecordBatch::try_from_iter_with_nullable([("1", numbers, true), ("2", bounds, true)]).unwrap();
    assert_eq!(world.asked(query, Some(both)).await.unwrap(), Some(3));
    assert_eq!(world.rows("select a from s").await.unwrap(), ["1", "102", "103", "13", "2", "3"]);
    world
        .fails(
            "insert into s (a, nope) values (1, 2)",
            ErrorCategory::InvalidArgument,
            "has no column `nope`",
        )
        .await;
    world
        .fails("insert into s values (1)", ErrorCategory::InvalidArgument, "name the columns")
        .await;
}

#[tokio::test(start_paused = true)]
async fn tables_are_made_of_queries_with_parameters() {
    let world = World::with_rows(2, 6);
    let create = "create table big as select n, word from t where n > $1 and word <> $2";
    let prepared = world
        .engine
        .prepare(&world.session, create, &OptionValues::default(), None)
        .await
        .unwrap();
    assert!(prepared.is_update && prepared.schema.is_none());
    let types: Vec<DataType> = prepared.parameters.fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!(types, [DataType::Int64, DataType::Utf8]);
    world.fails(create, ErrorCategory::InvalidArgument, "has 2 parameters").await;
    world.fails("select * from big", ErrorCategory::NotFound, "big").await;
    let bound = |least: i64, word: &str| {
        let columns: [(&str, ArrayRef); 2] = [
            ("1", Arc::new(Int64Array::from(vec![least]))),
            ("2", Arc::new(StringArray::from(vec![word]))),
        ];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    assert_eq!(world.asked(create, Some(bound(2, "w4"))).await.unwrap(), Some(2));
    assert_eq!(world.rows("select * from big").await.unwrap(), ["3|w3", "5|w0"]);
    let again = create.replacen("create", "create or replace", 1);
    assert_eq!(world.asked(&again, Some(bound(4, "w4"))).await.unwrap(), Some(1));
    assert_eq!(world.rows("select * from big").await.unwrap(), ["5|w0"]);
    // nothing is made when it is prepared, and what cannot be typed is refused then
    let missing = "create table none as select x from missing where x > $1";
    let prepared = world.engine.prepare(&world.session, missing, &OptionValues::default(), None).await;
    assert_eq!(prepared.unwrap_err().category(), ErrorCategory::NotFound);
    let plain = "create table empty (a bigint)";
    let prepared = world.engine.prepare(&world.session, plain, &OptionValues::default(), None).await;
    assert!(prepared.unwrap().parameters.fields().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_ticket_gives_the_rows_that_were_there_when_it_was_planned() {
    let world = World::new(1);
    world
        .all(&[
            "create table s as select value as a from generate_series(1, 3)",
            "create view v as select a + 1 as b from s",
        ])
        .await;
    let (plain, joined, viewed) = (
        world.plan("select a from s", true).await.unwrap(),
        world
            .plan("select count(*) from s x join scratch.s y on x.a = y.a", false)
            .await
            .unwrap(),
        world.plan("select b from v", false).await.unwrap(),
    );
    let listed = world
        .plan(
            "select table_name, table_type from information_schema.tables where table_schema = 'scratch'",
            false,
        )
        .await
        .unwrap();
    world
        .all(&["insert into s values (4)", "create or replace view v as select 'other' as b"])
        .await;
    assert_eq!(world.rows("select a from s").await.unwrap(), ["1", "2", "3", "4"]);
    for _ in 0..2 {
        assert_eq!(world.read(&plain).await.unwrap(), ["1", "2", "3"]);
        assert_eq!(world.read(&joined).await.unwrap(), ["3"]);
        assert_eq!(world.read(&viewed).await.unwrap(), ["2", "3", "4"]);
        assert_eq!(world.read(&listed).await.unwrap(), ["s|LOCAL TEMPORARY", "v|VIEW"]);
        world.all(&["drop table if exists s", "drop view if exists v"]).await;
    }
    // made again, under the same name, with other columns
    world.all(&["create table s (z text)"]).await;
    assert_eq!(world.read(&plain).await.unwrap(), ["1", "2", "3"]);
    // another process holds none of it
    let other = World::over(Arc::clone(&world.source));
    let error = other.read(&plain).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition);
    assert!(error.to_string().contains("run the statement again"), "{error}");
    // and this one does no longer than a ticket is good for
    tokio::time::advance(Duration::from_secs(3601)).await;
    world.plan("select z from s", false).await.unwrap();
    assert_eq!(world.read(&plain).await.unwrap_err().category(), ErrorCategory::FailedPrecondition);
}

#[tokio::test(start_paused = true)]
async fn what_a_session_makes_is_seen_by_it_alone_and_gone_with_it() {
    let world = World::new(1);
    let other = world.another(session("other"));
    world
        .all(&["create table s as select value as a from generate_series(1, 1000)"])
        .await;
    other.fails("select * from s", ErrorCategory::NotFound, "kinesis.default.s").await;
    other
        .fails("select * from scratch.s", ErrorCategory::NotFound, "kinesis.scratch.s")
        .await;
    other
        .fails("insert into scratch.s values (1)", ErrorCategory::NotFound, "scratch.s")
        .await;
    other.fails("drop table scratch.s", ErrorCategory::NotFound, "scratch.s").await;
    other.all(&["create table s (b text)", "insert into s values ('mine')"]).await;
    assert_eq!(other.rows("select * from s").await.unwrap(), ["mine"]);
    let listed = |world: &World| -> Vec<String> {
        let tables = world.engine.tables(world.session.principal(), Some(&world.session));
        let scratch = tables.into_iter().filter(|table| table.schema == "scratch");
        scratch
            .map(|table| format!("{}: {:?} {}", table.name, table.kind, table.arrow_schema.field(0)))
            .collect()
    };
    assert_eq!(listed(&other).len(), 1);
    assert!(
        listed(&other)[0].starts_with("s: ScratchTable Field { \"b\": "),
        "{:?}",
        listed(&other)
    );
    let held = world.engine.scratch_bytes();
    assert!((8000..16_000).contains(&held), "{held}");
    let engine = Arc::clone(&world.engine);
    drop(world);
    let left = engine.scratch_bytes();
    assert!(left > 0 && left < 1000, "{left}");
    drop(other);
    // what tickets may want stays until it is forgotten
    assert!(engine.scratch_bytes() <= left);
}

#[tokio::test(start_paused = true)]
async fn kept_tables_are_the_principals() {
    let scratch = ScratchConfig {
        keep: ScratchKeep::Principal,
        ..ScratchConfig::default()
    };
    let world = World::new(1).with_scratch(scratch);
    world.all(&["create table s as select 1 as a"]).await;
    let same = world.another(Session::passing(SessionId("second".into()), Principal::anonymous()));
    let other = world.another(session("other"));
    assert_eq!(same.rows("select a from s").await.unwrap(), ["1"]);
    same.all(&["insert into s values (2)"]).await;
    assert_eq!(world.rows("select a from s").await.unwrap(), ["1", "2"]);
    other.fails("select a from s", ErrorCategory::NotFound, "s").await;
    // a session that is forgotten at once keeps nothing where tables are a session's
    let passing = World::new(1);
    let passing = passing.another(Session::passing(SessionId("passing".into()), Principal::anonymous()));
    passing
        .fails("create table s (a bigint)", ErrorCategory::FailedPrecondition, "names no session")
        .await;
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_freed() {
    let scratch = ScratchConfig {
        memory: 300_000,
        memory_each: 200_000,
        ..ScratchConfig::default()
    };
    let world = World::new(1).with_scratch(scratch);
    let other = world.another(session("other"));
    let numbers = |name: &str, rows: u32| format!("create table {name} as select value as a from generate_series(1, {rows})");
    // 8 bytes a row
    world.all(&[&numbers("s", 20_000)]).await;
    world
        .fails(&numbers("more", 6000), ErrorCategory::ResourceExhausted, "scratch.memory_each")
        .await;
    world
        .fails(
            "insert into s select a from s",
            ErrorCategory::ResourceExhausted,
            "scratch.memory_each",
        )
        .await;
    assert_eq!(world.rows("select count(*) from s").await.unwrap(), ["20000"]);
    other
        .fails(&numbers("s", 20_000), ErrorCategory::ResourceExhausted, "scratch.memory)")
        .await;
    // tasks of the statements that failed end, and let go of what they read
    tokio::task::yield_now().await;
    // what only a ticket wants makes room for what is asked for now
    let ticket = world.plan("select count(*) from s", false).await.unwrap();
    world.all(&["drop table s"]).await;
    assert_eq!(world.read(&ticket).await.unwrap(), ["20000"]);
    world.all(&[&numbers("more", 20_000)]).await;
    let error = world.read(&ticket).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition, "{error}");
    assert_eq!(world.rows("select count(*), sum(a) from more").await.unwrap(), ["20000|200010000"]);
    // many small statements cost little more than their rows
    world.all(&["drop table more", "create table small (a bigint)"]).await;
    for n in 0..300 {
        world.all(&[&format!("insert into small values ({n})")]).await;
    }
    assert_eq!(world.rows("select count(*), sum(a) from small").await.unwrap(), ["300|44850"]);
    let plan = world.rows("explain select a from small").await.unwrap();
    assert!(plan.iter().any(|row| row.contains("version=300, rows=300")), "{plan:?}");
}

#[tokio::test(start_paused = true)]
async fn consuming_creates_move_the_checkpoint_once() {
    let world = World::with_rows(2, 10);
    world
        .all(&[
            "set kinesis.checkpoint_name = 'stage'",
            "set kinesis.checkpoint_mode = 'consume'",
            "set kinesis.start = 'trim_horizon'",
            "begin",
            "create table staged as select n from t",
            "commit",
            "begin",
            "insert into staged select n from t",
        ])
        .await;
    assert_eq!(
        world.rows("select count(*), count(distinct n) from staged").await.unwrap(),
        ["10|10"]
    );
}

fn ingest(table: &str, temporary: bool, if_missing: IfMissing, if_exists: IfExists, column: &str, rows: ArrayRef) -> IngestRequest {
    let batch = RecordBatch::try_from_iter_with_nullable([(column, rows, true)]).unwrap();
    IngestRequest {
        catalog: None,
        schema: (!temporary).then(|| "scratch".to_owned()),
        table: table.to_owned(),
        temporary,
        if_missing,
        if_exists,
        overrides: OptionValues::default(),
        columns: batch.schema(),
        batches: stream::iter([Ok(batch)]).boxed(),
    }
}

#[tokio::test(start_paused = true)]
async fn ingests_create_append_and_replace() {
    let world = World::new(1);
    let words = || -> ArrayRef { Arc::new(LargeStringArray::from(vec![Some("a"), None])) };
    let run = |request: IngestRequest| world.engine.ingest(&world.session, request);
    let (create, fail) = (IfMissing::Create, IfMissing::Fail);
    let error = run(ingest("S", true, fail, IfExists::Append, "W", words())).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::NotFound, "{error}");
    assert_eq!(run(ingest("S", true, create, IfExists::Fail, "W", words())).await.unwrap(), 2);
    let error = run(ingest("S", true, create, IfExists::Fail, "W", words())).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::AlreadyExists, "{error}");
    assert_eq!(run(ingest("s", false, create, IfExists::Append, "w", words())).await.unwrap(), 2);
    assert_eq!(world.rows("select \"W\" from s").await.unwrap(), ["NULL", "NULL", "a", "a"]);
    let numbers: ArrayRef = Arc::new(Int64Array::from(vec![1, 2, 3]));
    assert_eq!(run(ingest("s", true, create, IfExists::Replace, "n", numbers)).await.unwrap(), 3);
    assert_eq!(world.rows("select * from s").await.unwrap(), ["1", "2", "3"]);
    let error = run(ingest("t", true, create, IfExists::Append, "n", words())).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::AlreadyExists, "{error}");
    let elsewhere = IngestRequest {
        schema: Some("default".into()),
        ..ingest("x", true, create, IfExists::Fail, "n", words())
    };
    assert_eq!(run(elsewhere).await.unwrap_err().category(), ErrorCategory::InvalidArgument);
}

#[tokio::test]
async fn what_is_cancelled_leaves_nothing() {
    let world = World::with_rows(1, 3);
    let shard = world.source.open_shards().remove(0);
    world.source.fail_reads(&shard, shard_reader::SourceErrorKind::Throttled, 1_000_000);
    let cancelled = async {
        loop {
            tokio::task::yield_now().await;
            let waiting = world.rows("select id from kinesis.system.queries where sql like 'create table s%' and state = 'planning'");
            if let Some(id) = waiting.await.unwrap().first() {
                return world.engine.cancel_query("anonymous", id);
            }
        }
    };
    let (outcome, cancelled) = tokio::join!(world.asked("create table s as select n from t", None), cancelled);
    assert_eq!(outcome.unwrap_err().category(), ErrorCategory::Cancelled);
    assert_eq!(cancelled, CancelOutcome::Cancelled);
    world.source.clear_scripts();
    world.fails("select * from scratch.s", ErrorCategory::NotFound, "s").await;
    assert_eq!(world.engine.scratch_bytes(), 0);
}

#[tokio::test(start_paused = true)]
async fn rows_that_end_in_an_error_or_are_given_up_leave_nothing() {
    let world = World::new(1);
    let batch = RecordBatch::try_from_iter([("n", Arc::new(Int64Array::from_iter_values(0..10_000)) as ArrayRef)]).unwrap();
    let sent = |end: Option<EngineError>| {
        let rows = stream::iter([Ok(batch.clone()), Ok(batch.clone())]);
        IngestRequest {
            batches: match end {
                Some(error) => rows.chain(stream::iter([Err(error)])).boxed(),
                None => rows.chain(stream::pending()).boxed(),
            },
            ..ingest(
                "s",
                true,
                IfMissing::Create,
                IfExists::Fail,
                "n",
                Arc::new(Int64Array::from(vec![0])),
            )
        }
    };
    let broken = sent(Some(EngineError::Unavailable("the client ended its rows".into())));
    let error = world.engine.ingest(&world.session, broken).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::Unavailable);
    assert_eq!(world.engine.scratch_bytes(), 0);
    let given_up = tokio::time::timeout(Duration::from_secs(1), world.engine.ingest(&world.session, sent(None))).await;
    assert!(given_up.is_err());
    assert_eq!(world.engine.scratch_bytes(), 0);
    world.fails("select * from scratch.s", ErrorCategory::NotFound, "s").await;
}
