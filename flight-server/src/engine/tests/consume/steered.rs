//! Which consumers are steered, and what is taken over from elsewhere.

use shard_reader::checkpoints::{Base, Consumer, Ends, OldPosition};
use shard_reader::{Position, ShardId, StreamIdentity};

use super::*;

/// Consumers of streams with the same name in several accounts.
async fn with_namesakes(world: &World, name: &str) -> Vec<Arc<str>> {
    let mut arns = Vec::new();
    for account in ["111111111111", "222222222222"] {
        let stream: Arc<str> = format!("arn:aws:kinesis:us-east-1:{account}:stream/s").into();
        let consumer = Consumer {
            name: name.parse().unwrap(),
            stream: Arc::clone(&stream),
        };
        let identity = StreamIdentity {
            arn: Arc::clone(&stream),
            created_ms: 1,
        };
        let base = Base {
            ends: Ends::default(),
            stated: "trim_horizon".into(),
            at_ms: 1,
        };
        world.store().set_base(&consumer, &identity, None, &base, "test").await.unwrap();
        arns.push(stream);
    }
    arns
}

async fn streams_of(world: &World, name: &str) -> Vec<String> {
    let consumers = world.store().consumers().await.unwrap();
    let of_name = consumers.into_iter().filter(|(consumer, _)| consumer.name.as_str() == name);
    of_name.map(|(consumer, _)| consumer.stream.to_string()).collect()
}

