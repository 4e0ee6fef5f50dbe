use futures::StreamExt;
use futures::stream::BoxStream;

use super::*;

struct Following {
    batches: BoxStream<'static, Result<RecordBatch, EngineError>>,
    rows: Vec<String>,
}

impl World {
    async fn follow(&self, sql: &str) -> Following {
        let mut query = self.plan(sql, true).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(query.parts.len(), 1, "{sql}");
        let execution = self.engine.execute(query.parts.remove(0)).await.unwrap();
        assert!(execution.endless && execution.schema == query.schema, "{sql}");
        Following {
            batches: execution.batches,
            rows: Vec::new(),
        }
    }

    pub(super) fn put_rows(&self, numbers: std::ops::Range<i64>) {
        let shards = self.source.open_shards();
        for n in numbers {
            self.put(
                &shards[n as usize % shards.len()],
                &format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5),
            );
        }
    }
}

impl Following {
    /// Reads until so many rows have come, and gives them all, sorted.
    async fn until(&mut self, rows: usize) -> Result<Vec<String>, EngineError> {
        while self.rows.len() < rows {
            let next = tokio::time::timeout(Duration::from_secs(900), self.batches.next()).await;
            let next = next.unwrap_or_else(|_| panic!("{} rows, not {rows}: {:?}", self.rows.len(), self.rows));
            match next {
                Some(batch) => self.rows.extend(texts(&[batch?])),
                None => break,
            }
        }
        let mut rows = self.rows.clone();
        rows.sort_by_key(|row| row.split('|').next().and_then(|n| n.parse::<i64>().ok()));
        Ok(rows)
    }
}

