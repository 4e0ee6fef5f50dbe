//! What clients hold while versions change, as bytes that do not: `formats/*.hex`, written by hand-made CBOR and not by this program.
//!
//! A test that fails here tells of a changed format. The file stays, since what it holds may still come back from a client; what this version writes
//! gets a file beside it. See "Rolling upgrade" in `docs/cluster.md`.

use std::time::{Duration, SystemTime};

use arrow_flight::sql::{Any, TicketStatementQuery};
use ciborium::Value;
use prost::Message as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tonic::Code;

use crate::engine::{Principal, SessionId};
use crate::service::sealing::{SealKind, Sealer};
use crate::service::ticket::{Content, PreparedHandle, open_ticket, renew_ticket};

/// Bytes of hexadecimal digits, which white space may divide.
pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u32> = hex.chars().filter_map(|digit| digit.to_digit(16)).collect();
    let pairs = digits.chunks_exact(2);
    pairs.map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn packed<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).unwrap();
    bytes
}

/// The bytes are read, and written the same.
pub(crate) fn assert_kept<T: Serialize + DeserializeOwned>(golden: &[u8]) -> T {
    let read: T = ciborium::from_reader(golden).unwrap();
    assert_same(&packed(&read), golden);
    read
}

fn assert_same(written: &[u8], golden: &[u8]) {
    assert!(
        written == golden,
        "the format is another one; now it is\n{}\nand was\n{}",
        hex(written),
        hex(golden)
    );
}

/// Where a field may stand that nobody knows: the paths of all maps in which it is not refused.
pub(crate) fn ignoring<T: DeserializeOwned>(golden: &[u8]) -> Vec<String> {
    let whole: Value = ciborium::from_reader(golden).unwrap();
    let mut paths = Vec::new();
    maps(&whole, &mut Vec::new(), &mut paths);
    assert!(!paths.is_empty(), "there is no map");
    let ignored = |path: &Vec<usize>| {
        let mut changed = whole.clone();
        let mut shown = String::new();
        let mut at = &mut changed;
        for step in path {
            at = match at {
                Value::Array(items) => &mut items[*step],
                Value::Map(entries) => {
                    let (key, value) = &mut entries[*step];
                    shown = format!("{shown}.{}", key.as_text().unwrap_or("?"));
                    value
                }
                _ => unreachable!("a path leads through maps and arrays"),
            };
        }
        let Value::Map(entries) = at else {
            unreachable!("a path leads to a map")
        };
        entries.push((Value::Text("of_a_later_version".into()), Value::Bool(true)));
        ciborium::from_reader::<T, _>(packed(&changed).as_slice()).is_ok().then_some(shown)
    };
    paths.iter().filter_map(ignored).collect()
}

fn maps(value: &Value, path: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    let inner: Vec<&Value> = match value {
        Value::Map(entries) => {
            found.push(path.clone());
            entries.iter().map(|(_, value)| value).collect()
        }
        Value::Array(items) => items.iter().collect(),
        _ => return,
    };
    for (step, value) in inner.into_iter().enumerate() {
        path.push(step);
        maps(value, path, found);
        path.pop();
    }
}

const TICKET: &str = include_str!("formats/ticket.hex");
const LAKES: &str = include_str!("formats/lakes.hex");
const PARKED: &str = include_str!("formats/parked.hex");
const PREPARED: &str = include_str!("formats/prepared.hex");

fn later() -> SystemTime {
    SystemTime::now() + Duration::from_secs(600)
}

fn ann() -> Principal {
    Principal("ann".into())
}

/// A ticket's content as it comes out of this version, after it went in as these bytes.
fn renewed(sealer: &Sealer, golden: &[u8]) -> Vec<u8> {
    let handle = sealer.seal(SealKind::Ticket, golden, later()).unwrap();
    let most = Duration::from_secs(100 * 365 * 86_400);
    let (ticket, _) = renew_ticket(sealer, &handle, &ann(), Duration::from_secs(600), most).unwrap();
    let any = Any::decode(&*ticket.ticket).unwrap();
    let handle = any.unpack::<TicketStatementQuery>().unwrap().unwrap().statement_handle;
    sealer.open(SealKind::Ticket, &handle).unwrap()
}

