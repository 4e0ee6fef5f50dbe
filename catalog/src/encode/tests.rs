mod avro;
mod protobuf;
mod random;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int8Array, Int64Array, StringArray,
    Time64MicrosecondArray, TimestampMillisecondArray, TimestampSecondArray,
};
use proptest::prelude::*;

use super::Encoder;
use crate::{Decoder, TableDefinition};

fn table(format: &str, columns: &[&str]) -> Arc<TableDefinition> {
    let mut yaml = format!("table: t\nstream: s\n{format}\ncolumns:\n");
    for column in columns {
        yaml.push_str(&format!("  - {{ {column} }}\n"));
    }
    TableDefinition::from_yaml(&yaml).unwrap()
}

/// All rows of these values, in all columns of the table.
fn encode(table: &Arc<TableDefinition>, values: &[ArrayRef]) -> Vec<Result<Vec<u8>, String>> {
    let all: Vec<usize> = (0..values.len()).collect();
    let mut encoder = Encoder::new(table, &all).unwrap();
    let rows = 0..values[0].len();
    rows.map(|row| encoder.encode(values, row).map_err(|error| error.to_string()))
        .collect()
}

fn one(table: &Arc<TableDefinition>, values: &[ArrayRef]) -> Result<String, String> {
    encode(table, values).remove(0).map(|bytes| String::from_utf8(bytes).unwrap())
}

fn text(value: Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

/// The bytes of 2016-07-10T12:03:56Z and the like by Python: `datetime.strftime`, `email.utils.format_datetime`, `json.dumps`.
#[test]
fn json_as_python_writes_it() {
    let columns = [
        "name: a, path: 'x/a', type: bigint",
        "name: b, path: 'x/b', type: boolean",
        "name: c, path: 'é\"', type: varchar",
        "name: d, type: 'decimal(20,4)'",
        "name: e, type: double",
        "name: f, type: 'timestamp(s)', format: '%d/%b/%Y:%H:%M:%S %z'",
        "name: g, type: 'timestamp(ms)'",
        "name: h, type: 'timestamp(ms)', format: seconds-since-epoch",
        "name: i, type: date",
        "name: j, type: 'time(us)'",
        "name: k, type: varbinary, format: base64",
        "name: l, type: json",
        "name: m, type: 'timestamp(s)', format: rfc2822",
    ];
    let table = table("format: json", &columns);
    let values: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![i64::MIN])),
        Arc::new(BooleanArray::from(vec![true])),
        text(Some("a\"\\\n\u{1}é")),
        Arc::new(
            Decimal128Array::from(vec![-1_234_567_890_123_456_789])
                .with_precision_and_scale(20, 4)
                .unwrap(),
        ),
        Arc::new(Float64Array::from(vec![0.1])),
        Arc::new(TimestampSecondArray::from(vec![1_468_152_236])),
        Arc::new(TimestampMillisecondArray::from(vec![1_468_152_236_500])),
        Arc::new(TimestampMillisecondArray::from(vec![1_468_152_236_250])),
        Arc::new(Date32Array::from(vec![-1])),
        Arc::new(Time64MicrosecondArray::from(vec![43_436_000_001])),
        Arc::new(BinaryArray::from(vec![b"\xff\x00\x01".as_ref()])),
        text(Some("{ \"k\": [1, 2] }")),
        Arc::new(TimestampSecondArray::from(vec![1_468_152_236])),
    ];
    let expected = concat!(
        r#"{"x":{"a":-9223372036854775808,"b":true},"é\"":"a\"\\\n\u0001é","d":-123456789012345.6789,"e":0.1,"#,
        r#""f":"10/Jul/2016:12:03:56 +0000","g":"2016-07-10T12:03:56.500Z","h":1468152236.25,"i":"1969-12-31","j":"12:03:56.000001","#,
        r#""k":"/wAB","l":{"k":[1,2]},"m":"Sun, 10 Jul 2016 12:03:56 +0000"}"#
    );
    assert_eq!(one(&table, &values).unwrap(), expected);
}

