//! What stores keep while versions change, as text and bytes that do not change: `formats/*.hex` is hand-made CBOR, not written by this program.
//!
//! A test that fails here tells of a changed format. Stores hold the old one for as long as anybody has a checkpoint, and servers of both versions read
//! and write them while they are replaced. See "Rolling upgrade" in `docs/cluster.md`.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::encoding::{from_json, pack, to_json, unpack};
use super::transitions::StoredHead;
use super::*;
use crate::{Position, ShardId, StreamIdentity};

pub(super) const ITERATION: &str = include_str!("formats/iteration.hex");
pub(super) const BASE: &str = include_str!("formats/base.hex");
/// The same iteration, compressed by `zstd --check`.
pub(super) const PACKED: &str = include_str!("formats/iteration_packed.hex");
pub(super) const HEAD: &str = concat!(
    r#"{"consumer":{"name":"payments","stream":"arn:aws:kinesis:eu-central-1:123456789012:stream/orders"},"#,
    r#""head":{"stream":{"arn":"arn:aws:kinesis:eu-central-1:123456789012:stream/orders","created_ms":1700000000000},"version":9,"#,
    r#""start":{"After":3},"next":4,"open":{"number":4,"owner":"owner-1","opened_ms":1767225600000},"#,
    r#""committed":[3,"owner-0",1767225500000],"abandoned":{"2":[1767225400000,"ann"]}},"#,
    r#""life":1,"committed_start":{"Base":0},"commits":[[1,"owner-a"],[3,"owner-0"]]}"#,
);
const RUN: &str = r#"{"query_id":"query-1","sql":"select n from orders","parts":3,"delivered":[0,2]}"#;

/// Bytes of hexadecimal digits, which white space may divide.
pub(super) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.chunks_exact(2);
    pairs.map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

pub(super) fn consumer() -> Consumer {
    Consumer {
        name: "payments".parse().unwrap(),
        stream: "arn:aws:kinesis:eu-central-1:123456789012:stream/orders".into(),
    }
}

pub(super) fn head() -> StoredHead {
    let number = IterationNumber;
    StoredHead {
        consumer: consumer(),
        head: Head {
            stream: StreamIdentity {
                arn: consumer().stream,
                created_ms: 1_700_000_000_000,
            },
            version: 9,
            start: IterationStart::After(number(3)),
            next: number(4),
            open: Some(OpenIteration {
                number: number(4),
                owner: OwnerToken("owner-1".into()),
                opened_ms: 1_767_225_600_000,
            }),
            committed: Some((number(3), OwnerToken("owner-0".into()), 1_767_225_500_000)),
            abandoned: [(number(2), (1_767_225_400_000, "ann".to_owned()))].into(),
        },
        life: 1,
        committed_start: Some(IterationStart::Base(number(0))),
        commits: [(number(1), OwnerToken("owner-a".into())), (number(3), OwnerToken("owner-0".into()))].into(),
    }
}

fn position(text: &str) -> Position {
    text.parse().unwrap()
}

fn ends() -> Ends {
    let end = |shard: &str, position_text: &str, closed_ms| {
        let position = position(position_text);
        (ShardId::from(shard), ShardEnd { position, closed_ms })
    };
    Ends {
        as_of_ms: Some(1_767_225_600_000),
        retention_ms: 86_400_000,
        shards: [
            end(
                "shardId-000000000001",
                "after:49590338271490256608559692538361571095921575989136588898:4294967295",
                None,
            ),
            end(
                "shardId-000000000002",
                "after:49590338271490256608559692538361571095921575989136588905:3",
                Some(1_767_225_500_000),
            ),
        ]
        .into(),
    }
}

pub(super) fn iteration() -> Iteration {
    Iteration {
        number: IterationNumber(4),
        start: IterationStart::After(IterationNumber(3)),
        created_ms: 1_700_000_000_000,
        opened_ms: 1_767_225_600_000,
        starts: [
            (
                "shardId-000000000002".into(),
                position("before:49590338271490256608559692538361571095921575989136588898"),
            ),
            ("shardId-000000000003".into(), Position::TrimHorizon),
        ]
        .into(),
        ends: ends(),
    }
}

fn base() -> Base {
    Base {
        ends: ends(),
        stated: "trim_horizon".to_owned(),
        at_ms: 1_767_225_600_000,
    }
}

/// What is stored is this value's, and this value's is what is stored. Compression may change its mind, what it holds not.
fn assert_packed<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, golden: &[u8]) {
    let mut plain = Vec::new();
    ciborium::into_writer(value, &mut plain).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert!(
        plain == golden,
        "the format is another one; now it is\n{}\nand was\n{}",
        hex(&plain),
        hex(golden)
    );
    let stored = zstd::encode_all(golden, 3).unwrap();
    assert_eq!(unpack::<T>("it", &stored).unwrap(), *value);
    assert_eq!(zstd::decode_all(pack("it", value).unwrap().as_slice()).unwrap(), golden);
}

#[test]
fn iterations_and_bases_are_kept_as_ever() {
    assert_packed(&iteration(), &bytes(ITERATION));
    assert_packed(&base(), &bytes(BASE));
    assert_eq!(unpack::<Iteration>("it", &bytes(PACKED)).unwrap(), iteration());
}

#[test]
fn heads_and_runs_are_kept_as_ever() {
    assert_eq!(to_json("it", &head()).unwrap(), HEAD);
    assert_eq!(from_json::<StoredHead>("it", HEAD.as_bytes()).unwrap(), head());
    let run = Run {
        query_id: "query-1".to_owned(),
        sql: "select n from orders".to_owned(),
        parts: 3,
        delivered: [0, 2].into(),
    };
    assert_eq!(to_json("it", &run).unwrap(), RUN);
    assert_eq!(from_json::<Run>("it", RUN.as_bytes()).unwrap(), run);
}

/// Of all objects in a text, one after the other gets a field that nobody knows.
fn with_more(text: &str) -> Vec<String> {
    let opened = text.match_indices('{').map(|(at, _)| at + 1);
    opened
        .map(|at| format!("{}\"of_a_later_version\":1,{}", &text[..at], &text[at..]))
        .collect()
}

#[test]
fn what_a_later_version_says_of_positions_is_not_left_out_in_silence() {
    for more in with_more(HEAD) {
        let error = from_json::<StoredHead>("it", more.as_bytes()).unwrap_err();
        assert_eq!(error.kind, CheckpointErrorKind::Corrupt, "{more}: {error}");
    }
    for more in with_more(RUN) {
        from_json::<Run>("it", more.as_bytes()).unwrap_err();
    }
    // the first map of an iteration and of a base is the whole
    for golden in [bytes(ITERATION), bytes(BASE)] {
        let ciborium::Value::Map(mut entries) = ciborium::from_reader(golden.as_slice()).unwrap() else {
            panic!("no map");
        };
        entries.push((ciborium::Value::Text("of_a_later_version".into()), ciborium::Value::Null));
        let mut plain = Vec::new();
        ciborium::into_writer(&ciborium::Value::Map(entries), &mut plain).unwrap();
        let stored = zstd::encode_all(plain.as_slice(), 3).unwrap();
        assert!(unpack::<Iteration>("it", &stored).is_err() && unpack::<Base>("it", &stored).is_err());
    }
}
