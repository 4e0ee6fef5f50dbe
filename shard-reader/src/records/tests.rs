use super::*;

fn run(sequences: &[u64]) -> Records {
    let mut builder = RecordsBuilder::with_capacity(sequences.len(), 0, 0);
    for sequence in sequences {
        let key = format!("k{sequence}");
        let key = (sequence % 2 == 0).then_some(key.as_str());
        builder.push(
            SequenceNumber::from(*sequence),
            key,
            (*sequence != 7).then_some(*sequence as i64 * 10),
            &sequence.to_be_bytes(),
        );
    }
    builder.finish()
}

#[test]
fn rows_keep_their_values_through_slices_and_copies() {
    let records = run(&[3, 4, 7, 10, 300]);
    assert_eq!(records.len(), 5);
    assert!(records.is_ascending());
    assert_eq!(records.sequence(4), SequenceNumber::from(300));
    let slice = records.slice(1, 3);
    assert_eq!((slice.sequence(0), slice.sequence(2)), (4.into(), 10.into()));
    assert_eq!((slice.arrival(0), slice.arrival(1), slice.arrival(2)), (Some(40), None, Some(100)));
    assert_eq!(slice.partition_keys().iter().collect::<Vec<_>>(), [Some("k4"), None, Some("k10")]);
    assert_eq!(slice.wire_bytes(0..3), 24 + 5);
    let copied = Records::concat(&[&slice, &records.slice(4, 1)]);
    assert_eq!(copied, run(&[4, 7, 10, 300]));
    assert_eq!(copied.bytes(), 32 + 9 + 4 * 45);
}

/// A plain record, an aggregate of two, a plain record.
fn mixed() -> Records {
    let mut builder = RecordsBuilder::with_capacity(4, 0, 0);
    builder.push(3.into(), Some("a"), Some(30), b"plain");
    builder.push_user_record((4.into(), 0), 7, Some("b"), Some(40), b"first");
    builder.push_user_record((4.into(), 1), u128::MAX, None, Some(40), b"second");
    builder.push(5.into(), None, None, b"");
    builder.finish()
}

#[test]
fn user_records_have_positions_inside_their_record_and_hash_keys() {
    let records = mixed();
    assert!(records.is_ascending());
    let keys: Vec<_> = (0..4).map(|row| records.hash_key(row)).collect();
    assert_eq!(keys, [None, Some(7), Some(u128::MAX), None]);
    assert_eq!(records.start_of(1), Position::Before(4.into()));
    assert_eq!(records.end_of(1), records.start_of(2));
    assert_eq!(records.end_of(2), Position::After(4.into(), 1));
    assert_eq!(records.lower_bound(Position::After(4.into(), 0)), 2);
    assert_eq!(records.lower_bound(Position::After(4.into(), u32::MAX)), 3);
    assert_eq!(records.bytes(), 5 + 5 + 6 + 2 + 4 * (45 + 16));
}

#[test]
fn hash_keys_go_with_their_rows_and_are_absent_where_no_row_has_one() {
    let records = mixed();
    assert_eq!(Records::concat(&[&records]), records);
    let (left, right) = (records.slice(0, 2), records.slice(2, 2));
    assert_eq!((left.hash_key(1), right.hash_key(0)), (Some(7), Some(u128::MAX)));
    assert_eq!(Records::concat(&[&left, &right]), records);
    let mut plain = RecordsBuilder::with_capacity(1, 0, 0);
    plain.push(3.into(), Some("a"), Some(30), b"plain");
    let plain = plain.finish();
    assert!(plain.hash_keys().is_none());
    assert_eq!(records.slice(0, 1), plain);
    assert_eq!(Records::concat(&[&records.slice(0, 1)]), plain);
    assert_eq!(Records::concat(&[&plain, &records.slice(1, 3)]), records);
    let mut other = RecordsBuilder::with_capacity(1, 0, 0);
    other.push_user_record((3.into(), 0), 0, Some("a"), Some(30), b"plain");
    assert_ne!(other.finish(), plain);
}

#[test]
fn bounds_are_points_between_rows() {
    let records = run(&[3, 4, 7]);
    let cases = [
        (Position::TrimHorizon, 0),
        (Position::Before(3.into()), 0),
        (Position::After(3.into(), 0), 1),
        (Position::Before(5.into()), 2),
        (Position::Before(7.into()), 2),
        (Position::After(7.into(), 0), 3),
        (Position::After(100.into(), 0), 3),
    ];
    for (position, row) in cases {
        assert_eq!(records.lower_bound(position), row, "{position}");
    }
    assert!(!run(&[3, 3]).is_ascending());
    assert!(!run(&[4, 3]).is_ascending());
    assert!(Records::default().is_empty() && Records::default().is_ascending());
}
