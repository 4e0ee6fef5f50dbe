//! What goes wrong on the way to the service, for every operation that writes.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::transport::{Fault, Transport};
use super::*;
use crate::checkpoints::{Ends, IterationState};
use crate::conformance::checkpoints::{Raced, race, run_checkpoint_rules};

const WRITES: [&str; 4] = ["UpdateItem", "PutItem", "TransactWriteItems", "DeleteItem"];

/// Through a way that does so to the first writes.
fn faulty(endpoint: &str, fault: Fault, mut times: usize) -> DynamoDbCheckpoints {
    let transport = Transport::new(move |operation| {
        if times == 0 || !WRITES.contains(&operation) {
            return None;
        }
        times -= 1;
        Some(fault)
    });
    through(endpoint, transport)
}

fn through(endpoint: &str, transport: Transport) -> DynamoDbCheckpoints {
    let client = Client::from_conf(client(endpoint).config().to_builder().http_client(transport).build());
    DynamoDbCheckpoints::with_client(&client, "shardflight", true, Duration::from_secs(30 * 86_400), WallClock::default())
}

fn consumer(name: &str) -> Consumer {
    Consumer {
        name: name.parse().unwrap(),
        stream: "arn:aws:kinesis:eu-central-1:123456789012:stream/s".into(),
    }
}

fn stream() -> StreamIdentity {
    StreamIdentity {
        arn: consumer("x").stream,
        created_ms: 1,
    }
}

fn base() -> Base {
    Base {
        ends: Ends::default(),
        stated: "latest".to_owned(),
        at_ms: 2,
    }
}

fn iteration(head: &Head) -> Iteration {
    Iteration {
        number: head.next,
        start: head.start,
        created_ms: 1,
        opened_ms: 3,
        starts: Default::default(),
        ends: Ends::default(),
    }
}

fn me() -> OwnerToken {
    OwnerToken("me".into())
}

fn other() -> OwnerToken {
    OwnerToken("other".into())
}

/// Every change of a head.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Start,
    Open,
    TakeOver,
    Abandon,
    Reset,
    Commit,
    CommitThree,
}

const ALL: [Doing; 7] = [
    Doing::Start,
    Doing::Open,
    Doing::TakeOver,
    Doing::Abandon,
    Doing::Reset,
    Doing::Commit,
    Doing::CommitThree,
];

impl Doing {
    /// What it needs, made without faults: consumers, and the head that each has then.
    async fn prepare(self, store: &DynamoDbCheckpoints, name: &str) -> Vec<(Consumer, Option<Head>)> {
        let count = if matches!(self, Self::CommitThree) { 3 } else { 1 };
        let mut prepared = Vec::new();
        for number in 0..count {
            let consumer = consumer(&format!("{name} {number}"));
            if matches!(self, Self::Start) {
                prepared.push((consumer, None));
                continue;
            }
            let mut head = store.set_base(&consumer, &stream(), None, &base(), "test").await.unwrap();
            if !matches!(self, Self::Open) {
                head = store.open(&consumer, head.version, &iteration(&head), &me()).await.unwrap();
            }
            prepared.push((consumer, Some(head)));
        }
        prepared
    }

    async fn run(self, store: &DynamoDbCheckpoints, prepared: &[(Consumer, Option<Head>)]) -> Result<Vec<Head>, CheckpointError> {
        let (consumer, head) = &prepared[0];
        let seen = head.as_ref().map(|head| head.version);
        let version = seen.unwrap_or_default();
        match (self, head) {
            (Self::Open, Some(head)) => store.open(consumer, version, &iteration(head), &me()).await.map(|head| vec![head]),
            (Self::Start | Self::Open | Self::Reset, _) => {
                let set = store.set_base(consumer, &stream(), seen, &base(), "test").await;
                set.map(|head| vec![head])
            }
            (Self::TakeOver, _) => store.take_over(consumer, version, &other()).await.map(|head| vec![head]),
            (Self::Abandon, _) => store.abandon(consumer, version, "test").await.map(|head| vec![head]),
            (Self::Commit | Self::CommitThree, _) => {
                let part = |(consumer, _): &(Consumer, Option<Head>)| Commit {
                    consumer: consumer.clone(),
                    number: IterationNumber::FIRST,
                    owner: me(),
                };
                store.commit(&prepared.iter().map(part).collect::<Vec<_>>()).await
            }
        }
    }

