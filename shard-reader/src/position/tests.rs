use proptest::prelude::*;

use super::*;

/// Compares decimal texts as integers without our arithmetic: by length without leading zeros, then by digit.
fn compare_decimal(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

proptest! {
    #[test]
    fn orders_as_integers(a in "[0-9]{1,57}", b in "[0-9]{1,57}") {
        let (x, y): (SequenceNumber, SequenceNumber) = (a.parse().unwrap(), b.parse().unwrap());
        prop_assert_eq!(x.cmp(&y), compare_decimal(&a, &b));
        prop_assert_eq!(x.padded().cmp(&y.padded()), compare_decimal(&a, &b));
    }

    #[test]
    fn text_round_trips(text in "[1-9][0-9]{0,56}") {
        let number: SequenceNumber = text.parse().unwrap();
        prop_assert_eq!(number.to_string(), text.clone());
        prop_assert_eq!(format!("000{text}").parse::<SequenceNumber>().unwrap(), number);
        prop_assert_eq!(SequenceNumber::from_bytes(*number.as_bytes()), number);
        prop_assert_eq!(number.padded().len(), PADDED_DIGITS);
        prop_assert_eq!(number.padded().parse::<SequenceNumber>().unwrap(), number);
    }

    #[test]
    fn agrees_with_machine_integers(a: u128) {
        let number: SequenceNumber = a.to_string().parse().unwrap();
        prop_assert_eq!(&number.as_bytes()[8..], &a.to_be_bytes()[..]);
        prop_assert_eq!(number.to_string(), a.to_string());
    }

    #[test]
    fn position_text_round_trips(s in "[1-9][0-9]{0,56}", sub: u32) {
        let s: SequenceNumber = s.parse().unwrap();
        for position in [Position::TrimHorizon, Position::Before(s), Position::After(s, sub)] {
            prop_assert_eq!(position.to_string().parse::<Position>().unwrap(), position);
            let json = serde_json::to_string(&position).unwrap();
            prop_assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        }
    }
}

#[test]
fn widest_number_is_exact() {
    // python3 -c 'print((2**192-1).to_bytes(24,"big").hex(), 10**57-1)'
    let widest = SequenceNumber::from_bytes([0xff; 24]);
    assert_eq!(widest.to_string(), "6277101735386680763835789423207666416102355444464034512895");
    let nines = "9".repeat(57);
    assert_eq!(nines.parse::<SequenceNumber>().unwrap().to_string(), nines);
    assert_eq!(SequenceNumber::MAX.to_string(), nines);
    assert_eq!(nines.parse::<SequenceNumber>().unwrap(), SequenceNumber::MAX);
    assert_eq!(SequenceNumber::from(0).to_string(), "0");
    assert_eq!(SequenceNumber::from(7).padded(), format!("{}7", "0".repeat(56)));
}

#[test]
fn bad_texts_are_typed_errors() {
    for text in ["", "-1", "1 ", "0x1", "1e5", "\u{0661}"] {
        assert!(
            matches!(text.parse::<SequenceNumber>(), Err(PositionError::NotDecimal(_))),
            "{text:?}"
        );
    }
    assert!(matches!("1".repeat(58).parse::<SequenceNumber>(), Err(PositionError::TooWide(_))));
    assert!("0".repeat(80).parse::<SequenceNumber>().is_ok());
    for text in ["", "after:1", "after:1:x", "before:", "trim", "after:1:4294967296"] {
        assert!(text.parse::<Position>().is_err(), "{text:?}");
    }
}

#[test]
fn points_order_around_records() {
    let (a, b) = (SequenceNumber::from(9), SequenceNumber::from(10));
    let ordered = [
        Position::TrimHorizon,
        Position::Before(a),
        Position::After(a, 0),
        Position::After(a, 1),
        Position::Before(b),
        Position::After(b, 0),
    ];
    assert!(ordered.is_sorted_by(|x, y| x < y));
}

#[test]
fn positions_are_text_for_people_and_bytes_in_tickets() {
    let sequence: SequenceNumber = "49546986683135544286507457936321625675700192471156785154".parse().unwrap();
    let texts = [
        (Position::TrimHorizon, "\"trim_horizon\"".to_owned()),
        (Position::Before(sequence), format!("\"before:{sequence}\"")),
        (Position::After(sequence, 7), format!("\"after:{sequence}:7\"")),
    ];
    for (position, text) in texts {
        assert_eq!(serde_json::to_string(&position).unwrap(), text);
        assert_eq!(serde_json::from_str::<Position>(&text).unwrap(), position);
        let mut bytes = Vec::new();
        ciborium::into_writer(&position, &mut bytes).unwrap();
        // 24 of the number; the text has 56 digits
        assert!(bytes.len() <= 32, "{position}: {} bytes", bytes.len());
        assert_eq!(ciborium::from_reader::<Position, _>(bytes.as_slice()).unwrap(), position);
    }
}