#[test]
fn tickets_are_read_and_written_as_ever() {
    let sealer = Sealer::with_key([7; 32]);
    for golden in [TICKET, LAKES, PARKED].map(bytes) {
        assert_same(&renewed(&sealer, &golden), &golden);
    }
    let handle = sealer.seal(SealKind::Ticket, &bytes(TICKET), later()).unwrap();
    let Content::Part(part) = open_ticket(&sealer, &handle, &ann()).unwrap() else {
        panic!("another content");
    };
    // what rows depend on, as it stands in the file
    assert_eq!(part.sql, "select n from orders where n > $1");
    assert_eq!((part.part, part.parts, part.now_ns), (1, 3, 1_767_225_600_000_000_000));
    let options: Vec<_> = part.options.iter().map(|(name, value)| (name, value.to_text())).collect();
    assert_eq!(options, [("bad_records", "skip".to_owned()), ("max_endpoints", "8".to_owned())]);
    let snapshot = part.tables[0].snapshot.as_ref().unwrap();
    let ranges: Vec<_> = snapshot
        .shards
        .iter()
        .map(|pin| format!("{} {} {}", pin.range.shard, pin.range.start, pin.range.end))
        .collect();
    assert_eq!(
        ranges,
        [
            "shardId-000000000001 trim_horizon after:49590338271490256608559692538361571095921575989136588898:4294967295",
            "shardId-000000000002 before:49590338271490256608559692538361571095921575989136588898 \
             after:49590338271490256608559692538361571095921575989136588905:3",
        ]
    );
    assert_eq!(snapshot.shards[0].hash_range.unwrap().end, u128::MAX);
    assert_eq!(part.tables[0].definition.columns[0].path, ["a", "n"]);
    assert_eq!(part.parameters.as_ref().unwrap().as_slice(), b"rows");
    assert_eq!(part.scratch.views[0].text, "select 1");
}

#[test]
fn a_ticket_says_what_it_reads_beside_the_stream() {
    let sealer = Sealer::with_key([7; 32]);
    let handle = sealer.seal(SealKind::Ticket, &bytes(LAKES), later()).unwrap();
    let Content::Part(part) = open_ticket(&sealer, &handle, &ann()).unwrap() else {
        panic!("another content");
    };
    let history = part.tables[0].history.as_ref().unwrap();
    assert_eq!((history.offload.as_str(), history.version), ("orders_lake", 42));
    assert_eq!(history.id, "0198c7a2-0000-7000-8000-000000000002");
    let [customers, days, rates] = part.files.as_slice() else {
        panic!("{:?}", part.files);
    };
    assert_eq!(
        (customers.definition.csv.delimiter, customers.definition.csv.escape),
        (b';', Some(b'\\'))
    );
    let files: Vec<_> = days
        .files
        .iter()
        .flat_map(|files| files.iter())
        .map(|file| (&*file.path, file.bytes))
        .collect();
    assert_eq!(files, [("day=2026-01-01/a.parquet", 512), ("day=2026-01-02/b.parquet", 513)]);
    assert_eq!((days.definition.partitions, rates.version), (1, Some(7)));
}

#[test]
fn a_ticket_that_says_more_than_this_version_knows_gives_no_rows() {
    let sealer = Sealer::with_key([7; 32]);
    for golden in [TICKET, LAKES, PARKED].map(bytes) {
        /// As a ticket is opened.
        struct Opened;
        impl<'de> serde::Deserialize<'de> for Opened {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let sealer = Sealer::with_key([7; 32]);
                let bytes = packed(&Value::deserialize(deserializer)?);
                let handle = sealer.seal(SealKind::Ticket, &bytes, later()).map_err(serde::de::Error::custom)?;
                match open_ticket(&sealer, &handle, &ann()) {
                    Ok(_) => Ok(Self),
                    Err(status) => {
                        assert_eq!(status.code(), Code::FailedPrecondition, "{status}");
                        assert!(status.message().contains("another version"), "{status}");
                        Err(serde::de::Error::custom(status))
                    }
                }
            }
        }
        assert_eq!(ignoring::<Opened>(&golden), Vec::<String>::new());
    }
    // an option of a later version, and a value that only a later version has
    let text = |key: &str, value: &str| {
        (
            Value::Text(key.into()),
            Value::Map(vec![(Value::Text("Text".into()), Value::Text(value.into()))]),
        )
    };
    for (name, value, known) in [
        ("bad_records", "skip", true),
        ("bad_recordz", "skip", false),
        ("bad_records", "forget", false),
    ] {
        let mut whole: Value = ciborium::from_reader(bytes(TICKET).as_slice()).unwrap();
        let mut at = &mut whole;
        for key in ["content", "Part", "options"] {
            let Value::Map(entries) = at else { panic!("no map") };
            at = entries
                .iter_mut()
                .find_map(|(found, value)| (found.as_text() == Some(key)).then_some(value))
                .unwrap();
        }
        *at = Value::Map(vec![text(name, value)]);
        let handle = sealer.seal(SealKind::Ticket, &packed(&whole), later()).unwrap();
        assert_eq!(open_ticket(&sealer, &handle, &ann()).is_ok(), known, "{name} = {value}");
    }
}

#[test]
fn prepared_handles_are_read_and_written_as_ever() {
    let golden = bytes(PREPARED);
    let prepared: PreparedHandle = assert_kept(&golden);
    assert_eq!(prepared.sql, "select n from orders where n > ?");
    assert_eq!(prepared.session(), SessionId("session-1".into()));
    assert_eq!(prepared.parameters(), Some(&b"rows"[..]));
    // what is bound decides rows
    assert_eq!(ignoring::<PreparedHandle>(&golden), Vec::<String>::new());
}
