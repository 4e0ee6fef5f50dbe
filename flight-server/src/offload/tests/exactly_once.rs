//! Whatever dies when, and whoever works beside it: each row is published once.

use shard_reader::checkpoints::Ends;

use super::*;

fn numbers(range: std::ops::Range<i64>) -> Vec<i64> {
    range.collect()
}

#[tokio::test]
async fn a_process_may_die_at_every_operation() {
    for after in [false, true] {
        let mut at = 0;
        loop {
            let world = World::new(2);
            let first = world.server();
            let small = CREATE.replace("'trim_horizon'", "'trim_horizon', iteration_max '200B'");
            first.run(&small).await.unwrap();
            world.put(0..20);
            let faults = Faults::dying(at, after);
            let dying = world.faulty_server(&faults, Access::everything());
            let outcome = dying.work().await;
            let died = faults.is_dead();
            assert_eq!(outcome.is_err(), died, "operation {at}: {outcome:?}");
            let shard = world.source.open_shards().remove(0);
            world.source.split(&shard).unwrap();
            world.put(20..30);
            world.server().work().await.unwrap();
            assert_eq!(world.sorted(), numbers(0..30), "operation {at}, after: {after}");
            world.put(30..33);
            first.work().await.unwrap();
            assert_eq!(world.sorted(), numbers(0..33), "operation {at}, after: {after}, and on");
            let marks = world.lakes.marks("s3://lake/j");
            assert!(marks.is_sorted_by(|one, next| one.iteration < next.iteration));
            if !died {
                assert!(at > 20, "operations are counted");
                break;
            }
            at += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_do_no_harm() {
    let world = World::new(3);
    let (one, other) = (world.server(), world.server());
    one.run(&CREATE.replace("'trim_horizon'", "'trim_horizon', iteration_max '300B'"))
        .await
        .unwrap();
    for round in 0..20 {
        world.put(round * 10..(round + 1) * 10);
        let (first, second) = tokio::join!(one.work(), other.work());
        for outcome in [first, second] {
            if let Err(error) = outcome {
                assert!(error.is_retriable(), "{error}");
            }
        }
    }
    one.work().await.unwrap();
    assert_eq!(world.sorted(), numbers(0..200));
}

#[tokio::test]
async fn a_checkpoint_that_is_gone_or_elsewhere_is_brought_to_the_publication() {
    let world = World::new(2);
    let server = world.server();
    server.run(CREATE).await.unwrap();
    world.put(0..10);
    server.work().await.unwrap();
    world.put(10..15);
    server.work().await.unwrap();
    let consumers = world.store.consumers().await.unwrap();
    let [(consumer, _)] = consumers.as_slice() else {
        panic!("{consumers:?}");
    };
    assert_eq!(
        server
            .jobs
            .check("j")
            .await
            .unwrap()
            .iter()
            .filter(|finding| !finding.is_right)
            .count(),
        0
    );
    // the table of checkpoints is lost
    world.store.delete(consumer).await.unwrap();
    assert!(server.jobs.check("j").await.unwrap().iter().any(|finding| !finding.is_right));
    world.put(15..20);
    world.server().work().await.unwrap();
    assert_eq!(world.sorted(), numbers(0..20));
    // somebody resets it
    server
        .run(&format!(
            "call kinesis.system.reset_checkpoint('{}', 't', 'trim_horizon')",
            consumer.name
        ))
        .await
        .unwrap();
    world.put(20..25);
    world.server().work().await.unwrap();
    assert_eq!(world.sorted(), numbers(0..25));
    // and once more, in the middle of an iteration that was opened from there
    let engine = &server.engine;
    server
        .run(&format!(
            "call kinesis.system.reset_checkpoint('{}', 't', 'trim_horizon')",
            consumer.name
        ))
        .await
        .unwrap();
    world.put(25..30);
    let definition = server.jobs.definition("j").unwrap();
    let plan = engine.plan_job(&definition.statement().unwrap()).await.unwrap();
    let elsewhere = Ends::default();
    let opened = engine.open_job_iteration(&plan, Some(&elsewhere), 0, false).await.unwrap();
    assert!(matches!(opened, crate::engine::JobOpening::Open(_)), "{opened:?}");
    world.server().work().await.unwrap();
    assert_eq!(world.sorted(), numbers(0..30));
}

#[tokio::test]
async fn what_cannot_be_right_stops_the_job() {
    let world = World::new(1);
    let server = world.server();
    server.run(CREATE).await.unwrap();
    world.put(0..5);
    server.work().await.unwrap();
    world.lakes.remove("s3://lake/j");
    world.put(5..6);
    let error = server.work().await.unwrap_err();
    assert!(
        error.to_string().contains("was the table removed?") && !error.is_retriable(),
        "{error}"
    );
    // another location is another job
    server.run("drop offload j").await.unwrap();
    assert!(world.store.consumers().await.unwrap().is_empty());
    server.run(CREATE).await.unwrap();
    server.work().await.unwrap();
    assert_eq!(world.sorted(), numbers(0..6));
    world.source.recreate();
    world.put(0..3);
    let error = world.server().work().await.unwrap_err();
    assert!(error.to_string().contains("created anew") && !error.is_retriable(), "{error}");
    assert_eq!(world.sorted(), numbers(0..6));
}

#[tokio::test]
async fn a_job_made_anew_at_its_location_goes_on_there() {
    let world = World::new(2);
    let server = world.server();
    server.run(CREATE).await.unwrap();
    world.put(0..7);
    server.work().await.unwrap();
    server.run("drop offload j").await.unwrap();
    world.put(7..9);
    server.run(CREATE).await.unwrap();
    server.work().await.unwrap();
    assert_eq!(world.sorted(), numbers(0..9));
}

#[tokio::test]
async fn a_stream_without_records_is_said_to_have_none_now_and_then() {
    let world = World::new(1);
    let server = world.server();
    server.run(CREATE).await.unwrap();
    assert_eq!(server.work().await.unwrap().len(), 1, "the table is made at once");
    assert_eq!(server.work().await.unwrap().len(), 0);
    world.put(0..1);
    let done = server.work().await.unwrap();
    assert_eq!((done.len(), done[0].rows), (1, 1));
    let often = CREATE
        .replace("create offload", "create or replace offload")
        .replace("'trim_horizon'", "'trim_horizon', heartbeat '1s'");
    server.run(&often).await.unwrap();
    let before = world.lakes.marks("s3://lake/j").last().unwrap().ends.as_of_ms.unwrap();
    tokio::time::timeout(Duration::from_secs(60), async {
        while server.work().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    let after = world.lakes.marks("s3://lake/j").last().unwrap().ends.as_of_ms.unwrap();
    assert!(after >= before + 1000, "{before} {after}");
}
