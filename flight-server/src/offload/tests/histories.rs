//! Tables with a history: what is in the lake, and what the stream has behind it, each row once.

use lake::LakeSpec;

use super::*;
use crate::engine::ErrorCategory;

const FORMATS: [&str; 3] = ["delta", "parquet", "orc"];

/// Tables as the lake keeps them, in a store in memory.
#[derive(Debug)]
struct StoredLakes(Arc<InMemory>);

#[async_trait]
impl Lakes for StoredLakes {
    async fn open(&self, spec: LakeSpec) -> Result<OpenLake, OffloadError> {
        let folder = Path::from(spec.location.trim_start_matches("s3://lake/"));
        let store: Arc<dyn ObjectStore> = Arc::<InMemory>::clone(&self.0);
        let table = lake::open(&spec, Arc::clone(&store), folder.clone())?;
        Ok(OpenLake { table, store, folder })
    }
}

/// A world in which `t` has the history `j`, and `plain` is its stream alone.
fn world(shards: usize) -> World {
    let world = World::new(shards);
    let files = world.directory.path();
    std::fs::write(files.join("table.yaml"), format!("{TABLE}history: j\n")).unwrap();
    std::fs::write(files.join("plain.yaml"), TABLE.replace("table: t", "table: plain")).unwrap();
    world
}

fn server(world: &World) -> Server {
    let lakes = Arc::new(StoredLakes(Arc::clone(&world.files)));
    world.server_over(lakes, &Arc::default(), Access::everything())
}

/// The rows of these numbers, as they are put.
fn rows(numbers: std::ops::Range<i64>) -> Vec<String> {
    numbers.map(|n| format!("{n}|w{}", n % 5)).collect()
}

#[tokio::test]
async fn rows_are_those_of_the_lake_and_those_behind_them() {
    for format in FORMATS {
        let world = world(2);
        let before = server(&world);
        before.run(&CREATE.replace("delta", format)).await.unwrap();
        let nothing = before.run("select n from t").await.unwrap_err();
        assert_eq!(nothing.category(), ErrorCategory::FailedPrecondition, "{nothing}");
        assert!(nothing.to_string().contains("published nothing yet"), "{nothing}");
        world.put(0..20);
        let parent = world.source.open_shards().remove(0);
        world.source.split(&parent).unwrap();
        before.work().await.unwrap();
        world.put(20..30);
        let all = "select n, word from t order by n";
        assert_eq!(before.run(all).await.unwrap(), rows(0..30), "{format}");
        for shard in world.source.shard_ids() {
            // what was put since the split is 4 + 3 + 3 records
            world.source.trim(&shard, if shard == parent { 0 } else { 4 });
        }
        let after = server(&world);
        assert_eq!(
            after.run(all).await.unwrap(),
            rows(0..30),
            "{format}: what has expired is in the lake"
        );
        assert!(after.run("select count(*) from plain").await.unwrap()[0].parse::<i64>().unwrap() < 30);
        for (sql, expected) in [
            ("select count(*), sum(n) from t", "30|435"),
            ("select count(*) from t where n >= 15 and word = 'w1'", "3"),
            ("select count(*) from (select n from t limit 25)", "25"),
            ("select count(distinct a.n) from t a join t b on a.n = b.n", "30"),
        ] {
            assert_eq!(after.run(sql).await.unwrap(), [expected], "{format}: {sql}");
        }
        after.work().await.unwrap();
        world.put(30..31);
        assert_eq!(after.run(all).await.unwrap(), rows(0..31), "{format}");
    }
}

