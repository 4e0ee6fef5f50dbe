use std::io::Write;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::{Decoded, Decoder, TableDefinition};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn table(compression: &str) -> Arc<TableDefinition> {
    let columns = "columns: [{ name: n, path: n, type: bigint }, { name: doc, path: /, type: varchar }]";
    TableDefinition::from_yaml(&format!("table: t\nstream: s\ncompression: {compression}\n{columns}\n")).unwrap()
}

fn decode(compression: &str, payloads: &[Vec<u8>]) -> Decoded {
    let payloads = BinaryArray::from_iter_values(payloads);
    Decoder::new(&table(compression), &[0, 1]).unwrap().decode(&payloads).unwrap()
}

fn numbers(decoded: &Decoded) -> Vec<Option<i64>> {
    decoded.columns[0].as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn compressed_and_plain_records_share_a_run() {
    let mut damaged = gzip(br#"{"n":4}"#);
    damaged.truncate(damaged.len() - 4);
    let payloads = [
        br#"{"n":1}"#.to_vec(),
        gzip(br#"{"n":2}"#),
        zstd::encode_all(&br#"{"n":3}"#[..], 1).unwrap(),
        damaged,
        gzip(b"no json"),
        gzip(b""),
        b"x^2".to_vec(),
        br#"{"n":"no number"}"#.to_vec(),
        gzip(br#"{"n":9}"#),
    ];
    let decoded = decode("auto", &payloads);
    assert_eq!(
        numbers(&decoded),
        [Some(1), Some(2), Some(3), None, None, None, None, None, Some(9)]
    );
    let documents: Vec<_> = decoded.columns[1].as_string::<i32>().iter().collect();
    assert_eq!(documents[..3], [Some(r#"{"n":1}"#), Some(r#"{"n":2}"#), Some(r#"{"n":3}"#)]);
    assert_eq!((documents[3], documents[8]), (None, Some(r#"{"n":9}"#)));
    let bad: Vec<usize> = decoded.bad.iter().map(|bad| bad.row).collect();
    assert_eq!(bad, [3, 4, 5, 6, 7]);
    assert!(decoded.bad[0].error.starts_with("gzip: damaged: "), "{}", decoded.bad[0].error);
    // `none` takes compressed bytes for what they are not
    assert_eq!(
        decode("none", &payloads).bad.iter().map(|bad| bad.row).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6, 7, 8]
    );
    // a named compression is held to
    assert_eq!(
        numbers(&decode("gzip", &payloads)),
        [None, Some(2), None, None, None, None, None, None, Some(9)]
    );
}

#[test]
fn a_bomb_is_one_bad_record_and_masses_of_them_fail_the_run() {
    let table = table("auto");
    let mut decoder = Decoder::new(&table, &[0]).unwrap();
    decoder.inflater = Inflater::with_most(table.compression.clone(), 1 << 20);
    decoder.most_inflated = 4 << 20;
    let blanks = |count: usize| gzip(&[&vec![b' '; count - 2][..], b"{}"].concat());
    let (fits, bomb) = (blanks(1 << 20), blanks((1 << 20) + 1));
    let mut decode = |payloads: &[&[u8]]| decoder.decode(&BinaryArray::from_vec(payloads.to_vec()));
    let decoded = decode(&[&gzip(br#"{"n":1}"#), &bomb, &fits, br#"{"n":3}"#]).unwrap();
    assert_eq!(numbers(&decoded), [Some(1), None, None, Some(3)]);
    assert_eq!(decoded.bad.len(), 1);
    assert_eq!(
        (decoded.bad[0].row, decoded.bad[0].error.as_str()),
        (1, "gzip: inflates to more than 1 MiB")
    );
    // a bomb does not count: what is not kept is not held
    assert!(decode(&[&fits[..], &fits, &bomb, &bomb, &bomb, &fits, &fits]).is_ok());
    assert_eq!(decode(&[&fits[..]; 5]).unwrap_err(), DecodeError::TooLarge { records: 5 });
    // and the decoder goes on
    assert_eq!(numbers(&decode(&[br#"{"n":5}"#]).unwrap()), [Some(5)]);
}

#[test]
fn records_that_inflate_beyond_a_chunk_keep_their_rows() {
    let large = |n: i64| gzip(format!("{}{{\"n\":{n}}}", " ".repeat(CHUNK_BYTES / 2 + 10)).as_bytes());
    let payloads = [
        br#"{"n":0}"#.to_vec(),
        large(1),
        gzip(br#"{"n":2}"#),
        large(3),
        b"bad".to_vec(),
        large(5),
        br#"{"n":6}"#.to_vec(),
    ];
    let decoded = decode("auto", &payloads);
    assert_eq!(numbers(&decoded), [Some(0), Some(1), Some(2), Some(3), None, Some(5), Some(6)]);
    assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [4]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is compressed and however it comes in chunks: rows are those of the same records uncompressed.
    #[test]
    fn compression_changes_no_row(rows in proptest::collection::vec((0u8..3, -5i64..5, 0usize..2000), 1..60)) {
        let plain: Vec<Vec<u8>> = rows
            .iter()
            .enumerate()
            .map(|(row, (_, n, blanks))| format!("{{\"n\":{n},\"row\":{row}{}}}", " ".repeat(*blanks)).into_bytes())
            .collect();
        let packed: Vec<Vec<u8>> = plain
            .iter()
            .zip(&rows)
            .map(|(plain, (how, _, _))| match how {
                0 => plain.clone(),
                1 => gzip(plain),
                _ => zstd::encode_all(&**plain, 1).unwrap(),
            })
            .collect();
        let (plain, packed) = (decode("auto", &plain), decode("auto", &packed));
        prop_assert_eq!(plain.columns, packed.columns);
        prop_assert_eq!(plain.bad, packed.bad);
    }
}