#[tokio::test(start_paused = true)]
async fn rows_come_as_records_do() {
    let world = World::with_rows(2, 10);
    let mut all = world.follow("follow select n, word from t where n % 2 = 0").await;
    let mut new = world.follow("/*+ start='latest' */ follow select n * 10 as n from t").await;
    assert_eq!(all.until(5).await.unwrap(), ["0|w0", "2|w2", "4|w4", "6|w1", "8|w3"]);
    for n in 10..16 {
        world.put_rows(n..n + 1);
        let last = format!("{}", n * 10);
        assert_eq!(new.until(n as usize - 9).await.unwrap().last(), Some(&last));
    }
    assert_eq!(all.until(8).await.unwrap()[5..], ["10|w0", "12|w2", "14|w4"]);
    // longer than any statement may run
    tokio::time::sleep(Duration::from_secs(700)).await;
    world.put_rows(16..17);
    assert_eq!(all.until(9).await.unwrap().last().unwrap(), "16|w1");
    // a split on the way
    let open = world.source.open_shards();
    world.source.split(&open[0]).unwrap();
    world.put_rows(17..40);
    assert_eq!(new.until(30).await.unwrap().len(), 30);
    let seen = all.until(20).await.unwrap();
    assert_eq!(seen.last().unwrap(), "38|w3");
    assert_eq!(seen.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn plans_that_run_endlessly() {
    let world = World::with_rows(2, 10);
    for (sql, rows) in [
        ("follow select n from t limit 13", 13),
        ("follow select count(*) from (select n from t limit 12) x", 1),
        ("follow select n from t union all select k from (values (100), (101)) v(k)", 16),
        (
            "follow select n, name from t join (values (1, 'one'), (11, 'eleven'), (13, 'x')) v(k, name) on n = k",
            3,
        ),
        ("follow select n, name from t left join (values (1, 'one')) v(k, name) on n = k", 14),
        ("follow select n from t where n in (select k from (values (3), (12)) v(k))", 2),
        ("follow select n from t where n + random() > 10", 4),
        ("follow select n, _segment_count, _shard_id, row_number() over () as r from t", 14),
        ("follow with c as (select n + 1 as m from t) select m from c where m > 10", 4),
    ] {
        let mut following = world.follow(sql).await;
        world.put_rows(10..14);
        let seen = following.until(rows).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(seen.len(), rows, "{sql}: {seen:?}");
        // the next statement begins as this one did
        world.source.recreate();
        world.put_rows(0..10);
    }
    let ended = world.follow("follow select n from t limit 3").await.until(4).await.unwrap();
    assert_eq!(ended.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn plans_that_cannot_are_refused_and_the_operator_is_named() {
    let world = World::with_rows(2, 10);
    for (sql, operator) in [
        ("follow select n from t order by n", "Sort"),
        ("follow select n from t order by n limit 3", "Sort"),
        ("follow select count(*) from t", "Aggregate"),
        ("follow select word, sum(n) from t group by word", "Aggregate"),
        ("follow select distinct word from t", "Aggregate"),
        ("follow select a.n from t a join t b on a.n = b.n", "Join"),
        ("follow select n from t where n = (select max(n) from t)", "Aggregate"),
        ("follow select n, sum(n) over (partition by word order by n) from t", "Sort"),
    ] {
        let error = world.plan(sql, false).await.expect_err(sql);
        assert_eq!(error.category(), ErrorCategory::InvalidArgument, "{sql}: {error}");
        let text = error.to_string();
        assert!(
            text.contains("cannot be followed") && text.contains(operator) && text.len() < 400,
            "{sql}: {text}"
        );
    }
    let plan = world.rows("explain follow select n from t where n > 3").await.unwrap().join("\n");
    assert!(plan.contains("follow") && plan.contains("ShardScanExec"), "{plan}");
}

#[tokio::test(start_paused = true)]
async fn options_hold_while_following() {
    let world = World::with_rows(1, 2);
    let shard = world.source.shard_ids()[0].clone();
    let mut skipping = world.follow("/*+ bad_records='skip' */ follow select n from t").await;
    let mut failing = world.follow("/*+ bad_records='fail' */ follow select n from t").await;
    let mut counted = world.follow("follow select _segment_count as c, n from t where n > 0").await;
    let mut one = world
        .follow("follow select n from t where _shard_id = 'shardId-000000000001'")
        .await;
    failing.until(2).await.unwrap();
    world.put(&shard, "no json");
    world.put(&shard, "{\"n\":7}");
    assert_eq!(skipping.until(3).await.unwrap(), ["0", "1", "7"]);
    let error = failing.until(3).await.unwrap_err();
    assert!(matches!(error, EngineError::BadRecord { .. }), "{error}");
    assert_eq!(counted.until(2).await.unwrap(), ["2|1", "4|7"]);
    let [left, right] = world.source.split(&shard).unwrap();
    world.put(&left, "{\"n\":8}");
    world.put(&right, "{\"n\":9}");
    assert_eq!(one.until(1).await.unwrap(), ["8"]);
    let mut timed = world.follow("/*+ max_seconds='30' */ follow select n from t").await;
    let error = timed.until(100).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::DeadlineExceeded, "{error}");
    assert!(error.to_string().contains("max_seconds"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn gaps_are_errors_or_in_the_facts() {
    for (hint, follow) in [("fail", ""), ("fail", "follow"), ("warn", ""), ("warn", "follow")] {
        let world = World::with_rows(1, 40);
        let shard = world.source.shard_ids()[0].clone();
        let limit = if follow.is_empty() { "" } else { "limit 10" };
        let sql = format!("/*+ on_gap='{hint}' */ {follow} select n from t {limit}");
        let part = world.plan(&sql, false).await.unwrap().parts.remove(0);
        // another process fetches it, after the first records have expired
        world.source.trim(&shard, 10);
        let other = World::over(Arc::clone(&world.source));
        let execution = other.engine.execute(part).await.unwrap();
        let facts = Arc::clone(&execution.facts);
        let read: Result<Vec<RecordBatch>, EngineError> = execution.batches.try_collect().await;
        if hint == "fail" {
            assert_eq!(read.unwrap_err().category(), ErrorCategory::FailedPrecondition, "{sql}");
            continue;
        }
        assert_eq!(texts(&read.unwrap()), (30..40).map(|n| n.to_string()).collect::<Vec<_>>(), "{sql}");
        let facts = facts.to_json();
        let told = &facts["shards"][0];
        assert_eq!(
            (told["complete"].as_bool(), told["shard"].as_str()),
            (Some(false), Some(&*shard.to_string())),
            "{sql}: {facts}"
        );
        assert!(told["reason"].as_str().unwrap().starts_with("gap from before:"), "{sql}: {facts}");
        assert!(other.engine.readers().counters().gaps == 1, "{sql}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_created_anew_ends_its_followers_and_is_read_by_the_next_statement() {
    let world = World::with_rows(2, 10);
    let mut following = world.follow("follow select n from t").await;
    following.until(10).await.unwrap();
    let part = world.plan("select n from t", false).await.unwrap().parts.remove(0);
    world.source.recreate();
    world.put_rows(100..103);
    assert_eq!(world.rows("select n from t").await.unwrap(), ["100", "101", "102"]);
    for error in [
        following.until(11).await.unwrap_err(),
        world.run(part).await.expect_err("the old stream"),
    ] {
        assert_eq!(error.category(), ErrorCategory::FailedPrecondition, "{error}");
        let text = error.to_string();
        assert!(
            text.contains("2026-01-01T00:00:00.000Z") && text.contains("2026-01-01T00:01:00.000Z"),
            "{text}"
        );
    }
}
