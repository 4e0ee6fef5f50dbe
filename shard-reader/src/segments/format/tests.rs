use proptest::prelude::*;

use super::*;
use crate::RecordsBuilder;

/// Records as they are put in: sequence, sub, hash key, partition key, arrival, payload.
type Row = (u64, u32, Option<u128>, Option<String>, i64, Vec<u8>);

fn run(rows: &[Row]) -> Records {
    let mut builder = RecordsBuilder::with_capacity(rows.len(), 0, 0);
    for (sequence, sub, hash_key, key, arrival, data) in rows {
        match hash_key {
            Some(hash_key) => builder.push_user_record(((*sequence).into(), *sub), *hash_key, key.as_deref(), Some(*arrival), data),
            None => builder.push((*sequence).into(), key.as_deref(), Some(*arrival), data),
        }
    }
    builder.finish()
}

fn rows_of(records: &Records) -> Vec<Row> {
    let row = |row: usize| {
        let key = records
            .partition_keys()
            .is_valid(row)
            .then(|| records.partition_keys().value(row).to_owned());
        let sequence = records.sequence(row).to_string().parse().unwrap();
        let (sub, arrival) = (records.subs().value(row), records.arrival(row).unwrap());
        (
            sequence,
            sub,
            records.hash_key(row),
            key,
            arrival,
            records.data().value(row).to_vec(),
        )
    };
    (0..records.len()).map(row).collect()
}

/// The whole file, part after part, as a reader that begins at `from` gets it.
fn read_from(name: &SegmentName, bytes: &Bytes, from: Position) -> Result<Vec<Row>, Damage> {
    let groups = verify(name, bytes)?;
    let (mut rows, mut point) = (Vec::new(), from);
    while point < name.to {
        let part = read_at(name, &groups, bytes.clone(), point)?;
        assert!(part.from <= point && point < part.to);
        let first = part.records.lower_bound(point);
        rows.extend(rows_of(&part.records.slice(first, part.records.len() - first)));
        point = part.to;
    }
    Ok(rows)
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let fanned = (1u64..9, proptest::collection::vec(any::<u128>(), 1..5));
    let record = (
        fanned,
        proptest::option::of("[a-z]{0,9}"),
        0i64..1 << 40,
        proptest::collection::vec(any::<u8>(), 0..40),
        any::<bool>(),
    );
    proptest::collection::vec(record, 1..60).prop_map(|records| {
        let (mut rows, mut sequence) = (Vec::new(), 0);
        for ((gap, hashes), key, arrival, data, plain) in records {
            sequence += gap;
            if plain {
                rows.push((sequence, 0, None, key, arrival, data));
            } else {
                rows.extend(
                    (0..)
                        .zip(hashes)
                        .map(|(sub, hash)| (sequence, sub, Some(hash), key.clone(), arrival, data.clone())),
                );
            }
        }
        rows
    })
}

proptest! {
    #[test]
    fn gives_back_what_was_written(rows in rows(), cuts in proptest::collection::vec(0usize..200, 0..5), start in 0usize..200) {
        let whole = run(&rows);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut % rows.len()).chain([0, rows.len()]).collect();
        cuts.sort_unstable();
        let parts: Vec<Records> = cuts.windows(2).map(|pair| whole.slice(pair[0], pair[1] - pair[0])).filter(|part| !part.is_empty()).collect();
        let (from, to) = (whole.start_of(0), whole.end_of(rows.len() - 1));
        let encoded = encode(from, to, &parts).unwrap().unwrap();
        let start = start % rows.len();
        prop_assert_eq!(&read_from(&encoded.name, &encoded.bytes, whole.start_of(start)).unwrap()[..], &rows[start..]);
        prop_assert_eq!(encoded.name.rows as usize, rows.len());
        let bytes: usize = rows.iter().map(|row| row.5.len() + row.3.as_ref().map_or(0, String::len)).sum();
        prop_assert_eq!(encoded.name.wire_bytes, bytes as u64);
        let arrivals = rows.iter().map(|row| row.4);
        prop_assert_eq!(encoded.name.arrivals, (arrivals.clone().min().unwrap(), arrivals.max().unwrap()));
        prop_assert_eq!(verify(&encoded.name, &encoded.bytes).unwrap(), encoded.groups);
    }
}

