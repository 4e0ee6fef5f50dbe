//! Object storage and DynamoDB that do what they are asked and do not say so, are busy, or say what was true before. A run that fails is made again.

use integration_tests::calls::{Answer, Call, Mishap, When};
use integration_tests::stand_in::StandIn;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::chance::Chance;
use super::ledger::{Job, Shape, World, succeed};
use super::*;

/// So often a run may fail.
const ATTEMPTS: usize = 30;

/// What DynamoDB says to who asks too much.
const THROTTLED: &str = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"Rate exceeded"}"#;
/// What S3 says to who asks too much.
const SLOW_DOWN: &str = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
/// What S3 says of a name that is taken.
const TAKEN: &str =
    "<Error><Code>PreconditionFailed</Code><Message>At least one of the pre-conditions you specified did not hold</Message></Error>";

fn mishap(when: When, answer: Answer) -> Mishap {
    Mishap {
        when,
        told: None,
        until: None,
        answer,
    }
}

type Fault = Box<dyn FnMut(&Call) -> Option<Mishap> + Send>;

/// A job that meets with one kind of fault after another, while its stream goes on and is resharded, and its table.
async fn through(world: &World, shape: Shape, name: &str, faults: Vec<Fault>) {
    let mut job = Job::new(world, shape, name).await;
    for (round, mut fault) in faults.into_iter().enumerate() {
        job.put(30).await;
        match round % 2 {
            0 => job.split().await,
            _ => job.merge().await,
        }
        job.put(20).await;
        let (count, counted) = std::sync::mpsc::channel();
        world.calls.plan(move |call| {
            let mishap = fault(call)?;
            // the test may have ended
            let _ = count.send(());
            Some(mishap)
        });
        let mut failed = Vec::new();
        loop {
            let mut process = job.start(true);
            let status = tokio::task::block_in_place(|| process.wait(5 * PATIENCE)).unwrap();
            if status.success() {
                break;
            }
            failed.push(process.output());
            assert!(failed.len() < ATTEMPTS, "{}", failed.join("\n"));
        }
        let met = counted.try_iter().count();
        println!(
            "{name}, {round}: {met} faults in {} changes, {} failures",
            world.calls.changes(),
            failed.len()
        );
        assert!(met > 0, "nothing went wrong");
    }
    world.calls.plan(|_| None);
    // all is done, but perhaps for the news that a shard has ended
    let told = succeed(job.start(false));
    assert!(told.contains(" 0 rows,"), "{told}");
    job.check().unwrap();
}

/// One of so many changes, by chance.
fn some(seed: u64, one_of: u64) -> impl FnMut(&Call) -> bool + Send {
    let mut chance = Chance(seed);
    move |call| call.change.is_some() && chance.next().is_multiple_of(one_of)
}

const DELTA: Shape = Shape {
    format: "delta",
    has_table: true,
};
const PARQUET: Shape = Shape {
    format: "parquet",
    has_table: true,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_fails_now_and_then_costs_no_row() {
    let world = World::start(StandIn::Moto).await;
    for (shape, seed) in [(DELTA, 1), (PARQUET, 2)] {
        // done, and the connection is gone before the answer
        let mut lost = some(seed, 3);
        let lost = move |call: &Call| lost(call).then(|| mishap(When::After, Answer::Lost));
        // done, and called taken: what a client hears that asks again after a lost answer
        let mut taken = some(seed, 2);
        let taken = move |call: &Call| (!call.is_of_tables && taken(call)).then(|| mishap(When::After, Answer::Other(412, TAKEN)));
        // not done, and the same said of what nobody has written
        let mut refused = some(seed, 3);
        let refused = move |call: &Call| (!call.is_of_tables && refused(call)).then(|| mishap(When::Before, Answer::Other(412, TAKEN)));
        // busy, whether it has done it or not
        let mut busy = some(seed, 2);
        let busy = move |call: &Call| {
            let when = match call.change {
                Some(change) if change.is_multiple_of(3) => When::After,
                _ => When::Before,
            };
            let answer = match call.is_of_tables {
                true => Answer::Other(400, THROTTLED),
                false => Answer::Other(503, SLOW_DOWN),
            };
            busy(call).then(|| mishap(when, answer))
        };
        let faults: Vec<Fault> = vec![Box::new(lost), Box::new(taken), Box::new(refused), Box::new(busy)];
        through(&world, shape, &format!("{}_faults", shape.format), faults).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_comes_after_the_client_has_given_up_costs_no_row() {
    let world = World::start(StandIn::Moto).await;
    for (shape, seed) in [(DELTA, 3), (PARQUET, 4)] {
        let mut held = some(seed, 3);
        // object storage, which takes whole files, is waited for for minutes: one publication, and with many runs alone
        let storage = Arc::new(AtomicBool::new(std::env::var_os("SHARDFLIGHT_KILLS").is_some()));
        let (keep, kept) = std::sync::mpsc::channel();
        let fault = move |call: &Call| {
            let publishes = call.text.contains("/_delta_log/") || call.text.contains("/manifests/");
            let holds = match call.is_of_tables {
                true => held(call),
                false => call.change.is_some() && publishes && storage.swap(false, Ordering::Relaxed),
            };
            holds.then(|| {
                let (release, until) = oneshot::channel();
                // never sent
                drop(keep.send(release));
                Mishap {
                    until: Some(until),
                    ..mishap(When::After, Answer::Own)
                }
            })
        };
        through(&world, shape, &format!("{}_held", shape.format), vec![Box::new(fault)]).await;
        drop(kept);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listing_that_comes_late_costs_no_row() {
    let world = World::start(StandIn::Moto).await;
    for shape in [DELTA, PARQUET] {
        for number in 0..2 {
            let mut job = Job::new(&world, shape, &format!("{}_late_{number}", shape.format)).await;
            job.put(40).await;
            job.run();
            job.split().await;
            job.put(40).await;
            let ((tell, told), (release, until)) = (oneshot::channel(), oneshot::channel());
            let mut late = Some(Mishap {
                when: When::After,
                told: Some(tell),
                until: Some(until),
                answer: Answer::Own,
            });
            let mut listings = 0;
            world.calls.plan(move |call| {
                listings += u64::from(call.is_listing);
                late.take_if(|_| call.is_listing && listings == number + 1)
            });
            let process = job.start(true);
            let mut ended = JoinSet::new();
            ended.spawn_blocking(move || {
                let mut process = process;
                let status = process.wait(PATIENCE).unwrap();
                (status, process.output())
            });
            let is_late = tokio::select! {
                call = told => call.is_ok(),
                ended = ended.join_next() => panic!("listing {number} is not made: {ended:?}"),
            };
            assert!(is_late);
            // what is listed is old when it comes
            job.run();
            job.merge().await;
            job.put(20).await;
            job.run();
            let _ = release.send(());
            let (status, output) = ended.join_next().await.unwrap().unwrap();
            assert!(status.success(), "{status}\n{output}");
            job.run();
            job.check().unwrap();
        }
    }
}
