//! The rows of statements that are spread are those of a node that is alone, and the facts say what all nodes read.

use super::*;

const ALIKE: &[&str] = &[
    "select word, count(*), sum(n), min(n), max(n) from t group by word",
    "select count(*), sum(n) from t where n % 2 = 0",
    "select count(distinct n % 7) from t",
    "select a.n, b.word from t a join t b on a.n = b.n where a.n < 40",
    "select a.word, count(*) from t a left join (select * from t where n < 100) b on a.n = b.n group by a.word",
    "select n, word from t order by n desc limit 5",
    "select n from t order by word, n limit 7 offset 3",
    "select n, row_number() over (partition by word order by n) from t where n < 60",
    "select word, n from t union all select word, n + 1000 from t where n < 10",
    "select distinct word from t",
    "select n from t where n in (select n * 2 from t where n < 20)",
    "select count(*) from t a cross join (select distinct word from t) b",
    "select word, json_extract_scalar('{\"a\":' || cast(n as varchar) || '}', '$.a') from t where n < 30 group by word, n",
    "select _shard_id, count(*), max(_shard_sequence_id) from t group by _shard_id",
    "select n from t where _shard_id like '%1' and n < 50",
    "select word, avg(n) from t group by word having avg(n) > 0",
    "select max(n) from t",
    "select * from (select count(*) as c from t) a join (select count(*) as c from t where n >= 0) b on a.c = b.c",
    "select n, (select max(n) from t) as most from t where n < 5",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_and_a_join_run_on_both_nodes() {
    let cluster = Cluster::with_rows(2, 8, 500).await;
    let rows = cluster.first().rows("select word, count(*) from t group by word").await.unwrap();
    assert_eq!(rows, ["w0|100", "w1|100", "w2|100", "w3|100", "w4|100"]);
    assert_eq!(cluster.readers().len(), 2, "both read shards of theirs");
    let rows = cluster
        .first()
        .rows("select count(*) from t a join t b on a.n = b.n")
        .await
        .unwrap();
    assert_eq!(rows, ["500"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_answer_as_one() {
    let cluster = Cluster::with_rows(3, 7, 400).await;
    let alone = Lone::new(&cluster.source);
    let mut wrong = Vec::new();
    for sql in ALIKE {
        let expected = alone.rows(sql).await.unwrap();
        assert!(!expected.is_empty(), "{sql}");
        for (index, member) in cluster.members.iter().enumerate() {
            match member.lone.rows(sql).await {
                Ok(rows) if rows == expected => {}
                other => wrong.push(format!("node {index}: {sql}\n  {other:?}\n  {expected:?}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_facts_tell_of_all_nodes() {
    let cluster = Cluster::with_rows(2, 6, 300).await;
    let alone = Lone::new(&cluster.source);
    let sql = "select sum(n) from t";
    let (rows, expected) = alone.run(sql).await.unwrap();
    assert_eq!(rows, ["44850"]);
    let (rows, facts) = cluster.first().run(sql).await.unwrap();
    assert_eq!(rows, ["44850"]);
    let shards = facts["shards"].as_array().unwrap();
    assert_eq!(shards.len(), 6);
    assert!(shards.iter().all(|shard| shard["complete"] == true), "{facts}");
    let bytes = |facts: &serde_json::Value| facts["bytes_cached"].as_u64().unwrap() + facts["bytes_read"].as_u64().unwrap();
    assert_eq!(bytes(&facts), bytes(&expected));
    for (shard, expected) in shards.iter().zip(expected["shards"].as_array().unwrap()) {
        assert_eq!(
            (&shard["shard"], &shard["from"], &shard["to"]),
            (&expected["shard"], &expected["from"], &expected["to"])
        );
        assert_eq!(bytes(shard), bytes(expected));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_zones_reach_the_tasks() {
    let cluster = Cluster::with_rows(2, 4, 40).await;
    let sql = "/*+ time_zone='+09:00' */ select count(*), extract(hour from cast(to_timestamp(min(n)) as timestamp with time zone)) from t group by n % 2 having n % 2 = 0";
    let alone = Lone::new(&cluster.source);
    assert_eq!(cluster.first().rows(sql).await.unwrap(), alone.rows(sql).await.unwrap());
    assert_eq!(cluster.readers().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explain_shows_what_runs_where() {
    let cluster = Cluster::with_rows(2, 8, 100).await;
    let (rows, _) = cluster
        .first()
        .run("explain select word, count(*) from t group by word")
        .await
        .unwrap();
    let plan = rows
        .iter()
        .find_map(|row| row.strip_prefix("distributed_plan|"))
        .expect("a distributed plan");
    for part in ["Stage 1", "NetworkShuffleExec", "t0: ShardScanExec", "t1: ShardScanExec"] {
        assert!(plan.contains(part), "{part} is not in\n{plan}");
    }
    let (rows, _) = cluster
        .first()
        .run("explain analyze select word, count(*) from t group by word")
        .await
        .unwrap();
    assert!(rows[0].contains("ShardScanExec") && rows[0].contains("Stage 1"), "{rows:?}");
    assert!(
        rows.iter()
            .any(|row| row.starts_with("read_total|") && row.contains("shards=8") && row.contains("records=100")),
        "{rows:?}"
    );
    // what a system table says is this node's alone
    let (rows, _) = cluster
        .first()
        .run("explain select count(*) from kinesis.system.streams")
        .await
        .unwrap();
    assert!(!rows.iter().any(|row| row.starts_with("distributed_plan")), "{rows:?}");
}
