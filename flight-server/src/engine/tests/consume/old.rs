//! Iterations read again, bounded, and behind what expired.

use super::*;

async fn step(client: &Client<'_>) -> Vec<String> {
    client.run("begin").await.unwrap();
    let rows = client.run("select n from t").await.unwrap();
    client.run("commit").await.unwrap();
    rows
}

#[tokio::test]
async fn a_kept_iteration_is_read_again_exactly() {
    let world = World::with_rows(2, 6);
    let client = world.consumer("c").await;
    step(&client).await;
    world.put_rows(6..9);
    let shard = world.source.open_shards()[0].clone();
    world.source.split(&shard).unwrap();
    world.put_rows(9..15);
    step(&client).await;
    world.put_rows(15..16);
    let beside = world.beside();
    let again = beside.client();
    again.run("set kinesis.checkpoint_name = 'c'").await.unwrap();
    for (number, rows) in [(0, 0..6), (1, 6..15), (0, 0..6)] {
        again.run(&format!("set kinesis.iteration = {number}")).await.unwrap();
        assert_eq!(
            again.run("select n from t").await.unwrap(),
            numbers(rows.clone()),
            "iteration {number}"
        );
        // consuming reads it again too, and moves nothing
        client.run(&format!("set kinesis.iteration_number = {number}")).await.unwrap();
        assert_eq!(step(&client).await, numbers(rows));
    }
    assert_eq!(world.head("c").await.unwrap().next, IterationNumber(2));
    for number in [2, 7] {
        again.run(&format!("set kinesis.iteration = {number}")).await.unwrap();
        assert_eq!(again.refused("select n from t").await, ErrorCategory::FailedPrecondition);
    }
    // the number of the next one opens it, as the old connectors counted
    client.run("set kinesis.iteration_number = 2").await.unwrap();
    assert_eq!(step(&client).await, numbers(15..16));
    assert_eq!(step(&client).await, numbers(15..16), "it is an old one now");
}

/// Time passes, and what is older than the stream's retention expires.
async fn days_pass(world: &World, days: u64) {
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(days * 86_400)).await;
    tokio::time::resume();
    for shard in world.source.shard_ids() {
        world.source.trim(&shard, 0);
    }
}

#[tokio::test]
async fn expired_records_fail_loudly_unless_told_otherwise() {
    let world = World::with_rows(2, 10);
    let client = world.consumer("c").await;
    step(&client).await;
    world.put_rows(10..15);
    days_pass(&world, 2).await;
    world.put_rows(15..20);
    let beside = world.beside();
    let again = beside.consumer("c").await;
    again.run("set kinesis.iteration = 0").await.unwrap();
    assert_eq!(again.refused("select n from t").await, ErrorCategory::FailedPrecondition);
    for world in [&world, &beside] {
        let again = world.consumer("c").await;
        again.run("begin").await.unwrap();
        let error = again.run("select n from t").await.expect_err("expired unread");
        assert_eq!(error.category(), ErrorCategory::FailedPrecondition);
        assert!(error.to_string().contains("may have expired unread: shard"), "{error}");
        again.run("rollback").await.unwrap();
    }
    assert_eq!(world.head("c").await.unwrap().open, None, "nothing was opened");
    client.run("set kinesis.on_gap = 'warn'").await.unwrap();
    assert_eq!(step(&client).await, numbers(15..20));
    assert_eq!(step(&client).await, numbers(0..0));
}

#[tokio::test]
async fn a_shard_may_be_silent_for_longer_than_it_keeps_records() {
    let world = World::with_rows(2, 4);
    let client = world.consumer("c").await;
    assert_eq!(step(&client).await, numbers(0..4));
    // half a day is kept for a day: whoever looks that often misses nothing
    for _ in 0..6 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(43_200)).await;
        tokio::time::resume();
        assert_eq!(step(&client).await, numbers(0..0));
    }
    for shard in world.source.shard_ids() {
        world.source.trim(&shard, 0);
    }
    world.put_rows(4..8);
    for world in [&world, &world.beside()] {
        let client = world.consumer("c").await;
        client.run("begin").await.unwrap();
        assert_eq!(client.run("select n from t").await.unwrap(), numbers(4..8));
    }
    let client = world.consumer("c").await;
    assert_eq!(step(&client).await, numbers(4..8));
    assert_eq!(step(&client).await, numbers(0..0));
}

#[tokio::test]
async fn an_iteration_takes_in_a_stretch_of_time() {
    let world = World::with_rows(2, 6);
    for hour in 1..4 {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(3600)).await;
        tokio::time::resume();
        world.put_rows(hour * 6..hour * 6 + 6);
    }
    let client = world.consumer("c").await;
    client.run("set kinesis.iteration_max = '90m'").await.unwrap();
    assert_eq!(step(&client).await, numbers(0..12));
    assert_eq!(step(&client).await, numbers(12..24));
    assert_eq!(step(&client).await, numbers(0..0));
}

