//! Records of no row, one row and many.

use super::*;

const LINES: &str = "
table: t
stream: s
format: ndjson
columns:
  - { name: n, path: n, type: bigint }
  - { name: word, path: word, type: varchar }
";

/// What each record of a shard holds, line by line: a number, or something that is no JSON.
type Held = Vec<Option<i64>>;

fn world(records: &[Held]) -> (World, Vec<String>) {
    let source = Arc::new(MemorySource::new(1));
    let shard = source.shard_ids()[0].clone();
    let mut sequences = Vec::new();
    for held in records {
        let lines = held.iter().map(|line| match line {
            Some(n) => format!("{{\"n\":{n},\"word\":\"w{}\"}}\n", n % 3),
            None => "{no json\n".to_owned(),
        });
        let payload: String = lines.collect();
        let sequence = source.put(&shard, "key", payload.as_bytes()).unwrap();
        sequences.push(sequence.to_string());
    }
    (World::defined(source, LINES), sequences)
}

#[tokio::test]
async fn rows_know_their_record_and_their_place_in_it() {
    let (world, sequences) = world(&[vec![Some(1), None, Some(3)], vec![], vec![Some(4)], vec![Some(5), Some(6)]]);
    let sql = "select sequence_number(_shard_sequence_id), _row_index, _segment_count, _message_valid, n from t";
    let number = |record: usize| sequences[record].clone();
    let mut expected = vec![
        format!("{}|0|1|true|1", number(0)),
        format!("{}|1|2|false|NULL", number(0)),
        format!("{}|2|3|true|3", number(0)),
        format!("{}|0|4|true|4", number(2)),
        format!("{}|0|5|true|5", number(3)),
        format!("{}|1|6|true|6", number(3)),
    ];
    expected.sort();
    assert_eq!(world.rows(sql).await.unwrap(), expected);
    for (sql, count) in [
        ("select count(*) from t", "6"),
        ("select count(distinct _row_id) from t", "6"),
        ("select count(*) from t where _row_index = 1", "2"),
        ("select count(_message) from t", "6"),
        ("select sum(_message_length) from t where n = 4", "20"),
        ("select count(*) from t where _message_error is not null", "1"),
        ("select count(*) from (select n from t limit 4)", "4"),
    ] {
        assert_eq!(world.rows(sql).await.unwrap(), [count], "{sql}");
    }
    let ids = world.rows("select _row_id from t").await.unwrap();
    let by_place = world.rows("select _row_id from t order by _segment_count").await.unwrap();
    assert_eq!(ids, by_place, "they sort as the rows are in the stream");
}

#[tokio::test]
async fn a_bad_line_is_left_out_or_fails_and_its_neighbours_stay() {
    let (world, sequences) = world(&[vec![Some(1)], vec![Some(2), None, Some(3), None]]);
    let skip = "/*+ bad_records='skip' */ ";
    assert_eq!(world.rows(&format!("{skip} select n from t")).await.unwrap(), ["1", "2", "3"]);
    assert_eq!(world.rows(&format!("{skip} select count(*) from t")).await.unwrap(), ["3"]);
    let error = world
        .rows("/*+ bad_records='fail' */ select count(*) from t")
        .await
        .expect_err("a bad line");
    assert!(error.to_string().contains(&sequences[1]), "{error}");
    world.rows("select n, word from t").await.unwrap();
    let met = world
        .rows("select count(*), count(distinct sequence), sum(row_index) from kinesis.system.scan_errors")
        .await;
    assert_eq!(met.unwrap(), ["2|1|4"]);
}

#[tokio::test]
async fn a_time_of_an_event_is_held_against_its_records_arrival() {
    let source = Arc::new(MemorySource::new(1));
    let shard = source.shard_ids()[0].clone();
    let now = source.clock().now_ms();
    let at = |ago: i64| format!("{{\"at\":{}}}\n", now - ago * 1000);
    source.put(&shard, "key", format!("{}{}{}", at(1), at(50), at(70)).as_bytes());
    source.put(&shard, "key", format!("{}{}", at(90), at(2)).as_bytes());
    let definition = "table: t\nstream: s\nformat: ndjson\nevent_time: { column: at, early: 0s, late: 1m }\n\
                      columns:\n  - { name: at, path: at, type: timestamp(ms) }\n";
    let world = World::defined(source, definition);
    assert_eq!(world.rows("select count(at) from t").await.unwrap(), ["5"]);
    assert_eq!(
        world.rows("select records_outside from kinesis.system.promises").await.unwrap(),
        ["2"]
    );
}

fn held() -> impl Strategy<Value = Held> {
    proptest::collection::vec(proptest::option::weighted(0.9, 0_i64..100), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is read, filtered, limited, split or repeated, and in whichever order columns are decoded.
    #[test]
    fn rows_are_those_of_the_records(records in proptest::collection::vec(held(), 1..60), least in 0_i64..100, word in 0_i64..3) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (world, _) = world(&records);
            let all: Vec<(usize, usize, Option<i64>)> = records
                .iter()
                .enumerate()
                .flat_map(|(record, held)| held.iter().enumerate().map(move |(row, n)| (record, row, *n)))
                .collect();
            let sorted = |mut rows: Vec<String>| {
                rows.sort();
                rows
            };
            let kept = all.iter().filter(|(_, row, n)| n.is_some_and(|n| n >= least && n % 3 == word) || (n.is_none() && *row == 1));
            let expected = sorted(kept.map(|(_, row, n)| format!("{row}|{}", n.map_or("NULL".into(), |n| n.to_string()))).collect());
            let sql = format!("select _row_index, n from t where n >= {least} and word = 'w{word}' or _row_index = 1 and not _message_valid");
            assert_eq!(world.rows(&sql).await.unwrap(), expected);
            assert_eq!(world.rows("select count(*) from t").await.unwrap(), [all.len().to_string()]);
            assert_eq!(world.rows(&sql).await.unwrap(), expected, "again");
            let places = sorted((1..=all.len()).map(|place| place.to_string()).collect());
            assert_eq!(world.rows("select _segment_count from t").await.unwrap(), places);
        });
    }
}
