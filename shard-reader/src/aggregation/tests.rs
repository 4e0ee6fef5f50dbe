use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::aggregate::{Aggregate, LookAlike};
use super::message::{AggregatedRecord, Tag, UserRecord};
use super::*;
use crate::{Records, RecordsBuilder};

#[derive(serde::Deserialize)]
struct Vectors {
    vectors: Vec<Vector>,
}

#[derive(serde::Deserialize)]
struct Vector {
    name: String,
    data_base64: String,
    kcl_result: String,
    user_records: Vec<Expected>,
}

#[derive(serde::Deserialize)]
struct Expected {
    partition_key: String,
    explicit_hash_key: Option<String>,
    sub_sequence_number: u32,
    data_base64: String,
}

fn vectors() -> Vec<Vector> {
    let file: Vectors = serde_json::from_str(include_str!("../../tests/data/kpl/vectors.json")).unwrap();
    file.vectors
}

fn run(payloads: &[Vec<u8>]) -> Records {
    let mut builder = RecordsBuilder::with_capacity(payloads.len(), 0, 0);
    for (number, payload) in (1u64..).zip(payloads) {
        builder.push(number.into(), Some("outer"), Some(number as i64 * 1000), payload);
    }
    builder.finish()
}

/// A row: sequence number, sub-sequence, hash key, partition key, arrival, payload.
type Row = (u64, u32, Option<u128>, String, i64, Vec<u8>);

fn rows(records: &Records) -> Vec<Row> {
    (0..records.len())
        .map(|row| {
            (
                records.sequence(row).to_string().parse().unwrap(),
                records.subs().value(row),
                records.hash_key(row),
                records.partition_keys().value(row).to_owned(),
                records.arrival(row).unwrap(),
                records.data().value(row).to_vec(),
            )
        })
        .collect()
}

fn raw(number: u64, payload: &[u8]) -> Row {
    (number, 0, None, "outer".into(), number as i64 * 1000, payload.to_vec())
}

/// Magic, a message, its MD5.
fn framed(message: &[u8]) -> Vec<u8> {
    [MAGIC, message, &digest(message)].concat()
}

fn framed_message(message: &AggregatedRecord) -> Vec<u8> {
    framed(&message.encode_to_vec())
}

fn user_record(partition_key: u64, data: &[u8]) -> UserRecord {
    UserRecord {
        partition_key_index: Some(partition_key),
        explicit_hash_key_index: None,
        data: Some(Bytes::copy_from_slice(data)),
        tags: Vec::new(),
    }
}

fn message(records: &[UserRecord]) -> AggregatedRecord {
    AggregatedRecord {
        partition_keys: vec![Bytes::from_static(b"a"), Bytes::from_static(b"b")],
        explicit_hash_keys: vec![Bytes::from_static(b"7")],
        records: records.iter().map(|record| record.encode_to_vec().into()).collect(),
    }
}

#[test]
fn what_others_aggregated_gives_exactly_their_user_records() {
    let vectors = vectors();
    let payloads: Vec<Vec<u8>> = vectors
        .iter()
        .map(|vector| BASE64_STANDARD.decode(&vector.data_base64).unwrap())
        .collect();
    let mut expected = Vec::new();
    for ((number, vector), payload) in (1u64..).zip(&vectors).zip(&payloads) {
        if vector.kcl_result != "aggregated" {
            expected.push(raw(number, payload));
            continue;
        }
        assert!(!vector.user_records.is_empty(), "{}", vector.name);
        for user in &vector.user_records {
            let hash_key = match &user.explicit_hash_key {
                Some(text) => text.parse().unwrap(),
                None => hash_of_partition_key(&user.partition_key),
            };
            expected.push((
                number,
                user.sub_sequence_number,
                Some(hash_key),
                user.partition_key.clone(),
                number as i64 * 1000,
                BASE64_STANDARD.decode(&user.data_base64).unwrap(),
            ));
        }
    }
    let read = deaggregate(run(&payloads)).unwrap();
    assert_eq!(rows(&read.records), expected);
    assert_eq!(read.look_alikes, 0);
    assert!(read.records.is_ascending());
    // 4 + 8 + 100 + 2
    assert_eq!(read.records.len(), 114);
}

#[test]
fn a_partition_key_is_hashed_as_kinesis_does() {
    // the Java aggregator names md5("abc") as the explicit hash key of partition key `abc`; and MD5 of nothing is d41d8cd98f00b204e9800998ecf8427e
    assert_eq!(hash_of_partition_key("abc"), 191_415_658_344_158_766_168_031_473_277_922_803_570);
    assert_eq!(hash_of_partition_key(""), 0xd41d_8cd9_8f00_b204_e980_0998_ecf8_427e);
}

#[test]
fn a_page_without_an_aggregate_is_not_copied() {
    let records = run(&[
        b"{}".to_vec(),
        b"".to_vec(),
        MAGIC[..3].to_vec(),
        MAGIC.to_vec(),
        [MAGIC, &[0; 16]].concat(),
    ]);
    let pointer = records.data().values().as_ptr();
    let read = deaggregate(records.clone()).unwrap();
    assert_eq!(read.records, records);
    assert_eq!(read.look_alikes, 2);
    assert_eq!(read.records.data().values().as_ptr(), pointer);
    assert!(read.records.hash_keys().is_none());
}

