use ciborium::value::Value;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Deserialize, PartialEq, Serialize)]
struct Times {
    at: Timestamp,
}

#[test]
fn timestamps_are_seconds_in_json_and_tagged_milliseconds_in_cbor() {
    let times = Times {
        at: Timestamp(1_732_312_345_678),
    };
    assert_eq!(Protocol::Json.encode(&times).unwrap(), br#"{"at":1732312345.678}"#);
    let cbor = Protocol::Cbor.encode(&times).unwrap();
    let value: Value = ciborium::from_reader(&cbor[..]).unwrap();
    let expected = Value::Tag(1, Box::new(Value::Integer(1_732_312_345_678_i64.into())));
    assert_eq!(value.as_map().unwrap()[0].1, expected);
    for protocol in [Protocol::Json, Protocol::Cbor] {
        assert_eq!(
            protocol.decode::<Times>(&protocol.encode(&times).unwrap()),
            Ok(Times { at: times.at })
        );
    }
    assert_eq!(
        Protocol::Json.decode::<Times>(br#"{"at":1732312345}"#),
        Ok(Times {
            at: Timestamp(1_732_312_345_000)
        })
    );
    assert!(Protocol::Json.decode::<Times>(br#"{"at":1e300}"#).is_err());
}

#[derive(Debug, Deserialize)]
struct WithBlob {
    data: Blob,
}

#[test]
fn blobs_are_base64_in_json_and_bytes_in_cbor() {
    assert_eq!(
        Protocol::Json.decode::<WithBlob>(br#"{"data":"AP8="}"#).unwrap().data,
        Blob(vec![0, 255])
    );
    assert!(Protocol::Json.decode::<WithBlob>(br#"{"data":"?"}"#).is_err());
    // An indefinite map, as Java SDKs write: bf 64 "data" 42 00ff ff.
    assert_eq!(
        Protocol::Cbor.decode::<WithBlob>(b"\xbf\x64data\x42\x00\xff\xff").unwrap().data,
        Blob(vec![0, 255])
    );
}

fn page(protocol: Protocol, ended: bool) -> Vec<u8> {
    let mut page = PageWriter::new(protocol, 2, 10);
    page.record(b"490", 1_732_312_345_007, "a\"\\\n\u{e9}".as_bytes(), b"\x00\xff");
    page.record(b"491", 5, b"k", b"");
    let head = PageHead {
        next_shard_iterator: (!ended).then(|| "it".to_owned()),
        millis_behind_latest: 70_000,
        child_shards: ended.then(|| vec!["child"]),
    };
    page.finish(&head).unwrap()
}

#[test]
fn a_json_page_reads_as_json() {
    let value: serde_json::Value = serde_json::from_slice(&page(Protocol::Json, false)).unwrap();
    let expected = serde_json::json!({
        "Records": [
            {"SequenceNumber": "490", "ApproximateArrivalTimestamp": 1_732_312_345.007, "Data": "AP8=", "PartitionKey": "a\"\\\n\u{e9}"},
            {"SequenceNumber": "491", "ApproximateArrivalTimestamp": 0.005, "Data": "", "PartitionKey": "k"},
        ],
        "NextShardIterator": "it",
        "MillisBehindLatest": 70_000,
    });
    assert_eq!(value, expected);
    let ended: serde_json::Value = serde_json::from_slice(&page(Protocol::Json, true)).unwrap();
    assert_eq!(ended["NextShardIterator"], serde_json::Value::Null);
    assert_eq!(ended["ChildShards"], serde_json::json!(["child"]));
}

#[test]
fn a_cbor_page_reads_as_cbor() {
    let value: Value = ciborium::from_reader(&page(Protocol::Cbor, true)[..]).unwrap();
    let text = |text: &str| Value::Text(text.to_owned());
    let record = |sequence: &str, at: i64, data: &[u8], key: &str| {
        Value::Map(vec![
            (text("SequenceNumber"), text(sequence)),
            (text("ApproximateArrivalTimestamp"), Value::Tag(1, Box::new(at.into()))),
            (text("Data"), Value::Bytes(data.to_vec())),
            (text("PartitionKey"), text(key)),
        ])
    };
    let records = vec![
        record("490", 1_732_312_345_007, b"\x00\xff", "a\"\\\n\u{e9}"),
        record("491", 5, b"", "k"),
    ];
    let expected = Value::Map(vec![
        (text("Records"), Value::Array(records)),
        (text("NextShardIterator"), Value::Null),
        (text("MillisBehindLatest"), 70_000.into()),
        (text("ChildShards"), Value::Array(vec![text("child")])),
    ]);
    assert_eq!(value, expected);
}