    /// What must have become of each head.
    fn check(self, before: Option<&Head>, after: &Head) {
        if let Some(before) = before {
            assert_eq!(after.version, before.version + 1, "{self:?} happened more or less than once");
        }
        let first = after.state_of(IterationNumber::FIRST);
        let owner = after.open.as_ref().map(|open| open.owner.clone());
        let expected = match self {
            Self::Start => (IterationState::Open, None, 0),
            Self::Open => (IterationState::Open, Some(me()), 0),
            Self::TakeOver => (IterationState::Open, Some(other()), 0),
            Self::Abandon | Self::Reset => (IterationState::Abandoned, None, 1),
            Self::Commit | Self::CommitThree => (IterationState::Committed, None, 1),
        };
        assert_eq!((first, owner, after.next.0), expected, "{self:?}");
    }
}

#[tokio::test]
async fn what_happened_and_was_not_heard_of_succeeds_once() {
    let service = StandIn::start().await;
    let sure = store(&service.endpoint);
    for fault in [Fault::ReplyLost, Fault::ReplyCut, Fault::DoneButFailed, Fault::Twice] {
        for doing in ALL {
            let prepared = doing.prepare(&sure, &format!("{fault:?} {doing:?}")).await;
            let heads = doing.run(&faulty(&service.endpoint, fault, 1), &prepared).await;
            let heads = heads.unwrap_or_else(|error| panic!("{fault:?}, {doing:?}: {error}"));
            assert_eq!(heads.len(), prepared.len());
            for ((consumer, before), head) in prepared.iter().zip(heads) {
                assert_eq!(sure.head(consumer).await.unwrap().as_ref(), Some(&head), "{fault:?}, {doing:?}");
                doing.check(before.as_ref(), &head);
            }
        }
    }
}

#[tokio::test]
async fn what_did_not_happen_is_tried_again() {
    let service = StandIn::start().await;
    let sure = store(&service.endpoint);
    for fault in [Fault::Throttled, Fault::Failed, Fault::Lost] {
        for doing in ALL {
            let prepared = doing.prepare(&sure, &format!("{fault:?} {doing:?}")).await;
            let heads = doing.run(&faulty(&service.endpoint, fault, 3), &prepared).await.unwrap();
            for ((consumer, before), head) in prepared.iter().zip(heads) {
                assert_eq!(sure.head(consumer).await.unwrap().as_ref(), Some(&head), "{fault:?}, {doing:?}");
                doing.check(before.as_ref(), &head);
            }
        }
    }
}

#[tokio::test]
async fn what_never_happens_is_given_up_in_time_and_moves_nothing() {
    let service = StandIn::start().await;
    let sure = store(&service.endpoint);
    let patience = Duration::from_millis(150);
    for fault in [Fault::Throttled, Fault::Failed, Fault::Lost] {
        for doing in ALL {
            let prepared = doing.prepare(&sure, &format!("{fault:?} {doing:?}")).await;
            let store = faulty(&service.endpoint, fault, usize::MAX).with_patience(patience);
            let started = Instant::now();
            let error = doing.run(&store, &prepared).await.unwrap_err();
            assert!(started.elapsed() < patience + Duration::from_secs(3), "{fault:?}, {doing:?}");
            assert_eq!(error.kind, CheckpointErrorKind::Unavailable, "{fault:?}, {doing:?}: {error}");
            assert!(error.message.contains("DynamoDB table shardflight"), "{error}");
            for (consumer, before) in &prepared {
                assert_eq!(sure.head(consumer).await.unwrap(), *before, "{fault:?}, {doing:?}");
            }
        }
    }
}

#[tokio::test]
async fn what_is_acknowledged_and_does_not_happen_is_noticed() {
    let service = StandIn::start().await;
    let sure = store(&service.endpoint);
    for doing in ALL {
        let prepared = doing.prepare(&sure, &format!("{doing:?}")).await;
        let error = doing
            .run(&faulty(&service.endpoint, Fault::Lie, usize::MAX), &prepared)
            .await
            .unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Corrupt, "{doing:?}: {error}");
        for (consumer, before) in &prepared {
            assert_eq!(sure.head(consumer).await.unwrap(), *before, "{doing:?}");
        }
    }
    let liar = faulty(&service.endpoint, Fault::Lie, usize::MAX);
    let run = Run {
        query_id: "query".to_owned(),
        sql: "select 1".to_owned(),
        parts: 2,
        delivered: BTreeSet::new(),
    };
    let (consumer, first) = (consumer("lied to"), IterationNumber::FIRST);
    sure.begin_run(&consumer, first, &me(), "hash", &run).await.unwrap();
    let error = liar.delivered(&consumer, first, &me(), "hash", "query", 0).await.unwrap_err();
    assert_eq!(error.kind, CheckpointErrorKind::Corrupt);
}

