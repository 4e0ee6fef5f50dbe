//! A checkpoint that moves when a statement was delivered.

use super::*;

async fn on_read<'a>(world: &'a World, name: &str) -> Client<'a> {
    let client = world.client();
    for sql in [
        format!("set kinesis.checkpoint_logical_name = '{name}'"),
        "set kinesis.checkpoint_enabled = true".to_owned(),
        "set kinesis.start = 'trim_horizon'".to_owned(),
    ] {
        client.run(&sql).await.unwrap();
    }
    client
}

async fn committed(world: &World, name: &str) -> Option<u64> {
    world.head(name).await.and_then(|head| head.committed).map(|(number, ..)| number.0)
}

#[tokio::test]
async fn it_moves_when_all_endpoints_were_delivered_to_their_end() {
    let world = World::with_rows(3, 9);
    let client = on_read(&world, "c").await;
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..9));
    assert_eq!(committed(&world, "c").await, Some(0));
    world.put_rows(9..12);
    assert_eq!(client.run("select count(*), max(n) from t").await.unwrap(), ["3|11"]);
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..0));
    world.put_rows(12..18);
    let parts = client.parts("select n from t", None).await.unwrap();
    for part in &parts[..2] {
        world.run(part.clone()).await.unwrap();
        world.run(part.clone()).await.unwrap();
    }
    assert_eq!(committed(&world, "c").await, Some(2), "an endpoint is missing");
    // the rows of an open iteration come again
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(12..18));
    assert_eq!(committed(&world, "c").await, Some(3));
    // the endpoint of the run before belongs to an owner that was fenced
    let late = world.run(parts[2].clone()).await;
    assert!(late.is_ok() || late.is_err_and(|error| error.category() == ErrorCategory::Aborted));
    assert_eq!(committed(&world, "c").await, Some(3));
}

#[tokio::test]
async fn rows_that_were_left_out_keep_it_where_it_is() {
    let world = World::with_rows(1, 50);
    let client = on_read(&world, "c").await;
    for sql in [
        "select n from t limit 3",
        "select n from t limit 1000",
        "select n from t order by n limit 3",
        "select n from (select n from t limit 3) x where n < 2",
        "select count(*) from (select n from t limit 3) x",
    ] {
        client.run(sql).await.unwrap();
        assert_eq!(committed(&world, "c").await, None, "{sql}");
    }
    // a statement that fails
    let bad = on_read(&world, "b").await;
    world.put(&world.source.shard_ids()[0], "no JSON");
    assert!(bad.run("/*+ bad_records='fail' */ select n from t").await.is_err());
    assert_eq!(committed(&world, "b").await, None);
    // a stream that is dropped before its end
    let parts = client.parts("select n from t", None).await.unwrap();
    let mut execution = world.engine.execute(parts[0].clone()).await.unwrap();
    futures::StreamExt::next(&mut execution.batches).await.unwrap().unwrap();
    drop(execution);
    assert_eq!(committed(&world, "c").await, None);
    // above an aggregation a limit leaves out no record
    client
        .run("select word, count(*) from t group by word order by 2 desc limit 2")
        .await
        .unwrap();
    assert_eq!(committed(&world, "c").await, Some(0));
}

#[tokio::test]
async fn it_stays_where_it_is_for_who_observes() {
    let world = World::with_rows(1, 5);
    let client = on_read(&world, "c").await;
    client.run("set kinesis.checkpoint_mode = 'observe'").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..5));
    assert_eq!(world.head("c").await, None);
}
