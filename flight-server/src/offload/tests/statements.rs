//! What statements about jobs take and refuse, and what jobs read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use object_store::ObjectStoreExt;

use super::*;
use crate::engine::{AccessRule, ErrorCategory, Right};

#[tokio::test]
async fn a_job_is_checked_when_it_is_made() {
    let world = World::new(1);
    let server = world.server();
    let create = |rest: &str| format!("create offload x stored as delta {rest}");
    for (sql, category, part) in [
        (
            create("location 's3://other/x' as select n from t"),
            ErrorCategory::PermissionDenied,
            "allow.write",
        ),
        (
            create("location 's3://lake/../x' as select n from t"),
            ErrorCategory::InvalidArgument,
            "`..`",
        ),
        (
            create("location 's3://lake/x' options (evry '1s') as select n from t"),
            ErrorCategory::InvalidArgument,
            "did you mean `every`?",
        ),
        (
            create("location 's3://lake/x' options (every '1s', every '2s') as select n from t"),
            ErrorCategory::InvalidArgument,
            "twice",
        ),
        (
            create("location 's3://lake/x' as select m from t"),
            ErrorCategory::InvalidArgument,
            "m",
        ),
        (
            create("location 's3://lake/x' as select n from nowhere"),
            ErrorCategory::NotFound,
            "nowhere",
        ),
        (
            create("location 's3://lake/x' as select 1 as one"),
            ErrorCategory::InvalidArgument,
            "exactly one table",
        ),
        (
            create("location 's3://lake/x' as select * from t limit 5"),
            ErrorCategory::InvalidArgument,
            "LIMIT",
        ),
        (
            create("location 's3://lake/x' as select name from t, kinesis.system.offloads"),
            ErrorCategory::InvalidArgument,
            "nothing beside it",
        ),
        (
            create("location 's3://lake/x' as follow select n from t"),
            ErrorCategory::InvalidArgument,
            "FOLLOW",
        ),
        (
            create("location 's3://lake/x' as explain select n from t"),
            ErrorCategory::InvalidArgument,
            "EXPLAIN",
        ),
        (
            create("location 's3://lake/x' as drop table t"),
            ErrorCategory::InvalidArgument,
            "is a query",
        ),
        (
            create("location 's3://lake/x' as select n, word as \"N\" from t"),
            ErrorCategory::InvalidArgument,
            "same name",
        ),
        (
            create("partitioned by (day) location 's3://lake/x' as select n from t"),
            ErrorCategory::InvalidArgument,
            "no column `day`",
        ),
        (
            create("partitioned by (n) location 's3://lake/x' as select n from t"),
            ErrorCategory::InvalidArgument,
            "left for the files",
        ),
        (
            "create offload x stored as avro location 's3://lake/x' as select n from t".into(),
            ErrorCategory::InvalidArgument,
            "DELTA, PARQUET or ORC",
        ),
        (
            "create offload \"X y\" stored as delta location 's3://lake/x' as select n from t".into(),
            ErrorCategory::InvalidArgument,
            "no name",
        ),
        ("alter offload x pause".into(), ErrorCategory::NotFound, "no offload `x`"),
        ("drop offload x".into(), ErrorCategory::NotFound, "no offload `x`"),
    ] {
        let error = server.run(&sql).await.expect_err(&sql);
        assert_eq!(error.category(), category, "{sql}: {error}");
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
    server.run("drop offload if exists x").await.unwrap();
    assert!(server.run("show offloads").await.unwrap().is_empty());
}

#[tokio::test]
async fn jobs_are_seen_changed_and_removed_by_every_node() {
    let world = World::new(1);
    let (one, other) = (world.server(), world.server());
    one.run(CREATE).await.unwrap();
    assert_eq!(one.run(CREATE).await.unwrap_err().category(), ErrorCategory::AlreadyExists);
    one.run(&CREATE.replace("offload j", "offload if not exists j")).await.unwrap();
    for inside in ["s3://lake/j/k", "s3://lake/j"] {
        let near = CREATE.replace("offload j", "offload k").replace("s3://lake/j", inside);
        let error = one.run(&near).await.unwrap_err();
        assert!(error.to_string().contains("do not lie in each other"), "{error}");
    }
    let columns = "select name, \"table\", location, format, paused, last_iteration, rows from kinesis.system.offloads";
    assert_eq!(other.run(columns).await.unwrap(), ["j|default.t|s3://lake/j|delta|false||0"]);
    other.run("alter offload J pause").await.unwrap();
    world.put(0..3);
    one.work().await.unwrap();
    one.jobs.look().await.unwrap();
    assert_eq!(
        one.run("select paused, last_iteration, rows from kinesis.system.offloads")
            .await
            .unwrap(),
        ["true|0|0"]
    );
    let moved = CREATE.replace("create", "create or replace").replace("lake/j", "lake/other");
    let error = other.run(&moved).await.unwrap_err();
    assert!(error.to_string().contains("format, location and partitions stay"), "{error}");
    let wider = CREATE
        .replace("create", "create or replace")
        .replace("n, word", "n, word, n + 1 as more");
    other.run(&wider).await.unwrap();
    other.jobs.look().await.unwrap();
    assert!(other.jobs.definition("j").unwrap().paused, "it stays paused");
    other.run("alter offload j resume").await.unwrap();
    one.run("drop offload j").await.unwrap();
    other.jobs.look().await.unwrap();
    assert!(other.run("show offloads").await.unwrap().is_empty());
    // a file that is none
    let bad = Path::from("tables/offloads/bad.yaml");
    world.files.put(&bad, "offload: bad\ncolour: red\n".into()).await.unwrap();
    other.jobs.look().await.unwrap();
    let rows = other.run("select name, last_error from kinesis.system.offloads").await.unwrap();
    assert!(
        rows.len() == 1 && rows[0].starts_with("bad|") && rows[0].contains("colour"),
        "{rows:?}"
    );
    other.run("drop offload bad").await.unwrap();
    other.jobs.look().await.unwrap();
    assert!(other.run("show offloads").await.unwrap().is_empty());
}

#[tokio::test]
async fn rights_are_asked() {
    let world = World::new(1);
    let rule = |principal: &str, may: &[Right]| AccessRule::new(principal, may.iter().copied()).unwrap().on_tables(["t"]).unwrap();
    let access = Access::new(vec![
        rule("reader", &[Right::Read]),
        rule("mover", &[Right::Read, Right::Offload]),
        rule("blind", &[Right::Offload]),
        rule("consumer", &[Right::Consume]).on_checkpoints(["*"]).unwrap(),
    ]);
    let server = world.faulty_server(&Arc::default(), access);
    for who in ["reader", "blind", "nobody", "consumer"] {
        assert_eq!(
            server.run_as(who, CREATE).await.unwrap_err().category(),
            ErrorCategory::PermissionDenied,
            "{who}"
        );
    }
    server.run_as("mover", CREATE).await.unwrap();
    for (who, sql, category) in [
        ("reader", "drop offload j", ErrorCategory::NotFound),
        ("reader", "alter offload j pause", ErrorCategory::NotFound),
        ("nobody", "drop offload j", ErrorCategory::NotFound),
    ] {
        assert_eq!(server.run_as(who, sql).await.unwrap_err().category(), category, "{who}: {sql}");
    }
    assert_eq!(
        server.run_as("reader", "select name from kinesis.system.offloads").await.unwrap(),
        ["j"]
    );
    assert!(
        server
            .run_as("blind", "select name from kinesis.system.offloads")
            .await
            .unwrap()
            .is_empty()
    );
    world.put(0..3);
    server.work().await.unwrap();
    // nobody but the job consumes by its checkpoint
    let checkpoint = world.store.consumers().await.unwrap()[0].0.name.to_string();
    let sql = format!("/*+ checkpoint_name = '{checkpoint}', commit_on_read = true */ select n from t");
    assert_eq!(
        server.run_as("consumer", &sql).await.unwrap_err().category(),
        ErrorCategory::PermissionDenied
    );
    // the right is asked when the job runs, too
    let nothing = world.faulty_server(&Arc::default(), Access::new(vec![rule("mover", &[Right::Read])]));
    let error = nothing.work().await.unwrap_err();
    assert!(error.to_string().contains("no right to offload"), "{error}");
}

#[tokio::test]
async fn rows_come_by_shard_and_position_and_columns_that_are_added_come_too() {
    let world = World::new(3);
    let server = world.server();
    let all = CREATE.replace("select n, word", "select *");
    server.run(&all).await.unwrap();
    let shards = world.source.shard_ids();
    for n in 0..30 {
        world.put_to(&shards[n % 3], &format!("{{\"n\":{n},\"word\":\"w\",\"extra\":{n}}}"));
    }
    server.work().await.unwrap();
    let expected: Vec<i64> = (0..3).flat_map(|shard| (0..10).map(move |n| n * 3 + shard)).collect();
    assert_eq!(world.published(), expected);
    let wider = format!("{TABLE}  - {{ name: extra, path: extra, type: bigint }}\n");
    std::fs::write(world.directory.path().join("table.yaml"), wider).unwrap();
    world.put_to(&shards[0], "{\"n\":30,\"word\":\"w\",\"extra\":7}");
    let later = world.server();
    later.work().await.unwrap();
    let rows = world.lakes.rows("s3://lake/j");
    let last = rows.last().unwrap();
    assert_eq!(last.schema().field(2).name(), "extra");
    assert_eq!(last.column(2).as_primitive::<Int64Type>().value(0), 7);
}

#[tokio::test]
async fn an_aggregate_is_of_each_iteration_and_now_is_when_it_was_opened() {
    let world = World::new(2);
    let server = world.server();
    let sums = CREATE.replace("select n, word", "select sum(n) as n, count(*) as records, max(now()) as at");
    server.run(&sums).await.unwrap();
    world.put(0..10);
    server.work().await.unwrap();
    world.put(10..12);
    server.work().await.unwrap();
    assert_eq!(world.published(), [45, 21]);
}

#[tokio::test]
async fn bad_records_are_kept_beside_the_table_once() {
    let world = World::new(2);
    let server = world.server();
    server
        .run(&CREATE.replace("'trim_horizon'", "'trim_horizon', bad_records 'skip'"))
        .await
        .unwrap();
    world.put(0..4);
    let shard = world.source.shard_ids().remove(0);
    world.put_to(&shard, "no json \u{1F980}");
    world.put_to(&shard, "{\"n\":\"not a number\",\"word\":\"x\"}");
    let done = server.work().await.unwrap();
    assert_eq!((done[0].rows, done[0].bad_records), (4, 2));
    assert_eq!(world.sorted(), [0, 1, 2, 3]);
    let listed: Vec<_> = world.lakes.objects.list(None).try_collect().await.unwrap();
    let [object] = listed.as_slice() else { panic!("{listed:?}") };
    assert_eq!(object.location.as_ref(), "j/_dead_letters/j/00000000000000000000-00000.ndjson");
    let text = world.lakes.objects.get(&object.location).await.unwrap().bytes().await.unwrap();
    let letters: Vec<serde_json::Value> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect();
    assert_eq!(letters.len(), 2);
    let bytes = STANDARD.decode(letters[0]["bytes"].as_str().unwrap()).unwrap();
    assert_eq!(bytes, "no json \u{1F980}".as_bytes());
    assert_eq!(letters[0]["shard"], shard.as_str());
    assert!(letters[1]["reason"].as_str().unwrap().starts_with("n: "), "{letters:?}");
    let log = world.source.log(&shard);
    let expected: Vec<String> = log[log.len() - 2..]
        .iter()
        .map(|(number, _)| format!("{:0>57}", number.to_string()))
        .collect();
    assert_eq!(
        letters
            .iter()
            .map(|letter| letter["sequence_number"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>(),
        expected
    );
    assert!(letters[0]["arrival"].as_str().unwrap().ends_with('Z'));
    // nothing bad, nothing written
    world.put(4..6);
    assert_eq!(server.work().await.unwrap()[0].bad_records, 0);
    let listed: Vec<_> = world.lakes.objects.list(None).try_collect().await.unwrap();
    assert_eq!(listed.len(), 1);
}

#[tokio::test]
async fn bad_records_are_found_whatever_a_statement_reads() {
    for shards in [1, 2] {
        for query in [
            "select n, word from t",
            "select word from t",
            "select 1 as one from t",
            "select n, word from t where n > 2",
            "select n, word from t where n + _segment_count < 0",
            "select n, word from t where _message_timestamp < timestamp '2001-01-01 00:00:00'",
            "select n, word from t where _shard_id = 'none'",
            "select sum(n) as n from t",
        ] {
            let world = World::new(shards);
            let server = world.server();
            server.run(&CREATE.replace("select n, word from t", query)).await.unwrap();
            world.put(0..4);
            let shard = world.source.shard_ids().remove(0);
            world.put_to(&shard, "no json");
            world.put_to(&shard, "{\"n\":\"no number\",\"word\":\"x\"}");
            let done = server.work().await.unwrap();
            assert_eq!(done[0].bad_records, 2, "{query}, {shards} shards");
            let listed: Vec<_> = world.lakes.objects.list(None).try_collect().await.unwrap();
            assert_eq!(listed.len(), 1, "{query}, {shards} shards");
        }
    }
}
