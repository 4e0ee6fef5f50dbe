//! Faults of the embedded service, on a cold stream and then while it is tailed.

use std::time::Duration;

use embedded::{Cut, Fault, FaultRule, Operation};
use integration_tests::backends::Backend;
use integration_tests::flight::Mode;

use super::stage::{Stage, put};

/// More than two pages in each of two shards.
const COLD: i64 = 42_000;
const ROUNDS: i64 = 8;
const ROUND: i64 = 150;

/// GetRecords fails `fail` times, then goes well `pass` times, and so on.
fn get(fault: Fault, fail: u64, pass: u64) -> FaultRule {
    FaultRule::new(Operation::GetRecords, fault).cycle(fail, pass)
}

/// Every other GetShardIterator fails.
fn open(fault: Fault) -> FaultRule {
    FaultRule::new(Operation::GetShardIterator, fault).cycle(1, 1)
}

async fn every_record_is_answered_once(name: &str, rules: Vec<FaultRule>) {
    let running = Backend::Embedded.start().unwrap();
    let faults = running.embedded().unwrap().faults();
    let stage = Stage::new("faults", &running.endpoint, &running.endpoint, &[name]);
    stage.create(name, 2).await;
    put(&stage.kinesis, name, 0..COLD, |_| {}).await;
    let armed: Vec<_> = rules.into_iter().map(|rule| faults.add(rule.stream(name))).collect();
    let mut client = stage.client(Mode::PerShard).await;
    stage.assert_exactly(&mut client, name, COLD).await;
    for round in 1..=ROUNDS {
        put(&stage.kinesis, name, COLD + (round - 1) * ROUND..COLD + round * ROUND, |_| {}).await;
        let wanted = COLD + round * ROUND;
        let sums = stage
            .numbers(&mut client, &format!("select count(*), count(distinct id), max(id) from {name}"))
            .await;
        assert_eq!(sums, [[wanted, wanted, wanted - 1]], "round {round}");
    }
    let mut single = stage.client(Mode::Single).await;
    stage.assert_exactly(&mut single, name, COLD + ROUNDS * ROUND).await;
    for rule in armed {
        assert!(faults.fired(rule) > 0, "a fault never struck");
    }
}

macro_rules! scenarios {
    ($($name:ident: [$($rule:expr),+];)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                every_record_is_answered_once(stringify!($name), vec![$($rule),+]).await;
            }
        )+
    };
}

scenarios! {
    throttled: [get(Fault::Throttle, 1, 2), open(Fault::Throttle)];
    expired: [get(Fault::ExpireIterator, 1, 2)];
    empty: [get(Fault::EmptyReply, 2, 1)];
    internal: [get(Fault::InternalFailure, 1, 1), open(Fault::InternalFailure)];
    cut_before_work: [get(Fault::Reset(Cut::BeforeWork), 1, 2), open(Fault::Reset(Cut::BeforeWork))];
    cut_before_response: [get(Fault::Reset(Cut::BeforeResponse), 1, 2)];
    cut_in_response: [get(Fault::Reset(Cut::MidResponse), 1, 2)];
    slow: [get(Fault::Delay(Duration::from_millis(150)), 1, 1)];
    listing: [
        FaultRule::new(Operation::ListShards, Fault::Throttle).times(2),
        FaultRule::new(Operation::DescribeStreamSummary, Fault::Throttle).times(1)
    ];
    everything: [
        get(Fault::Throttle, 1, 4),
        get(Fault::ExpireIterator, 1, 5),
        get(Fault::EmptyReply, 2, 3),
        get(Fault::Reset(Cut::MidResponse), 1, 6)
    ];
}
