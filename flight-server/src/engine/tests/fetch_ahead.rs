//! Fetching while a client polls.

use super::*;

fn backlog(world: &World, rows: i64) {
    world.source.set_retention(Duration::from_secs(30 * 86_400));
    let old = world.source.clock().now_ms() - 10 * 86_400_000;
    for shard in world.source.shard_ids() {
        for n in 0..rows {
            let record = format!("{{\"n\":{n},\"word\":\"w\"}}");
            world.source.put_as(&shard, Some("key"), Some(old + n), record.as_bytes()).unwrap();
        }
        world.put(&shard, "{\"n\":-1,\"word\":\"fresh\"}");
    }
}

/// One call a second: a backlog of 200 takes some 12 s.
fn paced(config: ReaderConfig) -> ReaderConfig {
    ReaderConfig {
        calls_per_second: Some(1.0),
        ..config
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_fetched_while_polling_is_held_when_it_is_read() {
    let world = World::with_reader(2, paced);
    backlog(&world, 200);
    let query = world.plan("select n from t where n >= 0", true).await.unwrap();
    let first = world.engine.fetch_ahead(&query.parts).await.unwrap();
    assert!(!first.done, "{first:?}");
    let (mut polls, mut last) = (0, first);
    while !last.done {
        tokio::time::sleep(Duration::from_secs(1)).await;
        last = world.engine.fetch_ahead(&query.parts).await.unwrap();
        polls += 1;
        assert!(polls < 100, "{last:?}");
    }
    assert!(polls > 3, "at one call a second it takes longer");
    assert_eq!(last.progress, Some(1.0));
    let mut rows = 0;
    for part in query.parts {
        let execution = world.engine.execute(part).await.unwrap();
        let batches: Vec<RecordBatch> = execution.batches.try_collect().await.unwrap();
        rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        assert_eq!(execution.facts.to_json()["bytes_read"], 0);
    }
    assert_eq!(rows, 400);
    // A statement whose rows are all held has nothing to wait for.
    let held = world.plan("select n from t", true).await.unwrap();
    assert_eq!(world.engine.fetch_ahead(&held.parts).await.unwrap(), FetchProgress::NOTHING);
}

#[tokio::test(start_paused = true)]
async fn progress_grows_with_what_is_read() {
    let world = World::with_reader(1, paced);
    let shard = world.source.shard_ids()[0].clone();
    let now = world.source.clock().now_ms();
    for n in 0..400_i64 {
        let record = format!("{{\"n\":{n}}}");
        world
            .source
            .put_as(&shard, Some("key"), Some(now - (400 - n) * 1000), record.as_bytes())
            .unwrap();
    }
    let query = world.plan("select n from t", true).await.unwrap();
    let mut seen = vec![world.engine.fetch_ahead(&query.parts).await.unwrap()];
    while !seen[seen.len() - 1].done {
        tokio::time::sleep(Duration::from_secs(2)).await;
        seen.push(world.engine.fetch_ahead(&query.parts).await.unwrap());
    }
    let parts: Vec<f64> = seen.iter().map(|step| step.progress.expect("an estimate")).collect();
    assert!(parts.is_sorted(), "{parts:?}");
    assert!(parts.iter().any(|part| *part > 0.2 && *part < 0.8), "{parts:?}");
    assert_eq!(parts.last(), Some(&1.0));
}

#[tokio::test(start_paused = true)]
async fn it_ends_when_nobody_asks_any_more_or_somebody_cancels() {
    let world = World::with_reader(1, paced);
    backlog(&world, 2000);
    let query = world.plan("select n from t", true).await.unwrap();
    world.engine.fetch_ahead(&query.parts).await.unwrap();
    tokio::time::sleep(Duration::from_secs(32)).await;
    let after_lease = world.source.calls().read;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert!(world.source.calls().read - after_lease <= 1, "a page at most");
    assert!(!world.engine.stop_fetching(&query.query_id), "it is forgotten");

    assert!(
        !world.engine.fetch_ahead(&query.parts).await.unwrap().done,
        "a later poll begins anew"
    );
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(world.engine.stop_fetching(&query.query_id));
    let cancelled = world.source.calls().read;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(world.source.calls().read - cancelled <= 1, "a page at most");
}

#[tokio::test(start_paused = true)]
async fn no_more_is_fetched_than_memory_keeps() {
    let world = World::with_reader(1, |config| ReaderConfig {
        memory_bytes: 20_000,
        ..config
    });
    backlog(&world, 2000);
    let query = world.plan("select n from t", true).await.unwrap();
    let mut last = world.engine.fetch_ahead(&query.parts).await.unwrap();
    while !last.done {
        last = world.engine.fetch_ahead(&query.parts).await.unwrap();
    }
    // Half of it: records of some 20 bytes.
    let fetched = world.source.calls().records * 20;
    assert!((5_000..20_000).contains(&fetched), "{fetched}");
    assert_eq!(world.rows("select count(*) from t").await.unwrap(), ["2001"]);
}

#[tokio::test]
async fn what_needs_no_fetching_is_done_at_once() {
    let world = World::with_rows(1, 10);
    for sql in ["select 1", "select n from t limit 3", "explain select n from t"] {
        let query = world.plan(sql, true).await.unwrap();
        assert!(world.engine.fetch_ahead(&query.parts).await.unwrap().done, "{sql}");
    }
}