fn plain(count: u64, bytes: usize) -> Records {
    let rows: Vec<Row> = (0..count)
        .map(|n| (n * 3, 0, None, Some(format!("key{n}")), n as i64, vec![b'x'; bytes]))
        .collect();
    run(&rows)
}

#[test]
fn row_groups_are_small() {
    let records = plain(20, 1 << 20);
    let encoded = encode(records.start_of(0), records.end_of(19), std::slice::from_ref(&records))
        .unwrap()
        .unwrap();
    assert_eq!(encoded.groups.len(), 5, "4 MiB each");
    // the end that was asked for, though no record lies there
    let to = Position::Before(1000.into());
    let encoded = encode(records.start_of(0), to, &[records]).unwrap().unwrap();
    assert_eq!(encoded.groups.last(), Some(&to));
    assert_eq!(
        read_from(&encoded.name, &encoded.bytes, Position::Before(57.into())).unwrap().len(),
        1
    );
}

#[test]
fn what_no_name_can_say_is_not_stored() {
    let mut builder = RecordsBuilder::with_capacity(1, 1, 3);
    builder.push(1.into(), Some("key"), None, b"x");
    let records = builder.finish();
    assert!(!is_storable(&records));
    assert!(encode(records.start_of(0), records.end_of(0), &[records]).unwrap().is_none());
    let records = plain(1, 1);
    assert!(
        encode(Position::TrimHorizon, records.end_of(0), std::slice::from_ref(&records))
            .unwrap()
            .is_none()
    );
    assert!(encode(records.start_of(0), records.end_of(0), &[]).unwrap().is_none());
}

#[test]
fn any_flipped_byte_and_any_cut_is_damage() {
    let records = plain(50, 30);
    let encoded = encode(records.start_of(0), records.end_of(49), &[records]).unwrap().unwrap();
    let good = encoded.bytes.to_vec();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(verify(&encoded.name, &Bytes::from(bad)).is_err(), "byte {at}");
        assert!(verify(&encoded.name, &Bytes::from(good[..at].to_vec())).is_err(), "cut at {at}");
    }
    let mut longer = good.clone();
    longer.push(0);
    assert!(verify(&encoded.name, &Bytes::from(longer)).is_err());
}

/// The right checksum over the wrong content: what a bug or another program would leave.
#[test]
fn content_that_does_not_agree_with_the_name_is_damage() {
    let records = plain(50, 30);
    let encoded = encode(records.start_of(0), records.end_of(49), std::slice::from_ref(&records))
        .unwrap()
        .unwrap();
    let renamed = |change: fn(&mut SegmentName)| {
        let mut name = encoded.name;
        change(&mut name);
        read_from(&name, &encoded.bytes, name.from)
    };
    assert!(renamed(|_| {}).is_ok());
    assert!(renamed(|name| name.rows = 49).is_err());
    assert!(renamed(|name| name.to = Position::After(148.into(), 0)).is_err());
    assert!(renamed(|name| name.from = Position::Before(1.into())).is_err());
    for content in [&b""[..], b"PAR1", b"no Parquet at all", b"PAR1\0\0\0\0PAR1"] {
        let name = SegmentName {
            checksum: Checksum::of(content),
            ..encoded.name
        };
        assert!(read_from(&name, &Bytes::copy_from_slice(content), name.from).is_err());
    }
    // Parquet of other columns
    let batch = arrow::array::RecordBatch::try_from_iter([("x", Arc::new(arrow::array::Int64Array::from(vec![1; 50])) as _)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties(&encoded.name, &[encoded.name.to]))).unwrap();
    writer.write(&batch).unwrap();
    let content = Bytes::from(writer.into_inner().unwrap());
    let name = SegmentName {
        checksum: Checksum::of(&content),
        ..encoded.name
    };
    assert!(read_from(&name, &content, name.from).is_err());
}

