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