#[test]
fn aggregates_and_plain_records_keep_their_order() {
    let aggregate = framed_message(&message(&[
        user_record(1, b"x"),
        UserRecord {
            explicit_hash_key_index: Some(0),
            ..user_record(0, b"")
        },
    ]));
    let read = deaggregate(run(&[b"first".to_vec(), aggregate.clone(), aggregate, b"last".to_vec()])).unwrap();
    let users = |number: u64| {
        let arrival = number as i64 * 1000;
        [
            (number, 0, Some(hash_of_partition_key("b")), "b".to_owned(), arrival, b"x".to_vec()),
            (number, 1, Some(7), "a".to_owned(), arrival, Vec::new()),
        ]
    };
    let expected: Vec<Row> = [raw(1, b"first")]
        .into_iter()
        .chain(users(2))
        .chain(users(3))
        .chain([raw(4, b"last")])
        .collect();
    assert_eq!(rows(&read.records), expected);
}

#[test]
fn look_alikes_pass_as_they_are_and_are_counted() {
    let good = user_record(0, b"data");
    let parse = |payload: &[u8]| Aggregate::parse(&Bytes::copy_from_slice(payload)).unwrap_err();
    let mut other_digest = framed_message(&message(std::slice::from_ref(&good)));
    *other_digest.last_mut().unwrap() ^= 1;
    let with_keys = |partition_key: &'static [u8], hash_key: &'static [u8], explicit: Option<u64>| {
        framed_message(&AggregatedRecord {
            partition_keys: vec![Bytes::from_static(partition_key)],
            explicit_hash_keys: vec![Bytes::from_static(hash_key)],
            ..message(&[UserRecord {
                explicit_hash_key_index: explicit,
                ..good.clone()
            }])
        })
    };
    let keyless = Tag {
        key: None,
        value: Some(Bytes::from_static(b"v")),
    };
    let long_key = vec![b'k'; 2000];
    let expanding = framed_message(&AggregatedRecord {
        partition_keys: vec![long_key.into()],
        ..message(&vec![user_record(0, b""); 1000])
    });
    let cases: Vec<(Vec<u8>, LookAlike)> = vec![
        (other_digest, LookAlike::Digest),
        (framed(b""), LookAlike::Digest),
        (framed_message(&message(&[])), LookAlike::Empty),
        (framed_message(&message(&[good.clone(), user_record(2, b"")])), LookAlike::Index(2)),
        (framed_message(&message(&[user_record(u64::MAX, b"")])), LookAlike::Index(u64::MAX)),
        (with_keys(b"a", b"7", Some(1)), LookAlike::Index(1)),
        (
            framed_message(&message(&[UserRecord {
                data: None,
                ..good.clone()
            }])),
            LookAlike::MissingField,
        ),
        (
            framed_message(&message(&[UserRecord {
                partition_key_index: None,
                ..good.clone()
            }])),
            LookAlike::MissingField,
        ),
        (
            framed_message(&message(&[UserRecord {
                tags: vec![keyless.encode_to_vec().into()],
                ..good.clone()
            }])),
            LookAlike::MissingField,
        ),
        (with_keys(b"\xff", b"7", None), LookAlike::PartitionKey),
        (with_keys(b"a", b"", Some(0)), LookAlike::HashKey),
        (with_keys(b"a", b"-1", Some(0)), LookAlike::HashKey),
        // 2^128
        (
            with_keys(b"a", b"340282366920938463463374607431768211456", Some(0)),
            LookAlike::HashKey,
        ),
        (expanding, LookAlike::Expansion),
    ];
    for (payload, expected) in &cases {
        assert_eq!(parse(payload), *expected);
    }
    // a field that claims more bytes than there are; a varint without an end; a group, which proto2 had
    for message in [
        &b"\x1a\xff\xff\xff\xff\x0f"[..],
        b"\x1a\xff",
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x0b\x0c\x0d",
    ] {
        assert!(matches!(parse(&framed(message)), LookAlike::Protobuf(_)));
    }
    let payloads: Vec<Vec<u8>> = cases.into_iter().map(|(payload, _)| payload).collect();
    let read = deaggregate(run(&payloads)).unwrap();
    assert_eq!(read.records, run(&payloads));
    assert_eq!(read.look_alikes, payloads.len() as u64);
}

#[test]
fn entries_that_no_user_record_names_do_not_matter() {
    let payload = framed_message(&AggregatedRecord {
        partition_keys: vec![Bytes::from_static(b"a"), Bytes::from_static(b"\xff")],
        explicit_hash_keys: vec![
            Bytes::from_static(b"none"),
            Bytes::from_static(b"00340282366920938463463374607431768211455"),
        ],
        ..message(&[UserRecord {
            explicit_hash_key_index: Some(1),
            ..user_record(0, b"data")
        }])
    });
    let read = deaggregate(run(&[payload])).unwrap();
    assert_eq!(
        rows(&read.records),
        [(1, 0, Some(u128::MAX), "a".to_owned(), 1000, b"data".to_vec())]
    );
}

