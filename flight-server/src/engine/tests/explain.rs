//! What EXPLAIN says of reading, and what is refused because of it.

use super::*;

/// One record a second up to now in one shard; gives all bytes.
fn steady(world: &World, count: i64) -> u64 {
    let shard = world.source.shard_ids()[0].clone();
    let now = world.source.clock().now_ms();
    let mut bytes = 0;
    for n in 0..count {
        let record = format!("{{\"n\":{n},\"word\":\"steady\"}}");
        bytes += record.len() as u64 + 3;
        let arrival = now - (count - n) * 1000;
        world.source.put_as(&shard, Some("key"), Some(arrival), record.as_bytes()).unwrap();
    }
    bytes
}

/// Rows of an EXPLAIN as (plan_type, plan), in order.
async fn explain(world: &World, sql: &str) -> Vec<(String, String)> {
    let query = world.plan(sql, true).await.unwrap();
    let names: Vec<&str> = query.schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["plan_type", "plan"]);
    assert_eq!(query.parts.len(), 1, "{sql}");
    let rows = texts(&world.run(query.parts[0].clone()).await.unwrap());
    rows.into_iter()
        .map(|row| {
            let (kind, plan) = row.split_once('|').unwrap();
            (kind.to_owned(), plan.to_owned())
        })
        .collect()
}

fn value<'a>(plan: &'a str, name: &str) -> &'a str {
    let pairs = plan.split(", ").filter_map(|pair| pair.split_once('='));
    pairs
        .into_iter()
        .find(|(known, _)| *known == name)
        .map_or("absent", |(_, value)| value)
}

fn of_kind<'a>(rows: &'a [(String, String)], kind: &str) -> Vec<&'a str> {
    rows.iter()
        .filter(|(known, _)| known == kind)
        .map(|(_, plan)| plan.as_str())
        .collect()
}

#[tokio::test]
async fn explain_tells_what_would_be_read_and_reads_nothing() {
    let world = World::with_rows(3, 0);
    let total = steady(&world, 400);
    let rows = explain(&world, "explain select n from t where n > 3").await;
    assert_eq!(of_kind(&rows, "logical_plan").len(), 1, "{rows:?}");
    assert!(of_kind(&rows, "physical_plan")[0].contains("ShardScanExec"), "{rows:?}");
    let shards = of_kind(&rows, "snapshot");
    assert_eq!(shards.len(), 3);
    let first = shards[0];
    assert_eq!(
        (value(first, "table"), value(first, "shard")),
        ("default.t", "shardId-000000000000")
    );
    let (memory, to_read): (u64, u64) = (value(first, "memory").parse().unwrap(), value(first, "to_read").parse().unwrap());
    assert!(to_read.abs_diff(total - memory) < (total - memory) / 5, "{total} bytes: {first}");
    assert_eq!(value(first, "source"), "own rates");
    // Records of 16 a page.
    let calls: u64 = value(first, "calls").parse().unwrap();
    assert!((15..30).contains(&calls), "{first}");
    assert!(
        world.source.calls().records < 200,
        "an EXPLAIN reads no backlog: {:?}",
        world.source.calls()
    );
    assert_eq!((value(shards[1], "to_read"), value(shards[1], "source")), ("0", "held"));
    let all = of_kind(&rows, "snapshot_total")[0];
    assert_eq!((value(all, "shards"), value(all, "to_read")), ("3", value(first, "to_read")));
    // A provisioned stream, read within 7 days, is free of charge.
    assert_eq!(value(all, "dollars"), "0.0");

    world.rows("select count(*) from t").await.unwrap();
    let rows = explain(&world, "explain select n from t where n > 3").await;
    let first = of_kind(&rows, "snapshot")[0];
    assert_eq!(value(first, "memory"), total.to_string());
    for name in ["to_read", "calls"] {
        assert_eq!(value(first, name), "0", "{first}");
    }
    assert_eq!(value(first, "source"), "held");
}

