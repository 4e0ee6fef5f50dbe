//! The supervisor: which jobs it runs, when, and how it ends.

use tokio_util::sync::CancellationToken;

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what another task brings about.
async fn until(mut done: impl AsyncFnMut() -> bool) {
    tokio::time::timeout(PATIENCE, async {
        while !done().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await
    .expect("it comes about");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jobs_run_pause_and_end_with_the_server() {
    let world = World::new(2);
    let server = world.server();
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    let (jobs, stopping) = (Arc::clone(&server.jobs), stop.clone());
    tasks.spawn(async move { jobs.keep(&stopping).await });
    world.put(0..50);
    let quick = CREATE.replace("'trim_horizon'", "'trim_horizon', every '1s', iteration_max '300B'");
    server.run(&quick).await.unwrap();
    // a backlog of several iterations is worked off at once
    until(async || world.published().len() == 50).await;
    world.put(50..60);
    until(async || world.published().len() == 60).await;
    server.run("alter offload j pause").await.unwrap();
    until(async || {
        let states = server.jobs.known.lock();
        states.values().all(|job| !job.state.running)
    })
    .await;
    let marks = world.lakes.marks("s3://lake/j").len();
    world.put(60..70);
    // another job goes on meanwhile
    server
        .run(&quick.replace("offload j", "offload k").replace("lake/j", "lake/k"))
        .await
        .unwrap();
    until(async || world.lakes.rows("s3://lake/k").iter().map(|batch| batch.num_rows()).sum::<usize>() == 70).await;
    assert_eq!(world.lakes.marks("s3://lake/j").len(), marks, "paused");
    server.run("alter offload j resume").await.unwrap();
    until(async || world.published().len() == 70).await;
    assert_eq!(world.sorted(), (0..70).collect::<Vec<_>>());
    // a publication counts when the checkpoint has followed it
    until(async || {
        let counted = server.jobs.counted();
        let counted: Vec<_> = counted.iter().map(|job| (job.name.as_str(), job.rows)).collect();
        counted == [("j", 70), ("k", 70)]
    })
    .await;
    stop.cancel();
    let ended = tokio::time::timeout(PATIENCE, tasks.join_next()).await.unwrap();
    ended.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_shown_and_goes_on_when_it_can() {
    let world = World::new(1);
    let server = world.server();
    let stop = CancellationToken::new();
    let mut tasks = tokio::task::JoinSet::new();
    let (jobs, stopping) = (Arc::clone(&server.jobs), stop.clone());
    tasks.spawn(async move { jobs.keep(&stopping).await });
    let quick = CREATE.replace("'trim_horizon'", "'trim_horizon', every '1s', bad_records 'fail'");
    server.run(&quick).await.unwrap();
    until(async || !world.lakes.marks("s3://lake/j").is_empty()).await;
    let shard = world.source.shard_ids().remove(0);
    world.put_to(&shard, "no json");
    world.put(0..3);
    let error = "select last_error from kinesis.system.offloads where last_error is not null";
    until(async || !server.run(error).await.unwrap().is_empty()).await;
    let shown = server.run(error).await.unwrap().remove(0);
    assert!(shown.contains("bad record") && shown.contains("bad_records = 'fail'"), "{shown}");
    assert!(world.published().is_empty());
    let lenient = quick.replace("create", "create or replace").replace("'fail'", "'skip'");
    server.run(&lenient).await.unwrap();
    until(async || world.published().len() == 3).await;
    until(async || server.run(error).await.unwrap().is_empty()).await;
    assert!(server.jobs.counted()[0].errors > 0);
    stop.cancel();
    tokio::time::timeout(PATIENCE, tasks.join_next()).await.unwrap().unwrap().unwrap();
}
