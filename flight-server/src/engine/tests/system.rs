//! Tables about the server.

use super::*;

#[tokio::test]
async fn streams_shards_and_segments_show_what_was_put() {
    let world = World::with_rows(3, 90);
    world.rows("select count(word) from t").await.unwrap();
    let bytes: usize = world
        .source
        .shard_ids()
        .iter()
        .flat_map(|shard| world.source.log(shard))
        .map(|(_, data)| data.len() + 3)
        .sum();
    assert_eq!(
        world
            .rows(
                "select stream, capacity, retention_hours, shards, open_shards, closed_shards, records_fetched, bytes_fetched, records_held
                 from kinesis.system.streams"
            )
            .await
            .unwrap(),
        [format!("s|provisioned|24|3|3|0|90|{bytes}|90")]
    );
    assert_eq!(
        world
            .rows("select shard, state, records_held, scans, owner, reading, gaps, parent from kinesis.system.shards where shard < 'shardId-000000000002'")
            .await
            .unwrap(),
        [
            "shardId-000000000000|tailing|30|0|local|polling|0|NULL",
            "shardId-000000000001|tailing|30|0|local|polling|0|NULL"
        ]
    );
    assert_eq!(
        world
            .rows("select sum(records), count(distinct shard), min(storage), bool_and(decoded_bytes > 0) from kinesis.system.segments")
            .await
            .unwrap(),
        ["90|3|memory|true"]
    );
    // They join, and a split shows.
    let shard = world.source.shard_ids()[0].clone();
    world.source.split(&shard).unwrap();
    world.rows("select count(*) from t").await.unwrap();
    assert_eq!(
        world
            .rows(
                "select p.state, count(*) from kinesis.system.shards c join kinesis.system.shards p on c.parent = p.shard
                 group by p.state"
            )
            .await
            .unwrap(),
        ["closed|2"]
    );
}

#[tokio::test]
async fn queries_are_known_while_they_run_and_afterwards() {
    let world = World::with_rows(2, 100);
    let query = world.plan("select n from t where n < 50", true).await.unwrap();
    let columns = "state, kind, principal, rows, sql";
    let of_query = format!("select {columns} from kinesis.system.queries where id = '{}'", query.query_id);
    let sql = "select n from t where n < 50";
    assert_eq!(world.rows(&of_query).await.unwrap(), [format!("planned|query|anonymous|0|{sql}")]);
    let mut first = world.engine.execute(query.parts[0].clone()).await.unwrap();
    let batch = first.batches.try_next().await.unwrap().unwrap();
    assert_eq!(
        world.rows(&of_query).await.unwrap(),
        [format!("running|query|anonymous|{}|{sql}", batch.num_rows())]
    );
    let rest: Vec<RecordBatch> = first.batches.try_collect().await.unwrap();
    assert_eq!(batch.num_rows() + rest.iter().map(RecordBatch::num_rows).sum::<usize>(), 25);
    world.run(query.parts[1].clone()).await.unwrap();
    assert_eq!(world.rows(&of_query).await.unwrap(), [format!("done|query|anonymous|50|{sql}")]);
    assert_eq!(
        world
            .rows(&format!(
                "select progress from kinesis.system.queries where id = '{}'",
                query.query_id
            ))
            .await
            .unwrap(),
        ["1.0"]
    );
    world.plan("select missing from t", false).await.expect_err("no such column");
    let failed = world
        .rows("select state, sql, error like '%missing%' from kinesis.system.queries where state = 'failed'")
        .await
        .unwrap();
    assert_eq!(failed, ["failed|select missing from t|true"]);
    // Left before its end.
    let query = world.plan("select n from t", false).await.unwrap();
    drop(world.engine.execute(query.parts[0].clone()).await.unwrap());
    assert_eq!(
        world
            .rows(&format!("select state from kinesis.system.queries where id = '{}'", query.query_id))
            .await
            .unwrap(),
        ["cancelled"]
    );
    let other = Session::new(SessionId("other".into()), Principal("somebody else".into()));
    let request =
        StatementRequest::new("select count(*), count(sql), count(error) from kinesis.system.queries where principal = 'anonymous'");
    let Planned::Query(query) = world.engine.plan(&other, request).await.unwrap() else {
        panic!("a query")
    };
    let row = texts(&world.run(query.parts[0].clone()).await.unwrap()).remove(0);
    assert!(
        row.ends_with("|0|0") && !row.starts_with("0|"),
        "texts of others are not shown: {row}"
    );
}

#[tokio::test]
async fn bad_records_are_taken_down_once_a_definition() {
    let world = World::with_rows(1, 2);
    let shard = world.source.shard_ids()[0].clone();
    let long = format!("no json {}", "x".repeat(5000));
    for record in ["{\"n\":\"many\",\"word\":\"w\"}", long.as_str(), "{\"n\":7,\"word\":\"last\"}"] {
        world.put(&shard, record);
    }
    let errors = "select schema, \"table\", stream, shard, path, message_length, character_length(cast(message as varchar)) from kinesis.system.scan_errors";
    assert!(world.rows(errors).await.unwrap().is_empty());
    // Nothing asks for verdicts: what is decoded shows them all the same.
    world.rows("select word from t").await.unwrap();
    world.rows("select n from t").await.unwrap();
    world.rows("select * from t where not _message_valid").await.unwrap();
    let long = long.len();
    assert_eq!(
        world.rows(errors).await.unwrap(),
        [
            format!("default|t|s|shardId-000000000000|NULL|{long}|4096"),
            "default|t|s|shardId-000000000000|n|23|23".to_owned()
        ]
    );
    assert_eq!(world.engine.bad_records(), 2);
    let known = world
        .rows("select e.error like '%many%', q.sql from kinesis.system.scan_errors e join kinesis.system.queries q on e.query_id = q.id where path = 'n'")
        .await
        .unwrap();
    assert_eq!(known, ["true|select n from t"]);
}

#[tokio::test]
async fn every_table_is_listed_with_the_columns_that_it_gives() {
    let world = World::with_rows(1, 1);
    let listed: Vec<TableEntry> = world
        .engine
        .tables(&Principal::anonymous(), None)
        .into_iter()
        .filter(|table| table.schema == "system")
        .collect();
    let names: Vec<&str> = listed.iter().map(|table| table.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "catalog_errors",
            "checkpoints",
            "iterations",
            "nodes",
            "offloads",
            "promises",
            "queries",
            "scan_errors",
            "segments",
            "shards",
            "streams"
        ]
    );
    for table in listed {
        let query = world
            .plan(
                &format!("/*+ timestamp_unit='declared' */ select * from kinesis.system.{}", table.name),
                false,
            )
            .await
            .unwrap();
        assert_eq!(query.schema.fields(), table.arrow_schema.fields(), "{}", table.name);
    }
}
