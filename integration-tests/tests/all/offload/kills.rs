//! A process of a job is killed, or stopped for a while, at one of the changes that it makes in object storage and in DynamoDB, before or after that is done, while
//! the stream is resharded; in a part of the runs another process of the same job is at work too. Then the job runs to its end, and the table holds what the stream
//! holds, row by row.
//!
//! Each test makes a few runs; `SHARDFLIGHT_KILLS` says how many instead, and `SHARDFLIGHT_SEED` which.

use integration_tests::calls::{Answer, Mishap, When};
use integration_tests::stand_in::StandIn;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::ledger::{Job, Shape, World, succeed};
use super::*;

/// What happens to the process at its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// SIGKILL.
    Killed,
    /// SIGKILL, while another process does the same.
    KilledBesideAnother,
    /// It stands still until another process has done all there is to do, and goes on.
    Overtaken,
}

/// A run, by its number.
#[derive(Debug, Clone, Copy)]
struct Run {
    end: End,
    when: When,
    shape: Shape,
    at: u64,
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// What all runs begin with.
async fn written<'a>(world: &'a World, shape: Shape, name: &str) -> Job<'a> {
    let mut job = Job::new(world, shape, name).await;
    job.put(40).await;
    job.split().await;
    job.put(30).await;
    job
}

/// What happens in the middle of each.
async fn go_on(job: &mut Job<'_>) {
    job.merge().await;
    job.put(20).await;
}

/// As many changes a run makes that nothing happens to.
async fn undisturbed(world: &World, shape: Shape, name: &str) -> u64 {
    let mut job = written(world, shape, name).await;
    world.calls.plan(|_| None);
    succeed(job.start(true));
    let changes = world.calls.changes();
    go_on(&mut job).await;
    job.run();
    job.check().unwrap();
    changes
}

/// Whether the process came to that; else the other one had done it all before.
///
/// # Errors
/// The rows that are wrong.
async fn disturbed(world: &World, run: Run, name: &str) -> Result<bool, String> {
    let mut job = written(world, run.shape, name).await;
    let ((tell, told), (release, until)) = (oneshot::channel(), oneshot::channel());
    let mut mishap = Some(Mishap {
        when: run.when,
        told: Some(tell),
        until: Some(until),
        answer: Answer::Own,
    });
    world.calls.plan(move |call| mishap.take_if(|_| call.change == Some(run.at)));
    let mut process = job.start(true);
    let other = (run.end == End::KilledBesideAnother).then(|| job.start(false));
    let id = process.id();
    let mut ended = JoinSet::new();
    ended.spawn_blocking(move || {
        let status = process.wait(PATIENCE).unwrap();
        (status, process.output())
    });
    let reached = tokio::select! {
        call = told => Some(call.unwrap().text),
        // the other one has done it all
        ended = ended.join_next() => {
            let (status, output) = ended.unwrap().unwrap();
            assert!(other.is_some() && status.success(), "{run:?} ends before it comes to that: {status}\n{output}");
            None
        }
    };
    go_on(&mut job).await;
    let mut outputs = Vec::new();
    if reached.is_some() {
        if run.end == End::Overtaken {
            job.run();
            let _ = release.send(());
            let (status, output) = ended.join_next().await.unwrap().unwrap();
            assert!(status.success(), "{run:?}: {status}\n{output}");
            outputs.push(output);
        } else {
            kill(id);
            let (status, output) = ended.join_next().await.unwrap().unwrap();
            assert!(!status.success(), "{run:?}: {status}\n{output}");
            outputs.push(output);
        }
    }
    outputs.extend(other.map(succeed));
    job.put(5).await;
    outputs.push(succeed(job.start(false)));
    println!("{run:?} {}", reached.as_deref().unwrap_or("not reached"));
    let checked = job.check();
    checked.map_err(|error| format!("{run:?} {reached:?}: {error}\n{}", outputs.join("\n")))?;
    Ok(reached.is_some())
}

fn kill(id: u32) {
    let status = std::process::Command::new("kill")
        .args(["-s", "KILL", "--", &id.to_string()])
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

async fn at_any_change(stand_in: StandIn, format: &'static str, runs: u64) {
    let runs = number("SHARDFLIGHT_KILLS").unwrap_or(runs);
    let seed = number("SHARDFLIGHT_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("SHARDFLIGHT_SEED={seed}");
    let mut chance = Chance(seed);
    let world = World::start(stand_in).await;
    let shapes = [false, true].map(|has_table| Shape { format, has_table });
    // the first makes the table of checkpoints
    let mut changes = [0; 2];
    for (round, changes) in changes.iter_mut().enumerate() {
        *changes = undisturbed(&world, shapes[1], &format!("{format}_whole_{round}")).await;
    }
    println!("{changes:?} changes in a whole run");
    assert!(changes[0] > changes[1] && changes[1] > 10, "{changes:?}");
    // all that there are, in an order that the seed gives
    let mut all = Vec::new();
    for (end, when) in [
        (End::Killed, When::Before),
        (End::Killed, When::After),
        (End::KilledBesideAnother, When::Before),
        (End::KilledBesideAnother, When::After),
        (End::Overtaken, When::Before),
        (End::Overtaken, When::After),
    ] {
        for (shape, changes) in shapes.iter().zip(changes) {
            all.extend((0..changes).map(|at| Run {
                end,
                when,
                shape: *shape,
                at,
            }));
        }
    }
    for index in (1..all.len()).rev() {
        let other = chance.next() % (index as u64 + 1);
        all.swap(index, usize::try_from(other).unwrap());
    }
    let (mut reached, mut wrong) = (0, Vec::new());
    for (index, run) in (0..runs).zip(all.iter().cycle()) {
        match disturbed(&world, *run, &format!("{format}_{index}")).await {
            Ok(is_reached) => reached += u64::from(is_reached),
            Err(error) => {
                // said at once: whatever comes later may end the test
                println!("{error}");
                wrong.push(error);
            }
        }
    }
    println!(
        "{runs} runs of {}, {reached} came to what was to happen, {} wrong",
        all.len(),
        wrong.len()
    );
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_table_is_right_whenever_a_process_is_killed() {
    at_any_change(StandIn::Moto, "delta", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_files_are_right_whenever_a_process_is_killed() {
    at_any_change(StandIn::Moto, "parquet", 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_stand_in_is_right_whenever_a_process_is_killed() {
    at_any_change(StandIn::Ministack, "delta", 1).await;
}