#[tokio::test]
async fn a_table_means_its_own_stream_and_no_namesake() {
    let world = World::with_rows(1, 3);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    client.run("select n from t").await.unwrap();
    client.run("commit").await.unwrap();
    let own = streams_of(&world, "c").await;
    let arns = with_namesakes(&world, "c").await;
    client.run("call kinesis.system.delete_checkpoint('c', 't')").await.unwrap();
    assert_eq!(
        streams_of(&world, "c").await,
        arns.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
    assert_eq!(
        client.refused("call kinesis.system.delete_checkpoint('c', 't')").await,
        ErrorCategory::NotFound
    );
    // a name alone is not enough, an ARN is
    let error = client
        .run("call kinesis.system.delete_checkpoint('c', 's')")
        .await
        .expect_err("two streams");
    assert_eq!(error.category(), ErrorCategory::InvalidArgument);
    assert!(arns.iter().all(|arn| error.to_string().contains(&**arn)), "{error}");
    assert_eq!(
        client.refused("call kinesis.system.abandon_iteration('c', 's')").await,
        ErrorCategory::InvalidArgument
    );
    client
        .run(&format!("call kinesis.system.delete_checkpoint('c', '{}')", arns[0]))
        .await
        .unwrap();
    assert_eq!(streams_of(&world, "c").await, [arns[1].to_string()]);
    // without a table, of all streams
    client
        .run("call kinesis.system.reset_checkpoint('c', 't', 'latest')")
        .await
        .unwrap();
    let own_arn = format!("call kinesis.system.reset_checkpoint('c', '{}', 'trim_horizon')", own[0]);
    client.run(&own_arn).await.unwrap();
    assert_eq!(streams_of(&world, "c").await.len(), 2);
    client.run("call kinesis.system.delete_checkpoint('c')").await.unwrap();
    assert_eq!(streams_of(&world, "c").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_deleted_stream_leaves_a_checkpoint_that_can_be_deleted() {
    let world = World::with_rows(1, 3);
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    client.run("select n from t").await.unwrap();
    world.source.delete();
    client.run("call kinesis.system.abandon_iteration('c', 't')").await.unwrap();
    client.run("call kinesis.system.delete_checkpoint('c', 't')").await.unwrap();
    assert_eq!(world.head("c").await, None);
}

#[tokio::test]
async fn a_call_is_typed_without_running() {
    let world = World::with_rows(1, 3);
    let client = world.consumer("c").await;
    let call = "call kinesis.system.reset_checkpoint('c', 't', 'latest')";
    let prepared = world
        .engine
        .prepare(&client.session, call, &OptionValues::default(), None)
        .await
        .unwrap();
    let schema = prepared.schema.unwrap();
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["checkpoint", "stream", "next_iteration", "done"]);
    assert_eq!(world.head("c").await, None);
    let unknown = client.run("call kinesis.system.nonsense()").await.expect_err("unknown").to_string();
    for known in ["abandon_iteration", "delete_checkpoint", "refresh_catalog", "reset_checkpoint"] {
        assert!(unknown.contains(known), "{unknown}");
    }
}

fn held(world: &World, shard: &ShardId) -> Vec<i64> {
    let number = |data: &[u8]| serde_json::from_slice::<serde_json::Value>(data).unwrap()["n"].as_i64().unwrap();
    world.source.log(shard).iter().map(|(_, data)| number(data)).collect()
}

#[tokio::test]
async fn leases_of_finished_shards_may_be_gone() {
    let world = World::with_rows(1, 6);
    let parent = world.source.open_shards()[0].clone();
    let [left, right] = world.source.split(&parent).unwrap();
    world.put_rows(6..30);
    let (left_rows, right_rows) = (held(&world, &left), held(&world, &right));
    assert!(left_rows.len() > 2 && right_rows.len() > 2, "{left_rows:?} {right_rows:?}");
    let (second, _) = world.source.log(&right)[1];
    let shards = BTreeMap::from([
        (left.clone(), OldPosition::First),
        (right.clone(), OldPosition::At(Position::after_record(second))),
        (ShardId::from("shardId-000000009999"), OldPosition::ShardEnd),
    ]);
    let old = |are_leases| OldPositions {
        shards: shards.clone(),
        are_leases,
    };
    let mut expected: Vec<i64> = left_rows.into_iter().chain(right_rows.into_iter().skip(2)).collect();
    expected.sort_unstable();
    for (name, are_leases, told) in [
        (
            "leases",
            true,
            format!("2 shards taken over; 1 begin at their first record: {left}; 1 rows"),
        ),
        (
            "rows",
            false,
            format!("1 shards taken over; 2 begin at their first record: {parent}, {left}; 1 rows"),
        ),
    ] {
        let imported = world
            .engine
            .import_checkpoint("test", name, "t", old(are_leases), false)
            .await
            .unwrap();
        assert!(imported.done.starts_with(&told), "{}", imported.done);
        let again = world.engine.import_checkpoint("test", name, "t", old(are_leases), false).await;
        assert_eq!(again.expect_err("it has a past").category(), ErrorCategory::AlreadyExists);
        world
            .engine
            .import_checkpoint("test", name, "t", old(are_leases), true)
            .await
            .unwrap();
        let client = world.consumer(name).await;
        client.run("begin").await.unwrap();
        // the connectors read a parent by itself, so without a row it was not read
        let parents = if are_leases { Vec::new() } else { numbers(0..6) };
        let rows: Vec<String> = parents.into_iter().chain(expected.iter().map(ToString::to_string)).collect();
        assert_eq!(client.run("select n from t").await.unwrap(), rows, "{name}");
        client.run("commit").await.unwrap();
        client.run("begin").await.unwrap();
        assert_eq!(client.run("select n from t").await.unwrap(), numbers(0..0));
        client.run("rollback").await.unwrap();
    }
    let elsewhere = OldPositions {
        shards: BTreeMap::from([(ShardId::from("shardId-000000009999"), OldPosition::First)]),
        are_leases: true,
    };
    let refused = world.engine.import_checkpoint("test", "other", "t", elsewhere, false).await;
    assert_eq!(refused.expect_err("no such shard").category(), ErrorCategory::FailedPrecondition);
    assert_eq!(world.head("other").await, None);
}

#[tokio::test]
async fn what_expired_unread_is_not_taken_over_silently() {
    let world = World::with_rows(1, 6);
    let shard = world.source.open_shards()[0].clone();
    let (first, _) = world.source.log(&shard)[0];
    world.source.trim(&shard, 2);
    let old = OldPositions {
        shards: BTreeMap::from([(shard, OldPosition::At(Position::after_record(first)))]),
        are_leases: false,
    };
    world.engine.import_checkpoint("test", "c", "t", old, false).await.unwrap();
    let client = world.consumer("c").await;
    client.run("begin").await.unwrap();
    assert_eq!(client.refused("select n from t").await, ErrorCategory::FailedPrecondition);
    client.run("set kinesis.on_gap = 'warn'").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(4..6));
}