#[test]
fn null_is_left_out_of_json_with_the_objects_that_it_empties() {
    let table = table(
        "format: json",
        &["name: a, path: 'x/y/a', type: bigint", "name: b, path: 'x/b', type: varchar"],
    );
    let values: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from(vec![None, Some(1), None])),
        Arc::new(StringArray::from(vec![Some("u"), None, None])),
    ];
    let records: Vec<String> = encode(&table, &values)
        .into_iter()
        .map(|record| String::from_utf8(record.unwrap()).unwrap())
        .collect();
    assert_eq!(records, [r#"{"x":{"b":"u"}}"#, r#"{"x":{"y":{"a":1}}}"#, "{}"]);
}

#[test]
fn what_would_not_be_read_again_is_refused() {
    let at = |value| -> ArrayRef { Arc::new(TimestampMillisecondArray::from(vec![value])) };
    let pattern = "name: at, type: 'timestamp(ms)', format: '%Y-%m-%d %H:%M:%S'";
    let second = table("format: json", &[pattern]);
    assert_eq!(one(&second, &[at(1_468_152_236_000)]).unwrap(), r#"{"at":"2016-07-10 12:03:56"}"#);
    assert!(
        one(&second, &[at(1_468_152_236_001)])
            .unwrap_err()
            .contains("column `at`: 2016-07-10T12:03:56.001Z is not the same again")
    );
    // two digits of a year are read as 2050
    let short = table("format: json", &["name: at, type: 'timestamp(ms)', format: '%y-%m-%d %H:%M:%S'"]);
    assert!(one(&short, &[at(-3_786_825_600_000)]).unwrap_err().contains("not the same again"));
    assert!(one(&second, &[at(i64::MAX)]).unwrap_err().contains("years 0 to 9999"));
    for (column, value, said) in [
        (
            "name: v, type: double",
            Arc::new(Float64Array::from(vec![f64::NAN])) as ArrayRef,
            "NaN has no form",
        ),
        ("name: v, type: json", text(Some("{")), "the text is not JSON"),
        ("name: v, type: json", text(Some(" null ")), "JSON's null is read as NULL"),
        ("name: v, type: uuid", text(Some("x")), "not a UUID"),
        (
            "name: v, type: varbinary",
            Arc::new(BinaryArray::from(vec![b"\xff".as_ref()])),
            "the bytes are no text",
        ),
    ] {
        let error = one(&table("format: json", &[column]), &[value]).unwrap_err();
        assert!(error.contains(said), "{column}: {error}");
    }
    for (columns, said) in [
        (
            ["name: a, path: x, type: bigint", "name: b, path: x, type: varchar"],
            "to the same place",
        ),
        (
            ["name: a, path: x, type: json", "name: b, path: 'x/y', type: varchar"],
            "to the same place",
        ),
        (
            ["name: a, path: 'x/y', type: json", "name: b, path: x, type: varchar"],
            "to the same place",
        ),
        (
            ["name: a, path: /, type: json", "name: b, path: x, type: varchar"],
            "the whole document",
        ),
        (
            ["name: a, path: 'x/0', type: json", "name: b, path: y, type: varchar"],
            "a place in an array",
        ),
    ] {
        let error = Encoder::new(&table("format: json", &columns), &[0, 1]).unwrap_err().to_string();
        assert!(error.contains(said), "{columns:?}: {error}");
    }
}

#[test]
fn csv_by_hand() {
    let columns = ["name: a, index: 1, type: varchar", "name: b, index: 3, type: bigint"];
    let values = |a: Option<&str>, b: Option<i64>| -> Vec<ArrayRef> { vec![text(a), Arc::new(Int64Array::from(vec![b]))] };
    let plain = table("format: csv", &columns);
    assert_eq!(one(&plain, &values(Some("x"), Some(-5))).unwrap(), ",x,,-5");
    assert_eq!(one(&plain, &values(Some(""), Some(5))).unwrap(), ",,,5");
    assert_eq!(one(&plain, &values(Some("a\"b,c\nd"), None)).unwrap(), ",\"a\"\"b,c\nd\"");
    assert_eq!(one(&plain, &values(None, None)).unwrap(), "\"\"");
    assert!(
        one(&plain, &values(None, Some(1)))
            .unwrap_err()
            .contains("cannot be told from an empty text")
    );
    let told = table("format: { csv: { delimiter: ';', null: '-' , escape: '\\' } }", &columns);
    assert_eq!(one(&told, &values(None, None)).unwrap(), "-;-;-;-");
    assert_eq!(one(&told, &values(Some("a\"\\;"), Some(1))).unwrap(), "-;\"a\\\"\\\\;\";-;1");
    assert!(one(&told, &values(Some("-"), Some(1))).unwrap_err().contains("stands for NULL"));
    let header = table(
        "format: { csv: { header: true, null: '' } }",
        &["name: a, path: 'A', type: varchar", "name: b, path: 'b,c', type: bigint"],
    );
    assert_eq!(one(&header, &values(Some("x"), None)).unwrap(), "A,\"b,c\"\nx,");
}

/// `struct.pack('>hb3s', 258, -1, b'abc')` and `struct.pack('<h…')`.
#[test]
fn raw_as_struct_packs_it() {
    let columns = [
        "name: n, type: bigint, bytes: '0:2', encoding: short",
        "name: t, type: tinyint, bytes: '2:3', encoding: byte",
        "name: s, type: varchar, bytes: '3:6'",
    ];
    let values = |n: i64, s: &str| -> Vec<ArrayRef> {
        vec![
            Arc::new(Int64Array::from(vec![n])),
            Arc::new(Int8Array::from(vec![-1])),
            text(Some(s)),
        ]
    };
    let big = table("format: raw", &columns);
    assert_eq!(encode(&big, &values(258, "abc")), [Ok(b"\x01\x02\xffabc".to_vec())]);
    let little = table("format: { raw: { endian: little } }", &columns);
    assert_eq!(encode(&little, &values(258, "abc")), [Ok(b"\x02\x01\xffabc".to_vec())]);
    assert!(one(&big, &values(40_000, "abc")).unwrap_err().contains("40000 does not fit"));
    assert!(
        one(&big, &values(1, "ab"))
            .unwrap_err()
            .contains("its place has 3 bytes, and the value 2")
    );
    let error = Encoder::new(&big, &[0, 1]).unwrap_err().to_string();
    assert!(error.contains("column `s`: a raw record has all columns"), "{error}");
}

#[test]
fn formats_that_cannot_be_written_say_so() {
    let table = table("format: clf", &["name: host, path: host, type: varchar"]);
    let error = Encoder::new(&table, &[0]).unwrap_err().to_string();
    assert!(error.contains("records of format clf cannot be written"), "{error}");
}

/// Rows of random values of every type, written and read again.
fn round(format: &str, columns: &[String], seed: u64, rows: usize, nulls: bool) -> Result<(), TestCaseError> {
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let table = table(format, &columns);
    let mut random = random::Random::new(seed);
    let values: Vec<ArrayRef> = table
        .columns
        .iter()
        .map(|column| random.array(&column.column_type, column.format.as_ref(), rows, nulls))
        .collect();
    let all: Vec<usize> = (0..values.len()).collect();
    let mut encoder = Encoder::new(&table, &all).unwrap();
    let mut records = Vec::new();
    for row in 0..rows {
        records.push(
            encoder
                .encode(&values, row)
                .map_err(|error| TestCaseError::fail(format!("row {row}: {error}")))?,
        );
    }
    let payloads: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    let decoded = Decoder::new(&table, &all).unwrap().decode(&BinaryArray::from(payloads)).unwrap();
    prop_assert!(
        decoded.bad.is_empty(),
        "{:?} {:?}",
        decoded.bad,
        records.iter().map(|record| String::from_utf8_lossy(record)).collect::<Vec<_>>()
    );
    for ((column, value), back) in table.columns.iter().zip(&values).zip(&decoded.columns) {
        prop_assert_eq!(back, value, "{}", column.name);
    }
    Ok(())
}

const TYPES: &[&str] = &[
    "boolean",
    "tinyint",
    "smallint",
    "integer",
    "bigint",
    "real",
    "double",
    "decimal(9,2)",
    "decimal(38,10)",
    "decimal(76,30)",
    "varchar",
    "varbinary",
    "date",
    "time(s)",
    "time(ms)",
    "time(us)",
    "time(ns)",
    "timestamp(s)",
    "timestamp(ms)",
    "timestamp(us)",
    "timestamp(ns)",
    "timestamp(ms) with time zone",
    "uuid",
    "json",
];

fn columns(more: &[&str]) -> Vec<String> {
    let types = TYPES.iter().chain(more).enumerate();
    let mut columns: Vec<String> = types
        .map(|(index, of)| format!("name: c{index}, path: 'p{}/v{index}', type: '{of}'", index % 3))
        .collect();
    for (index, (of, format)) in [
        ("varbinary", "base64"),
        ("varbinary", "hex"),
        ("timestamp(s)", "%d/%b/%Y:%H:%M:%S %z"),
        ("timestamp(ns)", "nanoseconds-since-epoch"),
        ("timestamp(ms)", "seconds-since-epoch"),
        ("timestamp(s)", "rfc2822"),
        ("date", "%d.%m.%Y"),
        ("time(s)", "%H-%M-%S"),
        ("bigint", "%d/%b/%Y:%H:%M:%S %z"),
        ("bigint", "seconds-since-epoch"),
    ]
    .into_iter()
    .enumerate()
    {
        columns.push(format!("name: f{index}, path: 'f/v{index}', type: '{of}', format: '{format}'"));
    }
    columns
}

fn without_paths(columns: Vec<String>) -> Vec<String> {
    let place = |(index, column): (usize, String)| {
        let (head, rest) = column.split_once(", path: '").unwrap();
        let (_, tail) = rest.split_once('\'').unwrap();
        format!("{head}, index: {index}{tail}")
    };
    columns.into_iter().enumerate().map(place).collect()
}

const NESTED: &[&str] = &[
    "array<bigint>",
    "array<varchar>",
    "map<varchar, double>",
    "map<bigint, array<date>>",
    "row<a bigint, \"b c\" varchar, t timestamp(ms), m map<varchar, boolean>>",
    "array<row<x decimal(20,3), y array<time(us)>>>",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn json_is_read_again(seed: u64, rows in 1_usize..6) {
        round("format: json", &columns(NESTED), seed, rows, true)?;
        round("format: ndjson\ncompression: gzip", &columns(NESTED), seed, rows, true)?;
        round("format: json\ncompression: base64+zstd", &columns(&[]), seed, rows, true)?;
        round("format: json\ncompat: presto", &columns(NESTED), seed, rows, true)?;
        round("format: json\ncompression: snappy", &columns(&[]), seed, rows, true)?;
        round("format: json\ncompression: zlib", &columns(&[]), seed, rows, true)?;
    }

    #[test]
    fn csv_is_read_again(seed: u64, rows in 1_usize..6) {
        round("format: { csv: { null: 'NULL' } }", &without_paths(columns(NESTED)), seed, rows, true)?;
        round("format: { csv: { delimiter: '|', escape: '\\', null: '\\N', comment: '#' } }", &without_paths(columns(NESTED)), seed, rows, true)?;
        round("format: { csv: { header: true, null: 'NULL' } }", &columns(NESTED), seed, rows, true)?;
    }

    #[test]
    fn csv_without_a_null_is_read_again(seed: u64, rows in 1_usize..6) {
        let numbers = ["bigint", "double", "date", "boolean"];
        let columns: Vec<String> = numbers.iter().enumerate().map(|(index, of)| format!("name: c{index}, index: {index}, type: {of}")).collect();
        round("format: csv", &columns, seed, rows, true)?;
        round("format: csv", &columns[..1], seed, rows, true)?;
        round("format: csv", &["name: c, index: 2, type: varchar".to_owned()], seed, rows, false)?;
    }

    #[test]
    fn raw_is_read_again(seed: u64, rows in 1_usize..6) {
        for endian in ["big", "little"] {
            let columns = [
                "name: a, type: bigint, bytes: '0:8', encoding: long",
                "name: b, type: integer, bytes: '8:12', encoding: int",
                "name: c, type: smallint, bytes: '14:16', encoding: short",
                "name: d, type: tinyint, bytes: '16:17', encoding: byte",
                "name: e, type: double, bytes: '17:25', encoding: double",
                "name: f, type: real, bytes: '25:29', encoding: float",
                "name: g, type: boolean, bytes: '29:30', encoding: byte",
                "name: h, type: varchar, bytes: '30'",
            ].map(str::to_owned);
            round(&format!("format: {{ raw: {{ endian: {endian} }} }}"), &columns, seed, rows, false)?;
        }
    }
}