#[tokio::test]
async fn an_iteration_takes_in_no_more_than_it_may() {
    let world = World::with_rows(2, 40);
    let client = world.consumer("c").await;
    client.run("set kinesis.iteration_max = '200'").await.unwrap();
    let mut read = Vec::new();
    let mut steps = 0;
    while read.len() < 40 {
        let rows = step(&client).await;
        assert!((1..=20).contains(&rows.len()), "{rows:?}");
        read.extend(rows);
        steps += 1;
    }
    read.sort_by_key(|row| row.parse::<i64>().unwrap());
    assert_eq!(read, numbers(0..40));
    assert!(steps > 3, "{steps}");
    assert_eq!(step(&client).await, numbers(0..0));
}

#[tokio::test]
async fn a_checkpoint_is_reset_given_up_and_deleted_by_calls() {
    let world = World::with_rows(2, 6);
    let client = world.consumer("c").await;
    step(&client).await;
    world.put_rows(6..9);
    step(&client).await;
    world.put_rows(9..10);
    client.run("begin").await.unwrap();
    assert_eq!(client.run("select n from t").await.unwrap(), numbers(9..10));
    assert_eq!(
        client
            .run("select checkpoint, committed_iteration, open_iteration, next_iteration, shards from kinesis.system.checkpoints")
            .await
            .unwrap(),
        ["c|1|2|2|2"]
    );
    assert_eq!(
        client
            .run("select iteration, state, count(*) from kinesis.system.iterations group by 1, 2 order by 1")
            .await
            .unwrap(),
        ["0|committed|2", "1|committed|2", "2|open|2"]
    );
    // what is given up comes again, under another number, with what came since
    world.put_rows(10..12);
    let call = "call kinesis.system.abandon_iteration('c', 't')";
    assert_eq!(steered(&client, call).await, ["3|iteration 2 given up"]);
    assert_eq!(client.refused("commit").await, ErrorCategory::Aborted);
    assert_eq!(step(&client).await, numbers(9..12));
    assert_eq!(client.refused(call).await, ErrorCategory::FailedPrecondition, "none is open");
    for (to, next, rows) in [
        ("trim_horizon", 4, 0..12),
        ("iteration:0", 5, 6..12),
        ("latest", 6, 0..0),
        ("2001-01-01", 7, 0..12),
    ] {
        let call = format!("call kinesis.system.reset_checkpoint(name => 'c', \"to\" => '{to}', \"table\" => 'kinesis.default.t')");
        let done = steered(&client, &call).await;
        assert!(done[0].starts_with(&format!("{next}|reset to ")), "{done:?}");
        assert_eq!(step(&client).await, numbers(rows), "{to}");
    }
    // an old iteration stays what it was
    client.run("set kinesis.iteration = 1").await.unwrap();
    assert_eq!(step(&client).await, numbers(6..9));
    client.run("reset kinesis.iteration").await.unwrap();
    // a stream that was created anew is consumed again once that is said
    world.source.recreate();
    world.put_rows(0..3);
    client.run("begin").await.unwrap();
    assert_eq!(client.refused("select n from t").await, ErrorCategory::FailedPrecondition);
    client.run("rollback").await.unwrap();
    client.run("call system.reset_checkpoint('c', 't', 'trim_horizon')").await.unwrap();
    assert_eq!(step(&client).await, numbers(0..3));
    client.run("call kinesis.system.delete_checkpoint('c')").await.unwrap();
    assert_eq!(world.head("c").await, None);
    for (wrong, category) in [
        ("call kinesis.system.delete_checkpoint('c')", ErrorCategory::NotFound),
        (
            "call kinesis.system.reset_checkpoint('c', 'missing', 'latest')",
            ErrorCategory::NotFound,
        ),
        (
            "call kinesis.system.reset_checkpoint('c', 't', 'soon')",
            ErrorCategory::InvalidArgument,
        ),
        (
            "call kinesis.system.reset_checkpoint('c', 't', 'iteration:3')",
            ErrorCategory::NotFound,
        ),
        ("call kinesis.system.reset_checkpoint('c', 't')", ErrorCategory::InvalidArgument),
        (
            "call kinesis.system.reset_checkpoint('c', 't', 'latest', 'x')",
            ErrorCategory::InvalidArgument,
        ),
        (
            "call kinesis.system.reset_checkpoint('', 't', 'latest')",
            ErrorCategory::InvalidArgument,
        ),
        ("call kinesis.system.nonsense()", ErrorCategory::NotFound),
    ] {
        assert_eq!(client.refused(wrong).await, category, "{wrong}");
    }
}

/// What a call said: next iteration, and what was done.
async fn steered(client: &Client<'_>, call: &str) -> Vec<String> {
    let session = &client.session;
    let Planned::Done(done) = client.world.engine.plan(session, client.request(call, None)).await.unwrap() else {
        panic!("{call} is no query");
    };
    let rows = texts(&done.batches);
    rows.iter()
        .map(|row| row.split('|').skip(2).collect::<Vec<_>>().join("|"))
        .collect()
}
