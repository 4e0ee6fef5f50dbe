//! Each shard is pinned by its owner, whoever is asked: that saves calls, and changes no row.

use axum::routing::post;
use http::StatusCode;
use serde_json::json;
use shard_reader::{PinRequest, ShardToPin, TipKind};

use super::super::pins::{Answered, Asked};
use super::*;

const COUNT: &str = "select count(*), sum(n) from t";

/// Of all numbers below.
fn totals(rows: i64) -> String {
    format!("{rows}|{}", rows * (rows - 1) / 2)
}

fn sum(cluster: &Cluster, of: impl Fn(&ClusterCounters) -> u64) -> u64 {
    cluster.members.iter().map(|member| of(&member.counters)).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_make_the_calls_of_one() {
    let source = stream(9, 900);
    let one = Lone::new(&source);
    for _ in 0..6 {
        assert_eq!(one.rows(COUNT).await.unwrap(), [totals(900)]);
    }
    let expected = source.calls();
    let cluster = Cluster::new(3, stream(9, 900)).await;
    for member in cluster.members.iter().chain(&cluster.members) {
        assert_eq!(member.lone.rows(COUNT).await.unwrap(), [totals(900)]);
    }
    let calls = cluster.source.calls();
    assert_eq!(calls.records, 900, "each record is received once, by one node");
    assert!(calls.read <= expected.read, "{calls:?} instead of {expected:?}");
    assert_eq!(sum(&cluster, |counters| counters.pins_failed.now()), 0);
    let asked = sum(&cluster, |counters| counters.pins_asked.now());
    // nine shards for each of six statements, but for those of the node that was asked: two thirds on average
    assert!((9..54).contains(&asked), "{asked}");
    assert_eq!(asked, sum(&cluster, |counters| counters.pins_served.now()));
    assert!(sum(&cluster, |counters| counters.tasks.now()) > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_before_is_in_the_answer() {
    let cluster = Cluster::with_rows(3, 6, 0).await;
    let mut ids = cluster.source.shard_ids();
    for n in 0..60_i64 {
        let record = format!("{{\"n\":{n},\"word\":\"w\"}}");
        let shard = ids[n as usize % ids.len()].clone();
        if n % 12 == 7 {
            // the shard ends, and its records go to children that no node has heard of
            let [left, _] = cluster.source.split(&shard).unwrap();
            cluster.source.set_late_end(n % 24 == 7);
            cluster.source.put(&left, "key", record.as_bytes()).unwrap();
            ids.retain(|id| *id != shard);
            ids.push(left);
        } else {
            cluster.source.put(&shard, "key", record.as_bytes()).unwrap();
        }
        let asked = &cluster.members[n as usize % 3];
        assert_eq!(
            asked.lone.rows(COUNT).await.unwrap(),
            [totals(n + 1)],
            "after {n}, at {}",
            asked.node
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_disagree_answer_alike() {
    let cluster = Cluster::with_rows(3, 12, 240).await;
    let [first, second, third] = cluster.members.as_slice() else {
        panic!("three")
    };
    first.peers.lost(second.node.url.as_str());
    second.peers.lost(third.node.url.as_str());
    for _ in 0..2 {
        for member in &cluster.members {
            assert_eq!(member.lone.rows(COUNT).await.unwrap(), [totals(240)]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_created_anew_is_another_one_for_all() {
    let cluster = Cluster::with_rows(2, 6, 60).await;
    for member in &cluster.members {
        assert_eq!(member.lone.rows(COUNT).await.unwrap(), [totals(60)]);
    }
    cluster.source.recreate();
    cluster
        .source
        .put(&cluster.source.shard_ids()[3], "key", b"{\"n\":0,\"word\":\"w\"}")
        .unwrap();
    for member in &cluster.members {
        assert_eq!(member.lone.rows(COUNT).await.unwrap(), [totals(1)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_known_tip_is_the_owners() {
    let cluster = Cluster::with_rows(2, 6, 60).await;
    assert_eq!(cluster.members[0].lone.rows(COUNT).await.unwrap(), [totals(60)]);
    let shard = cluster.source.shard_ids()[2].clone();
    cluster.source.put(&shard, "key", b"{\"n\":60,\"word\":\"w\"}").unwrap();
    let reads = cluster.source.calls().read;
    let cached = format!("/*+ freshness='cached' */ {COUNT}");
    assert_eq!(cluster.members[1].lone.rows(&cached).await.unwrap(), [totals(60)]);
    assert_eq!(cluster.source.calls().read, reads, "it took no call");
    assert_eq!(cluster.members[1].lone.rows(COUNT).await.unwrap(), [totals(61)]);
}

/// How a node may fail to answer.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Nothing,
    NoAnswer,
    StillReading,
    Unreadable,
    OtherStream,
    OtherShards,
    TooOld,
    Backwards,
    Bounded,
    Silent,
}

/// What the wrong node says about shards of which it knows nothing.
fn wrong(wrong: Wrong) -> axum::Router {
    let answer = move |body: bytes::Bytes| async move {
        let asked: Asked = ciborium::from_reader(body.as_ref()).unwrap();
        let mut answer = json!({ "stream": asked.order.stream().identity(), "shards": [] });
        let shards = || {
            let (request, shards): (PinRequest, &[ShardToPin]) = (asked.order.request(), asked.order.shards());
            assert!(request.arrived.elapsed() < Duration::from_secs(60) && !shards.is_empty());
            let pin = |to_pin: &ShardToPin| {
                // the end of an empty shard: rows would be missing
                let (mut shard, mut start, mut tip) = (to_pin.shard.to_string(), json!("trim_horizon"), json!(TipKind::Reached));
                match wrong {
                    Wrong::OtherShards => shard.push('0'),
                    Wrong::TooOld => tip = json!(TipKind::Cached),
                    Wrong::Backwards => start = json!("before:1"),
                    Wrong::Bounded => tip = json!(TipKind::Bounded),
                    _ => {}
                }
                json!({
                    "pin": {
                        "range": { "shard": shard, "start": start, "end": "trim_horizon" },
                        "shard_start": null, "shard_end": null, "hash_range": null, "tip": tip, "bytes_cached": 0,
                    },
                    "children": [],
                    "estimate": {
                        "bytes_in_memory": 0, "bytes_stored": 0, "bytes_to_read": null, "least_to_read": 0, "least_is_known": true,
                        "least_time": { "secs": 0, "nanos": 0 }, "records_to_read": null, "calls": null, "time": null, "bytes_long_ago": 0,
                        "source": "Unknown",
                    },
                })
            };
            shards.iter().map(pin).collect::<Vec<_>>()
        };
        match wrong {
            Wrong::Nothing => return Err((StatusCode::CONFLICT, "another version".to_owned())),
            Wrong::NoAnswer => {}
            Wrong::StillReading => answer["pending"] = json!(asked.order.shards().iter().map(|to_pin| &to_pin.shard).collect::<Vec<_>>()),
            Wrong::Unreadable => return Ok(b"no answer".to_vec()),
            Wrong::OtherStream => answer["stream"]["created_ms"] = json!(1),
            Wrong::Silent => std::future::pending().await,
            Wrong::OtherShards | Wrong::TooOld | Wrong::Backwards | Wrong::Bounded => answer["shards"] = json!(shards()),
        }
        let answered: Answered = serde_json::from_value(answer).unwrap();
        let mut body = Vec::new();
        ciborium::into_writer(&answered, &mut body).unwrap();
        Ok(body)
    };
    axum::Router::new().route("/v1/pins", post(answer))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_owner_answers_wrongly_is_read_here() {
    for fault in [
        Wrong::Nothing,
        Wrong::NoAnswer,
        Wrong::StillReading,
        Wrong::Unreadable,
        Wrong::OtherStream,
        Wrong::OtherShards,
        Wrong::TooOld,
        Wrong::Backwards,
        Wrong::Bounded,
        Wrong::Silent,
    ] {
        let cluster = Cluster::of(2, stream(24, 240), Some(wrong(fault)), AdmissionLimits::default()).await;
        assert_eq!(cluster.first().rows(COUNT).await.unwrap(), [totals(240)], "{fault:?}");
        let counters = &cluster.members[0].counters;
        assert!(counters.pins_asked.now() > 0, "{fault:?}");
        assert_eq!(counters.pins_failed.now(), counters.pins_asked.now(), "{fault:?}");
    }
}