#[tokio::test]
async fn explain_analyze_tells_what_was_read() {
    let world = World::with_rows(1, 0);
    let total = steady(&world, 200);
    let rows = explain(&world, "explain analyze select count(*) from t").await;
    assert!(of_kind(&rows, "Plan with Metrics")[0].contains("ShardScanExec"), "{rows:?}");
    let shard = of_kind(&rows, "read")[0];
    assert_eq!((value(shard, "records"), value(shard, "complete")), ("200", "true"), "{shard}");
    let number = |name: &str| value(shard, name).parse::<u64>().unwrap();
    assert_eq!(number("cached") + number("read"), total);
    assert!(number("calls") > 5, "{shard}");
    let all = of_kind(&rows, "read_total")[0];
    assert_eq!(value(all, "calls"), value(shard, "calls"));
    assert!(value(all, "total_ms").parse::<u64>().is_ok(), "{all}");
    let again = explain(&world, "explain analyze select count(*) from t").await;
    let shard = of_kind(&again, "read")[0];
    assert_eq!((value(shard, "read"), value(shard, "calls")), ("0", "0"), "{shard}");
}

#[tokio::test]
async fn formats_and_statements_without_streams() {
    let world = World::with_rows(2, 10);
    let rows = explain(&world, "explain format pgjson select n from t").await;
    let shards = of_kind(&rows, "snapshot");
    assert_eq!(shards.len(), 2);
    let shard: serde_json::Value = serde_json::from_str(shards[0]).unwrap();
    assert_eq!(shard["table"], "default.t");
    assert!(shard["memory"].is_u64() && shard["seconds"].is_number(), "{shard}");
    for format in ["indent", "tree", "graphviz"] {
        let rows = explain(&world, &format!("explain format {format} select n from t")).await;
        assert_eq!(of_kind(&rows, "snapshot").len(), 2, "{format}");
    }
    let rows = explain(&world, "explain select 1").await;
    assert!(of_kind(&rows, "snapshot").is_empty());
    assert_eq!(value(of_kind(&rows, "snapshot_total")[0], "shards"), "0");
    let rows = explain(&world, "explain verbose select n from t").await;
    assert!(!of_kind(&rows, "snapshot").is_empty());
}

#[tokio::test]
async fn a_statement_that_is_sure_to_reach_its_limit_is_refused_before_it_reads() {
    let world = World::with_rows(1, 0);
    steady(&world, 400);
    // Three quarters of it are read: what is left can be relied on.
    assert_eq!(world.rows("select n from t limit 300").await.unwrap().len(), 300);
    let before = world.source.calls().records;
    let error = world
        .rows("/*+ max_bytes='200' */ select count(*) from t")
        .await
        .expect_err("a limit");
    assert_eq!(error.category(), ErrorCategory::ResourceExhausted);
    for part in ["refused before reading", "max_bytes is 200", "on_limit"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    // The statement before may have had a page or two fetched ahead of it.
    assert!(world.source.calls().records - before <= 2 * 16, "nothing was read");
    let rows = explain(&world, "/*+ max_bytes='200' */ explain select count(*) from t").await;
    let limit = of_kind(&rows, "snapshot_total")[0];
    assert!(limit.contains("refused before reading"), "{limit}");
    // Whoever takes what comes is not refused, nor who needs little of it.
    let query = world
        .plan("/*+ max_bytes='200', on_limit='partial' */ select count(*) from t", false)
        .await
        .unwrap();
    assert_eq!(
        query.facts["bytes_cached"].as_u64().unwrap(),
        query.facts["shards"][0]["bytes_cached"].as_u64().unwrap()
    );
    assert!(query.facts["bytes_to_read"].as_u64().unwrap() > 200, "{}", query.facts);
    assert_eq!(world.rows("/*+ max_bytes='200' */ select n from t limit 1").await.unwrap().len(), 1);
    // An estimate refuses only when it is clearly over.
    let close = query.facts["bytes_to_read"].as_u64().unwrap() * 3 / 4;
    world
        .plan(&format!("/*+ max_bytes='{close}' */ select count(*) from t"), false)
        .await
        .unwrap();
}