#[test]
fn a_record_that_fans_out_lies_in_one_group() {
    let plain = |sequence: u64| (sequence, 0, None, None, 5, vec![b'p'; 8]);
    let user = |sequence: u64, sub: u32| (sequence, sub, Some(u128::from(sub)), None, 5, vec![b'u'; 8]);
    let mut rows: Vec<Row> = (0..GROUP_ROWS as u64 - 3).map(plain).collect();
    rows.extend((0..50).map(|sub| user(20_000, sub)));
    rows.extend((0..10).map(|offset| plain(30_000 + offset)));
    let (before, inside) = (Position::Before(0.into()), GROUP_ROWS + 7);
    let last = Position::After(30_009.into(), 0);
    // in one run, and where a run of memory ends inside the record
    for parts in [vec![run(&rows)], vec![run(&rows[..inside]), run(&rows[inside..])]] {
        let encoded = encode(before, last, &parts).unwrap().unwrap();
        assert_eq!(encoded.groups.as_ref(), [Position::After(20_000.into(), 49), last]);
        assert_eq!(read_from(&encoded.name, &encoded.bytes, before).unwrap(), rows);
    }
}

/// A file in the first format, written by another program (pyarrow). Files live as long as their records, in stores that servers of several versions share.
const KEPT: &[u8] = include_bytes!("v1.parquet");
const KEPT_NAME: &str = include_str!("v1.name");

fn kept_rows() -> Vec<Row> {
    let row = |sequence, sub, hash_key, key: Option<&str>, arrival, data: &[u8]| {
        (sequence, sub, hash_key, key.map(str::to_owned), arrival, data.to_vec())
    };
    vec![
        row(7, 0, None, Some("a"), 1_767_225_600_000, b"{\"n\":1}"),
        row(9, 0, Some(3), Some("b"), 1_767_225_600_500, b"{\"n\":2}"),
        row(9, 1, Some(u128::MAX), None, 1_767_225_600_500, b""),
        row(u64::MAX, 0, None, Some("\u{fc}"), 1_767_225_601_000, &[0, 255]),
    ]
}

fn kept() -> Encoded {
    let records = run(&kept_rows());
    encode(
        Position::Before(5.into()),
        "before:18446744073709551700".parse().unwrap(),
        &[records],
    )
    .unwrap()
    .unwrap()
}

#[test]
fn files_are_read_and_written_as_ever() {
    use crate::segments::name::FileName;
    let Some(FileName::Segment(name)) = FileName::parse(KEPT_NAME.trim()) else {
        panic!("it is no name of a segment");
    };
    let file = Bytes::from_static(KEPT);
    assert_eq!(read_from(&name, &file, name.from).unwrap(), kept_rows());
    // the same but for bytes that a library may choose, and the checksum over them
    let written = kept();
    assert_eq!(unchecked(&written.name), unchecked(&name));
    let described = |bytes: &Bytes| {
        let metadata = ArrowReaderMetadata::load(bytes, ArrowReaderOptions::new()).unwrap();
        let file = metadata.metadata().file_metadata();
        let facts = file
            .key_value_metadata()
            .unwrap()
            .iter()
            .filter(|fact| fact.key.starts_with("shardflight."));
        let facts: Vec<_> = facts.map(|fact| (fact.key.clone(), fact.value.clone())).collect();
        let columns: Vec<_> = metadata.metadata().row_group(0).columns().to_vec();
        let columns: Vec<_> = columns
            .iter()
            .map(|column| format!("{} {:?} {:?}", column.column_path(), column.column_type(), column.compression()))
            .collect();
        (facts, columns, metadata.schema().fields().clone())
    };
    assert_eq!(described(&written.bytes), described(&file));
}

#[test]
fn a_file_of_another_format_is_not_read_as_this_one() {
    use crate::segments::name::FileName;
    let text = KEPT_NAME.trim();
    assert!(
        FileName::parse(&text.replace(".v1.", ".v2.")).is_none(),
        "a later name is not this version's"
    );
    // the same file with another format inside, under a checksum that is right
    let later: Vec<u8> = {
        let mut bytes = KEPT.to_vec();
        let at = bytes
            .windows(20)
            .position(|window| window.starts_with(b"shardflight.format"))
            .unwrap();
        let version = bytes[at..].windows(2).position(|window| window == b"v1").unwrap();
        bytes[at + version + 1] = b'2';
        bytes
    };
    let Some(FileName::Segment(mut name)) = FileName::parse(text) else {
        panic!("no name")
    };
    name.checksum = Checksum::of(&later);
    let error = verify(&name, &Bytes::from(later)).unwrap_err();
    assert!(error.to_string().contains("its format is Some(\"v2\")"), "{error}");
}
