//! Rights: every kind of statement, by who has the right and by who has not.

use super::*;

/// Who they are is in their names.
const READER: &str = "reads-t";
const CONSUMER: &str = "consumes-t";
const OWNER: &str = "owns-sales";
const ROOT: &str = "root";
const NOBODY: &str = "nobody";
const ALL: [&str; 5] = [READER, CONSUMER, OWNER, ROOT, NOBODY];

fn rules() -> Access {
    let rule = |principal: &str, right| AccessRule::new(principal, [right]).unwrap();
    let limits = PrincipalLimits {
        max_bytes: Some(64),
        ..PrincipalLimits::default()
    };
    Access::new(vec![
        rule(READER, Right::Read)
            .on_tables(["t"])
            .unwrap()
            .on_checkpoints(["looked-at"])
            .unwrap(),
        rule(CONSUMER, Right::Consume)
            .on_tables(["t"])
            .unwrap()
            .on_checkpoints(["job-*"])
            .unwrap(),
        rule(OWNER, Right::Admin).on_tables(["sales.*"]).unwrap().on_streams(["s"]).unwrap(),
        rule(ROOT, Right::Admin)
            .on_tables(["*"])
            .unwrap()
            .on_checkpoints(["*"])
            .unwrap()
            .on_streams(["*"])
            .unwrap(),
        rule("limited", Right::Read).on_tables(["t"]).unwrap().within(limits),
    ])
}

/// Tables `default.t` and `default.hidden` over one stream with two records, one of them bad.
async fn world() -> World {
    let source = Arc::new(MemorySource::new(1));
    let world = World::governed(source, TABLE, |config| config, DefinitionRules::all(), None, rules());
    let shard = world.source.shard_ids()[0].clone();
    world.put(&shard, "{\"n\":1}");
    world.put(&shard, "no record");
    let hidden = "create external table hidden (n bigint) stored as kinesis location 'kinesis://s' options (format 'json')";
    asked(&world, ROOT, hidden).await.unwrap();
    world
}

fn session(principal: &str) -> Arc<Session> {
    Session::new(SessionId(principal.into()), Principal(principal.into()))
}

/// A statement, to its last row.
async fn asked_in(world: &World, session: &Session, sql: &str) -> Result<Vec<String>, EngineError> {
    let request = StatementRequest::new(sql);
    match world.engine.plan(session, request).await? {
        Planned::Done(done) => Ok(texts(&done.batches)),
        Planned::Query(query) => {
            let mut rows = Vec::new();
            for part in query.parts {
                rows.extend(texts(&world.run(part).await?));
            }
            rows.sort();
            Ok(rows)
        }
    }
}

async fn asked(world: &World, principal: &str, sql: &str) -> Result<Vec<String>, EngineError> {
    asked_in(world, &session(principal), sql).await
}