#[test]
fn the_longest_keys_of_kpl_do_not_expand_too_far() {
    let mut aggregator = Aggregator::new();
    let key = "k".repeat(256);
    for _ in 0..10_000 {
        aggregator.push(&key, None, b"");
    }
    let read = deaggregate(run(&[aggregator.finish()])).unwrap();
    assert_eq!((read.records.len(), read.look_alikes), (10_000, 0));
}

type UserRecords = Vec<(String, Option<u128>, Vec<u8>)>;

fn user_records() -> impl Strategy<Value = UserRecords> {
    let key = prop_oneof![Just("key".to_owned()), "[a-cé😀]{0,3}"];
    let explicit = prop_oneof![Just(None), Just(Some(0)), Just(Some(u128::MAX)), any::<u128>().prop_map(Some)];
    proptest::collection::vec((key, explicit, proptest::collection::vec(any::<u8>(), 0..300)), 1..40)
}

fn aggregated(users: &UserRecords) -> Vec<u8> {
    let mut aggregator = Aggregator::new();
    for (key, explicit, data) in users {
        aggregator.push(key, *explicit, data);
    }
    assert_eq!((aggregator.len(), aggregator.is_empty()), (users.len(), false));
    let bytes = aggregator.bytes();
    let aggregate = aggregator.finish();
    assert_eq!(aggregate.len(), bytes);
    assert!(aggregator.is_empty());
    aggregate
}

#[derive(Debug, Clone)]
enum Payload {
    Plain(Vec<u8>),
    Whole(UserRecords),
    Damaged(UserRecords, usize, u8),
    /// A message of any bytes, well framed.
    Framed(Vec<u8>),
}

fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Payload::Plain),
        user_records().prop_map(Payload::Whole),
        (user_records(), any::<usize>(), 1u8..).prop_map(|(users, at, flip)| Payload::Damaged(users, at, flip)),
        proptest::collection::vec(any::<u8>(), 0..60).prop_map(Payload::Framed),
    ]
}

proptest! {
    /// Aggregates give their user records, anything else itself; a damaged aggregate is anything else.
    #[test]
    fn rows_of_any_page(payloads in proptest::collection::vec(payload(), 0..12)) {
        let mut expected = Vec::new();
        let mut bytes = Vec::new();
        for (number, payload) in (1u64..).zip(&payloads) {
            match payload {
                Payload::Plain(plain) => {
                    expected.push(raw(number, plain));
                    bytes.push(plain.clone());
                }
                Payload::Whole(users) => {
                    for (sub, (key, explicit, data)) in (0u32..).zip(users) {
                        let hash_key = explicit.unwrap_or_else(|| hash_of_partition_key(key));
                        expected.push((number, sub, Some(hash_key), key.clone(), number as i64 * 1000, data.clone()));
                    }
                    bytes.push(aggregated(users));
                }
                Payload::Damaged(users, at, flip) => {
                    let mut aggregate = aggregated(users);
                    let at = at % aggregate.len();
                    aggregate[at] ^= flip;
                    expected.push(raw(number, &aggregate));
                    bytes.push(aggregate);
                }
                Payload::Framed(message) => {
                    let aggregate = framed(message);
                    // by chance it may be one
                    match Aggregate::parse(&Bytes::from(aggregate.clone())) {
                        Ok(_) => return Err(TestCaseError::reject("a message by chance")),
                        Err(_) => expected.push(raw(number, &aggregate)),
                    }
                    bytes.push(aggregate);
                }
            }
        }
        let read = deaggregate(run(&bytes)).unwrap();
        prop_assert_eq!(rows(&read.records), expected);
        prop_assert!(read.records.is_ascending());
        let look_alikes = bytes.iter().zip(&payloads).filter(|(bytes, payload)| bytes.starts_with(MAGIC) && !matches!(payload, Payload::Whole(_)));
        prop_assert_eq!(read.look_alikes, look_alikes.count() as u64);
    }

    /// A message with a valid digest that was cut or changed anywhere never panics, and loses nothing.
    #[test]
    fn broken_messages(users in user_records(), cut in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), flip: u8) {
        let aggregate = aggregated(&users);
        let mut message = aggregate[MAGIC.len()..aggregate.len() - DIGEST_BYTES].to_vec();
        message.truncate(cut.index(message.len() + 1));
        if !message.is_empty() {
            let at = at.index(message.len());
            message[at] ^= flip;
        }
        let payload = framed(&message);
        let read = deaggregate(run(std::slice::from_ref(&payload))).unwrap();
        if read.look_alikes == 1 {
            prop_assert_eq!(rows(&read.records), [raw(1, &payload)]);
        } else {
            prop_assert!(!read.records.is_empty() && (0..read.records.len()).all(|row| read.records.hash_key(row).is_some()));
        }
    }
}
