use arrow::array::{AsArray, StringArray};
use arrow::datatypes::Int64Type;

use super::*;
use crate::RecordsBuilder;

const DEFINITION: &str = "
table: logs
stream: logs
format: json
columns:
  - { name: host, path: host, type: varchar }
  - { name: bytes, path: bytes, type: bigint }
";

fn segment(budget: &Arc<MemoryBudget>, payloads: &[&[u8]]) -> Arc<Segment> {
    let mut builder = RecordsBuilder::with_capacity(payloads.len(), 0, 0);
    for (row, payload) in payloads.iter().enumerate() {
        builder.push(SequenceNumber::from(row as u64 + 1), Some("key"), Some(1000 + row as i64), payload);
    }
    SegmentMaker {
        shard: "shard".into(),
        budget: Arc::clone(budget),
    }
    .fetched(builder.finish())
}

#[test]
fn columns_are_decoded_once_and_counted() {
    let definition = TableDefinition::from_yaml(DEFINITION).unwrap();
    let budget = MemoryBudget::new(u64::MAX);
    let payloads: [&[u8]; 3] = [b"{\"host\":\"a\",\"bytes\":1}", b"not json", b"{\"host\":\"c\",\"bytes\":3}"];
    let segment = segment(&budget, &payloads);
    let raw = budget.held();
    assert_eq!(raw, segment.bytes() as u64);
    let first = segment.decoded(&definition, &[1], false).unwrap();
    assert_eq!(
        first.columns[0].as_primitive::<Int64Type>().iter().collect::<Vec<_>>(),
        [Some(1), None, Some(3)]
    );
    assert!(first.bad.is_none());
    let one = budget.held();
    assert!(one > raw);
    let both = segment.decoded(&definition, &[0, 1, 0], true).unwrap();
    assert!(Arc::ptr_eq(&first.columns[0], &both.columns[1]) && Arc::ptr_eq(&both.columns[0], &both.columns[2]));
    let hosts: &StringArray = both.columns[0].as_string();
    assert_eq!(hosts.iter().collect::<Vec<_>>(), [Some("a"), None, Some("c")]);
    let bad = both.bad.unwrap();
    assert_eq!(bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [1]);
    let all = budget.held();
    assert!(all > one);
    let again = segment.decoded(&definition, &[0], true).unwrap();
    assert!(Arc::ptr_eq(&again.columns[0], &both.columns[0]) && Arc::ptr_eq(&again.bad.unwrap(), &bad));
    assert_eq!((budget.held(), segment.bytes() as u64), (all, all));
    assert!(segment.decoded(&definition, &[2], false).is_err());
    drop(segment);
    assert_eq!(budget.held(), 0);
}

#[test]
fn ranges_of_a_segment() {
    let budget = MemoryBudget::new(u64::MAX);
    let segment = segment(&budget, &[b"a", b"bb", b"ccc"]);
    assert_eq!(segment.arrival_range(), (1000, 1002));
    assert_eq!(segment.sequence_range(), (1.into(), 3.into()));
    assert_eq!(segment.wire_bytes(1..3), 5 + 6);
    let mut builder = RecordsBuilder::with_capacity(1, 0, 0);
    builder.push(9.into(), None, None, b"");
    let maker = SegmentMaker {
        shard: "shard".into(),
        budget,
    };
    // pruning by time must keep what has no time
    assert_eq!(maker.fetched(builder.finish()).arrival_range(), (i64::MIN, i64::MAX));
}
