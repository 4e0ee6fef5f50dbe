//! Limits of reading, and what a result says of its completeness.

use futures::StreamExt;

use super::*;

/// What a part gives: its rows as texts, the error that ends it, and the facts.
async fn outcome(world: &World, part: QueryPart) -> (Vec<String>, Option<EngineError>, serde_json::Value) {
    let mut execution = world.engine.execute(part).await.unwrap();
    let (mut rows, mut error) = (Vec::new(), None);
    while let Some(batch) = execution.batches.next().await {
        match batch {
            Ok(batch) => rows.extend(texts(&[batch])),
            Err(failed) => {
                error = Some(failed);
                break;
            }
        }
    }
    (rows, error, execution.facts.to_json())
}

/// A backlog of `rows` records a shard, ten days old, and a fresh record: the tip is found at once, the backlog is read by the statement.
fn with_backlog(shards: usize, rows: i64) -> World {
    let world = World::new(shards);
    world.source.set_retention(Duration::from_secs(30 * 86_400));
    let old = world.source.clock().now_ms() - 10 * 86_400_000;
    for (index, shard) in world.source.shard_ids().into_iter().enumerate() {
        for n in 0..rows {
            let record = format!("{{\"n\":{},\"word\":\"w\"}}", n + index as i64 * rows);
            world.source.put_as(&shard, Some("key"), Some(old + n), record.as_bytes()).unwrap();
        }
        world.put(&shard, "{\"n\":-1,\"word\":\"fresh\"}");
    }
    world
}

#[tokio::test]
async fn partial_results_end_in_an_error_that_names_what_is_missing() {
    let world = with_backlog(1, 200);
    let hint = "/*+ max_bytes='1000', on_limit='partial' */";
    let query = world.plan(&format!("{hint} select n from t"), true).await.unwrap();
    let (rows, error, facts) = outcome(&world, query.parts[0].clone()).await;
    // 16 records of a page are some 350 bytes; the limit lies within the backlog.
    assert!(rows.len() >= 32 && rows.len() < 150, "{}", rows.len());
    let expected: Vec<String> = (0..rows.len()).map(|n| n.to_string()).collect();
    assert_eq!(rows, expected, "rows from the range's start, none left out");
    let error = error.expect("never success");
    assert_eq!(error.category(), ErrorCategory::OutOfRange, "{error}");
    let text = error.to_string();
    for part in ["incomplete", "max_bytes", "1000", "shardId-000000000000", "default.t", "on_limit"] {
        assert!(text.contains(part), "{part} is not in: {text}");
    }
    let shard = &facts["shards"][0];
    assert_eq!(shard["complete"], false);
    assert!(shard["reason"].as_str().unwrap().contains("max_bytes"), "{shard}");
    assert_ne!(shard["to"], shard["from"]);
    assert!(text.contains(shard["to"].as_str().unwrap()), "{text}\n{shard}");

    // A gathered plan finishes over what was read.
    let gathered = world.plan(&format!("{hint} select count(*), min(n) from t"), true).await.unwrap();
    assert_eq!(gathered.parts.len(), 1);
    let fresh = with_backlog(1, 200);
    let gathered = fresh.plan(&format!("{hint} select count(*), min(n) from t"), true).await.unwrap();
    let (rows, error, _) = outcome(&fresh, gathered.parts[0].clone()).await;
    let count: i64 = rows[0].split('|').next().unwrap().parse().unwrap();
    assert!((32..150).contains(&count), "{rows:?}");
    assert!(rows[0].ends_with("|0"), "{rows:?}");
    assert_eq!(error.expect("never success").category(), ErrorCategory::OutOfRange);
}

#[tokio::test]
async fn without_partial_a_limit_fails_and_gives_its_number() {
    let world = with_backlog(1, 200);
    let query = world.plan("/*+ max_bytes='1000' */ select n from t", false).await.unwrap();
    let (_, error, facts) = outcome(&world, query.parts[0].clone()).await;
    let error = error.expect("a limit");
    assert_eq!(error.category(), ErrorCategory::ResourceExhausted);
    assert!(error.to_string().contains("1000 bytes"), "{error}");
    assert_eq!(facts["shards"][0]["complete"], false);
    // within the limit nothing changes
    let query = world
        .plan("/*+ max_bytes='100000', on_limit='partial' */ select n from t", false)
        .await
        .unwrap();
    let (rows, error, facts) = outcome(&world, query.parts[0].clone()).await;
    assert_eq!((rows.len(), error.is_none()), (201, true));
    assert_eq!(facts["shards"][0]["complete"], true);
}

#[tokio::test(start_paused = true)]
async fn seconds_are_a_limit_too() {
    let world = with_backlog(1, 200);
    let shard = world.source.shard_ids()[0].clone();
    for (on_limit, category) in [("fail", ErrorCategory::DeadlineExceeded), ("partial", ErrorCategory::OutOfRange)] {
        let sql = format!("/*+ max_seconds='2', on_limit='{on_limit}', freshness='cached' */ select n from t");
        let query = world.plan(&sql, false).await.unwrap();
        // the service is out of reach for longer than that
        world.source.fail_reads(&shard, shard_reader::SourceErrorKind::Unavailable, 200);
        let begin = Instant::now();
        let (_, error, facts) = outcome(&world, query.parts[0].clone()).await;
        assert_eq!(error.expect("a limit").category(), category);
        assert!((1..=3).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
        assert!(facts["shards"][0]["reason"].as_str().unwrap().contains("max_seconds"), "{facts}");
        world.source.fail_reads(&shard, shard_reader::SourceErrorKind::Unavailable, 0);
    }
}

#[tokio::test]
async fn a_result_tells_what_it_was_read_from() {
    let world = with_backlog(2, 100);
    let bytes: u64 = world
        .source
        .shard_ids()
        .iter()
        .flat_map(|shard| world.source.log(shard))
        .map(|(_, data)| data.len() as u64 + 3)
        .sum();
    let query = world.plan("select count(*) from t", false).await.unwrap();
    let (rows, error, facts) = outcome(&world, query.parts[0].clone()).await;
    assert_eq!((rows, error.is_none()), (vec!["202".to_owned()], true));
    let sum = |key: &str| -> u64 {
        let shards = facts["shards"].as_array().unwrap();
        shards.iter().map(|shard| shard[key].as_u64().unwrap()).sum()
    };
    assert_eq!(sum("bytes_cached") + sum("bytes_read"), bytes, "{facts}");
    for key in ["bytes_cached", "bytes_read", "calls"] {
        assert_eq!(facts[key].as_u64().unwrap(), sum(key), "{key}: {facts}");
    }
    assert!(facts["calls"].as_u64().unwrap() > 5, "a backlog of 200 in pages of 16: {facts}");
    for key in ["planning_ms", "first_row_ms", "total_ms"] {
        assert!(facts[key].is_u64(), "{key}: {facts}");
    }
    assert_eq!(facts["rows"], 1);
    for shard in facts["shards"].as_array().unwrap() {
        assert_eq!((&shard["complete"], &shard["table"]), (&true.into(), &"default.t".into()));
    }
}

#[tokio::test]
async fn a_shard_that_a_limit_left_unread_is_not_complete() {
    let world = with_backlog(1, 200);
    let query = world.plan("select n from t limit 5", false).await.unwrap();
    let (rows, error, facts) = outcome(&world, query.parts[0].clone()).await;
    assert_eq!((rows.len(), error.is_none()), (5, true));
    let shard = &facts["shards"][0];
    assert_eq!((&shard["complete"], &shard["reason"]), (&false.into(), &"limit".into()), "{facts}");
}