#[tokio::test]
async fn each_kind_of_statement_asks_for_its_right() {
    let reset = "call kinesis.system.reset_checkpoint('job-1', 't', 'trim_horizon')";
    let create =
        |name: &str| format!("create external table {name} (n bigint) stored as kinesis location 'kinesis://s' options (format 'json')");
    let statements = [
        ("select count(*) from t".to_owned(), &[READER, CONSUMER, ROOT][..]),
        ("explain select n from t".to_owned(), &[READER, CONSUMER, ROOT]),
        ("explain analyze select n from t".to_owned(), &[READER, CONSUMER, ROOT]),
        (
            "select n from (select n from t where n in (select n from hidden))".to_owned(),
            &[ROOT],
        ),
        ("with x as (select * from hidden) select * from x".to_owned(), &[ROOT]),
        ("select n from t union all select n from kinesis.default.hidden".to_owned(), &[ROOT]),
        ("describe t".to_owned(), &[READER, CONSUMER, ROOT]),
        ("show create table hidden".to_owned(), &[ROOT]),
        ("describe kinesis.system.queries".to_owned(), &ALL),
        ("select count(*) from kinesis_stream('s')".to_owned(), &[OWNER, ROOT]),
        ("select 1".to_owned(), &ALL),
        ("set kinesis.start = 'latest'".to_owned(), &ALL),
        ("begin".to_owned(), &ALL),
        (
            "/*+ checkpoint_name='looked-at', start='trim_horizon' */ select n from t".to_owned(),
            &[READER, ROOT],
        ),
        (
            "/*+ checkpoint_name='job-1', start='trim_horizon' */ select n from t".to_owned(),
            &[CONSUMER, ROOT],
        ),
        (
            "/*+ checkpoint_name='looked-at', checkpoint_mode='consume', commit_on_read=true, start='trim_horizon' */ select n from t"
                .to_owned(),
            &[ROOT],
        ),
        (
            "/*+ checkpoint_name='job-1', checkpoint_mode='consume', commit_on_read=true, start='trim_horizon' */ select n from t"
                .to_owned(),
            &[CONSUMER, ROOT],
        ),
        (reset.to_owned(), &[CONSUMER, ROOT]),
        ("call kinesis.system.refresh_catalog()".to_owned(), &[ROOT]),
        (create("sales.x"), &[OWNER, ROOT]),
        (create("mine"), &[ROOT]),
        ("alter table t add column more bigint".to_owned(), &[ROOT]),
        ("drop table hidden".to_owned(), &[ROOT]),
    ];
    for (sql, allowed) in statements {
        for principal in ALL {
            // What one changes another must not meet.
            let world = world().await;
            let outcome = asked(&world, principal, &sql).await;
            if allowed.contains(&principal) {
                assert!(outcome.is_ok(), "{principal}: {sql}: {outcome:?}");
            } else {
                let error = outcome.expect_err(&format!("{principal}: {sql}"));
                assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{principal}: {sql}: {error}");
                let prepared = world
                    .engine
                    .prepare(&session(principal), &sql, &OptionValues::default(), None)
                    .await;
                if sql.starts_with("select") && !sql.contains("kinesis_stream") {
                    assert_eq!(
                        prepared.unwrap_err().category(),
                        ErrorCategory::PermissionDenied,
                        "{principal}: {sql}"
                    );
                }
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_does_not_tell_whether_there_is_such_a_table() {
    let world = world().await;
    for sql in ["select * from {}", "describe {}", "drop table {}", "show create table {}"] {
        let mut errors = Vec::new();
        for table in ["hidden", "hiddex"] {
            let error = asked(&world, READER, &sql.replace("{}", table)).await.unwrap_err();
            errors.push(error.to_string().replace(table, "TABLE"));
        }
        assert_eq!(errors[0], errors[1], "{sql}");
    }
    let mine = "create external table system.mine (n bigint) stored as kinesis location 'kinesis://s' options (format 'json')";
    let error = asked(&world, READER, mine).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{error}");
    // A suggestion would tell, too.
    let error = asked(&world, ROOT, "select * from hiddex").await.unwrap_err().to_string();
    assert!(error.contains("did you mean `default.hidden`"), "{error}");
    let error = asked(&world, READER, "select * from tt").await.unwrap_err().to_string();
    assert!(!error.contains("hidden"), "{error}");
}

#[tokio::test]
async fn lists_hold_what_may_be_read() {
    let world = world().await;
    for (principal, tables) in [(READER, &["t"][..]), (NOBODY, &[]), (OWNER, &[]), (ROOT, &["hidden", "t"])] {
        let sql = "select table_name from information_schema.tables where table_schema = 'default'";
        assert_eq!(asked(&world, principal, sql).await.unwrap(), tables, "{principal}");
        let listed = world.engine.tables(&Principal(principal.into()), None);
        let listed: Vec<String> = listed
            .into_iter()
            .filter(|table| table.schema == "default")
            .map(|table| table.name)
            .collect();
        assert_eq!(listed, tables, "{principal}");
        let columns = "select distinct table_name from information_schema.columns where table_schema = 'default'";
        assert_eq!(asked(&world, principal, columns).await.unwrap(), tables, "{principal}");
    }
}

#[tokio::test]
async fn tables_about_the_server_show_what_one_may_see() {
    let world = world().await;
    asked(&world, READER, "select count(*), sum(n) from t").await.unwrap();
    asked(&world, ROOT, "select 'of root', sum(n) from hidden").await.unwrap();
    let consumed = "/*+ checkpoint_name='job-1', checkpoint_mode='consume', commit_on_read=true, start='trim_horizon' */ select n from t";
    asked(&world, CONSUMER, consumed).await.unwrap();
    std::fs::write(world._directory.path().join("broken.yaml"), "table: [").unwrap();
    world.engine.catalog().refresh();
    let count = |table: &str, what: &str| format!("select count(*) from kinesis.system.{table} where {what}");
    for (table, what, sees) in [
        ("streams", "true", &[READER, CONSUMER, OWNER, ROOT][..]),
        ("shards", "true", &[READER, CONSUMER, OWNER, ROOT]),
        ("segments", "true", &[READER, CONSUMER, OWNER, ROOT]),
        ("scan_errors", "\"table\" = 't'", &[READER, CONSUMER, ROOT]),
        ("scan_errors", "\"table\" = 'hidden'", &[ROOT]),
        ("checkpoints", "checkpoint = 'job-1'", &[CONSUMER, ROOT]),
        ("iterations", "checkpoint = 'job-1'", &[CONSUMER, ROOT]),
        ("catalog_errors", "true", &[ROOT]),
        ("queries", "principal = 'reads-t'", &[READER, ROOT]),
        ("queries", "principal = 'root'", &[ROOT]),
    ] {
        for principal in ALL {
            let rows = asked(&world, principal, &count(table, what)).await.unwrap();
            assert_eq!(rows != ["0"], sees.contains(&principal), "{principal}: {table}: {rows:?}");
        }
    }
    let texts = "select count(sql) from kinesis.system.queries where principal = 'reads-t'";
    assert_ne!(asked(&world, READER, texts).await.unwrap(), ["0"]);
    assert_eq!(
        asked(&world, ROOT, texts).await.unwrap(),
        ["0"],
        "not even who administers the server reads others' texts"
    );
}

#[tokio::test]
async fn a_right_that_was_withdrawn_ends_what_was_planned_with_it() {
    let source = Arc::new(MemorySource::new(1));
    let before = World::governed(Arc::clone(&source), TABLE, |config| config, DefinitionRules::all(), None, rules());
    before.put(&before.source.shard_ids()[0], "{\"n\":1}");
    let session = session(READER);
    let request = StatementRequest::new("select n from t");
    let Planned::Query(query) = before.engine.plan(&session, request).await.unwrap() else {
        panic!("no query")
    };
    let part = query.parts.into_iter().next().unwrap();
    assert_eq!(texts(&before.run(part.clone()).await.unwrap()), ["1"]);
    let without = Access::new(Vec::new());
    let after = World::governed(source, TABLE, |config| config, DefinitionRules::all(), None, without);
    let error = after.run(part).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{error}");
}

#[tokio::test]
async fn limits_of_a_principal_cannot_be_set_away() {
    // A backlog that the statement reads by itself, and a fresh record that tells where the end is.
    let source = Arc::new(MemorySource::new(1));
    let world = World::governed(source, TABLE, |config| config, DefinitionRules::all(), None, rules());
    world.source.set_retention(Duration::from_secs(30 * 86_400));
    let old = world.source.clock().now_ms() - 10 * 86_400_000;
    let shard = world.source.shard_ids()[0].clone();
    for n in 0..200 {
        let record = format!("{{\"n\":{n}}}");
        world.source.put_as(&shard, Some("key"), Some(old + n), record.as_bytes()).unwrap();
    }
    world.put(&shard, "{\"n\":1}");
    for sql in ["select sum(n) from t", "/*+ max_bytes=1000000 */ select sum(n) from t"] {
        let error = asked(&world, "limited", sql).await.unwrap_err();
        assert_eq!(error.category(), ErrorCategory::ResourceExhausted, "{sql}: {error}");
    }
    assert!(asked(&world, READER, "select sum(n) from t").await.is_ok());
}

#[tokio::test]
async fn what_would_be_forgotten_is_not_set() {
    let world = world().await;
    let session = Session::passing(SessionId("s".into()), Principal(READER.into()));
    for sql in ["set kinesis.start = 'latest'", "reset kinesis.start", "begin"] {
        let error = asked_in(&world, &session, sql).await.unwrap_err();
        assert_eq!(error.category(), ErrorCategory::FailedPrecondition, "{sql}: {error}");
    }
    assert!(world.engine.begin_transaction(&session).is_err());
    assert!(asked_in(&world, &session, "select count(*) from t").await.is_ok());
    session.keep();
    asked_in(&world, &session, "set kinesis.start = 'latest'").await.unwrap();
}

#[tokio::test]
async fn roles_that_statements_may_name_are_listed() {
    let source = Arc::new(MemorySource::new(1));
    let rules = DefinitionRules {
        roles: Patterns::new(["arn:aws:iam::1:role/read-*"]).unwrap(),
        ..DefinitionRules::all()
    };
    let world = World::ruled(source, rules);
    let create = |options: &str| {
        format!("create or replace external table x (n bigint) stored as kinesis location 'kinesis://s' options (format 'json', {options})")
    };
    asked(
        &world,
        ROOT,
        &create("kinesis.role_arn 'arn:aws:iam::1:role/read-s', kinesis.external_id '7'"),
    )
    .await
    .unwrap();
    for options in ["kinesis.role_arn 'arn:aws:iam::1:role/admin'", "kinesis.endpoint 'http://h'"] {
        let error = asked(&world, ROOT, &create(options)).await.unwrap_err();
        assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{options}: {error}");
    }
}