#[tokio::test]
async fn a_ticket_reads_what_there_was() {
    let world = world(2);
    let server = server(&world);
    server.run(CREATE).await.unwrap();
    world.put(0..10);
    server.work().await.unwrap();
    world.put(10..15);
    let session = Session::new(SessionId("test".into()), Principal("anonymous".into()));
    let request = StatementRequest {
        per_shard: true,
        ..StatementRequest::new("select n from t")
    };
    let Planned::Query(mut query) = server.engine.plan(&session, request).await.unwrap() else {
        panic!("no query");
    };
    assert_eq!(query.parts.len(), 1, "the lake is read once");
    assert_eq!(query.facts["histories"][0]["offload"], "j");
    let part = query.parts.remove(0);
    let history = part.tables[0].history.as_ref().unwrap();
    assert_eq!(
        (history.offload.as_str(), history.version),
        ("j", query.facts["histories"][0]["version"].as_u64().unwrap())
    );
    world.put(15..20);
    server.work().await.unwrap();
    world.put(20..25);
    for _ in 0..2 {
        let batches: Vec<_> = server
            .engine
            .execute(part.clone())
            .await
            .unwrap()
            .batches
            .try_collect()
            .await
            .unwrap();
        let mut numbers: Vec<i64> = batches
            .iter()
            .flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().iter().flatten().collect::<Vec<_>>())
            .collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..15).collect::<Vec<_>>());
    }
    server.run("drop offload j").await.unwrap();
    let gone = server.engine.execute(part.clone()).await.map(drop).unwrap_err();
    assert_eq!(gone.category(), ErrorCategory::NotFound, "{gone}");
    server.run(CREATE).await.unwrap();
    let other = server.engine.execute(part).await.map(drop).unwrap_err();
    assert_eq!(other.category(), ErrorCategory::FailedPrecondition, "{other}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_those_of_the_stream_while_it_is_written_and_offloaded() {
    let world = world(3);
    let (reading, working) = (server(&world), server(&world));
    working
        .run(&CREATE.replace("'trim_horizon'", "'trim_horizon', iteration_max '300B'"))
        .await
        .unwrap();
    world.put(0..10);
    working.work().await.unwrap();
    let both = "select h.n, h.n - p.n, h.s - p.s from (select count(*) as n, sum(n) as s from t) h, \
                (select count(*) as n, sum(n) as s from plain) p";
    for round in 1..25 {
        if round % 8 == 0 {
            let shard = world.source.open_shards().remove(0);
            world.source.split(&shard).unwrap();
        }
        world.put(round * 10..round * 10 + 10);
        let (worked, read) = tokio::join!(working.work(), reading.run(both));
        worked.unwrap();
        assert_eq!(read.unwrap(), [format!("{}|0|0", round * 10 + 10)]);
    }
}

#[tokio::test]
async fn what_cannot_be_right_is_refused_with_a_reason() {
    let world = world(1);
    let server = server(&world);
    let unknown = server.run("select n from t").await.unwrap_err();
    assert_eq!(unknown.category(), ErrorCategory::NotFound, "{unknown}");
    server.run(CREATE).await.unwrap();
    world.put(0..5);
    server.work().await.unwrap();
    for (sql, part) in [
        ("follow select n from t", "FOLLOW"),
        ("/*+ start='latest' */ select n from t", "`start`"),
        ("select _shard_id from t", "`_shard_id` is not in the table's history"),
        ("/*+ bad_records='skip' */ select n from t", "`bad_records`"),
        ("/*+ checkpoint_name='c' */ select n from t", "no checkpoint"),
    ] {
        let error = server.run(sql).await.expect_err(sql);
        assert!(error.to_string().contains(part), "{sql}: {error}");
    }
    assert_eq!(server.run("select count(*) from t").await.unwrap(), ["5"]);
    let of_plain = "select count(plain._shard_id) from t join plain on t.n = plain.n";
    assert_eq!(server.run(of_plain).await.unwrap(), ["5"], "a hidden column of another table");
}

#[tokio::test]
async fn a_job_with_other_rows_is_no_history() {
    for (query, part) in [
        ("select n, word from t where n > 1", "leaves rows out"),
        ("select n, word from plain", "it is over table default.plain"),
        ("select n, upper(word) as word from t", "`word` is not in the table's history"),
    ] {
        let world = world(1);
        let server = server(&world);
        server.run(&CREATE.replace("select n, word from t", query)).await.unwrap();
        world.put(0..5);
        server.work().await.unwrap();
        let error = server.run("select n, word from t").await.expect_err(query);
        assert!(error.to_string().contains(part), "{query}: {error}");
    }
}