/// A fenced owner's commit stays a conflict, whatever becomes of its reply.
#[tokio::test]
async fn a_fenced_commit_is_a_conflict_however_often_it_is_tried() {
    let service = StandIn::start().await;
    let sure = store(&service.endpoint);
    for fault in [Fault::ReplyLost, Fault::Twice, Fault::Throttled, Fault::Failed] {
        let prepared = Doing::TakeOver.prepare(&sure, &format!("fenced {fault:?}")).await;
        Doing::TakeOver.run(&sure, &prepared).await.unwrap();
        let (consumer, _) = &prepared[0];
        let before = sure.head(consumer).await.unwrap();
        let error = Doing::Commit
            .run(&faulty(&service.endpoint, fault, 2), &prepared)
            .await
            .unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Conflict, "{fault:?}: {error}");
        assert_eq!(sure.head(consumer).await.unwrap(), before, "{fault:?}");
    }
}

#[tokio::test]
async fn out_of_reach_is_unavailable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let store = DynamoDbCheckpoints::with_client(
        &client(&endpoint),
        "shardflight",
        false,
        Duration::from_secs(3600),
        WallClock::default(),
    )
    .with_patience(Duration::from_millis(300));
    let prepared = [(consumer("nobody"), None)];
    for doing in [Doing::Start, Doing::Commit] {
        let error = doing.run(&store, &prepared).await.unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Unavailable, "{doing:?}: {error}");
    }
    assert_eq!(store.consumers().await.unwrap_err().kind, CheckpointErrorKind::Unavailable);
}

/// By chance, one write of five: a fault that a careful client gets over.
fn now_and_then() -> Transport {
    const PASSING: [Fault; 7] = [
        Fault::ReplyLost,
        Fault::ReplyCut,
        Fault::DoneButFailed,
        Fault::Twice,
        Fault::Throttled,
        Fault::Failed,
        Fault::Lost,
    ];
    Transport::new(|operation| {
        let hit = WRITES.contains(&operation) && rand::random::<u32>().is_multiple_of(5);
        hit.then(|| PASSING[rand::random::<u32>() as usize % PASSING.len()])
    })
}

struct Weather(StandIn);

impl CheckpointService for Weather {
    fn store(&self, keep: Duration, clock: WallClock) -> Arc<dyn CheckpointStore> {
        let client = client(&self.0.endpoint).config().to_builder().http_client(now_and_then()).build();
        let client = Client::from_conf(client);
        Arc::new(DynamoDbCheckpoints::with_client(&client, "shardflight", true, keep, clock))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_rules_hold_when_replies_get_lost() {
    let service = StandIn::start().await;
    store(&service.endpoint).ready().await.unwrap();
    run_checkpoint_rules(&Weather(service)).await.unwrap();
}

/// Who does not hear of winning in time has lost, as far as he knows; but nobody wins what somebody else has won.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_won_by_two_when_replies_get_lost() {
    let service = StandIn::start().await;
    let sure = store(&service.endpoint);
    let consumer = consumer("raced for");
    sure.set_base(&consumer, &stream(), None, &base(), "test").await.unwrap();
    let racing: Arc<dyn CheckpointStore> = Arc::new(through(&service.endpoint, now_and_then()));
    let Raced { opened, committed } = race(&racing, &consumer).await.unwrap();
    let head = sure.head(&consumer).await.unwrap().unwrap();
    let iterations = sure.iterations(&consumer).await.unwrap();
    assert!(!committed.is_empty());
    for (number, by) in &committed {
        assert!(
            number < &head.next,
            "{number} was committed by {by}, and the next one is {}",
            head.next
        );
    }
    let last = head.open.as_ref().map_or(head.next.0, |open| open.number.0 + 1);
    assert_eq!(iterations.len() as u64, last);
    for iteration in iterations {
        if let Some(opened_ms) = opened.get(&iteration.number) {
            assert_eq!(
                iteration.opened_ms, *opened_ms,
                "positions of iteration {} are another's",
                iteration.number
            );
        }
    }
}
