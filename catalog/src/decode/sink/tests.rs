//! What converts into which type, one value at a time, and that a typed value converts as its text does.

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use proptest::prelude::*;

use super::*;

fn sink(column_type: &str, format: Option<&str>, compat: Compat) -> Sink {
    Sink::new(
        &ColumnType::parse(column_type).unwrap(),
        format.map(FieldFormat::parse).as_ref(),
        compat,
    )
    .unwrap()
}

/// Values as arrow shows them; `NULL` and `!` for those that were refused.
fn shown_all(array: &ArrayRef, refused: &[usize]) -> Vec<String> {
    let options = FormatOptions::new().with_null("NULL");
    let formatter = ArrayFormatter::try_new(array, &options).unwrap();
    (0..array.len())
        .map(|row| {
            if refused.contains(&row) {
                "!".to_owned()
            } else {
                formatter.value(row).to_string()
            }
        })
        .collect()
}

fn converted(column_type: &str, format: Option<&str>, cells: &[Cell<'_>]) -> Vec<String> {
    let mut sink = sink(column_type, format, Compat::None);
    let mut refused = Vec::new();
    for (row, cell) in cells.iter().enumerate() {
        if sink.append(*cell).is_err() {
            refused.push(row);
        }
    }
    let array = sink.finish().unwrap();
    assert_eq!(array.data_type(), &ColumnType::parse(column_type).unwrap().data_type());
    assert!(refused.iter().all(|row| array.is_null(*row) || array.data_type().is_nested()));
    shown_all(&array, &refused)
}

fn texts(column_type: &str, format: Option<&str>, texts: &[&str]) -> Vec<String> {
    let cells: Vec<Cell<'_>> = texts.iter().map(|text| Cell::Text(text)).collect();
    let one_by_one = converted(column_type, format, &cells);
    let mut sink = sink(column_type, format, Compat::None);
    let mut refused = Vec::new();
    let run = StringArray::from(texts.to_vec());
    sink.append_run(&run, 0..run.len(), &mut refused);
    assert_eq!(shown_all(&sink.finish().unwrap(), &refused), one_by_one, "runs agree");
    one_by_one
}

#[test]
fn scalars_from_text() {
    assert_eq!(
        texts("decimal(6,2)", None, &["1.5", "1e3", "-0.25", "1.005", "10000", "x", ""]),
        ["1.50", "1000.00", "-0.25", "!", "!", "!", "!"]
    );
    // int("9"*50) and its like, exact beyond every float
    let long = "12345678901234567890123456789012345678901234567890.123456789";
    assert_eq!(texts("decimal(60,9)", None, &[long]), [long]);
    assert_eq!(
        texts(
            "uuid",
            None,
            &[
                "F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6",
                "f81d4fae7dec11d0a76500a0c91e6bf6",
                "f81d4fae"
            ]
        ),
        ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "!"]
    );
    assert_eq!(
        texts("json", None, &["{\"a\": [1, \"x y\"]}", " 12 ", "{", "x"]),
        ["{\"a\":[1,\"x y\"]}", "12", "!", "!"]
    );
    assert_eq!(texts("varbinary", None, &["é", ""]), ["c3a9", ""]);
    assert_eq!(
        texts("varbinary", Some("base64"), &["AAEC/w==", "AAEC_w", "?"]),
        ["000102ff", "000102ff", "!"]
    );
    assert_eq!(
        texts("varbinary", Some("hex"), &["00fF", "0x1a", "1", "zz"]),
        ["00ff", "1a", "!", "!"]
    );
    assert_eq!(
        texts("array<bigint>", None, &["[1, \"2\", null]", "{}", "1", "x"]),
        ["[1, 2, NULL]", "!", "!", "!"]
    );
}

/// Expected: Python's `datetime` and `email.utils`.
#[test]
fn times_from_text() {
    assert_eq!(
        texts("time(us)", None, &["09:55:06.5", "09:55", "24:00:00", "9:55"]),
        ["09:55:06.500", "09:55:00", "!", "!"]
    );
    assert_eq!(texts("time(s)", Some("%I.%M %p"), &["09.55 PM", "13.00 PM"]), ["21:55:00", "!"]);
    assert_eq!(
        texts("time(ms)", Some("seconds-since-epoch"), &["35706.25", "86400", "-1"]),
        ["09:55:06.250", "!", "!"]
    );
    let rfc = [
        "Fri, 21 Nov 1997 09:55:06 -0600",
        "21 Nov 97 09:55:06 GMT",
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Fri Nov 21 09:55:06 -0600 1997",
    ];
    assert_eq!(
        texts("timestamp(s)", Some("rfc2822"), &rfc),
        ["1997-11-21T15:55:06", "1997-11-21T09:55:06", "1994-11-06T08:49:37", "!"]
    );
    assert_eq!(
        texts("timestamp(s)", Some("twitter"), &["Wed Aug 27 13:08:45 +0000 2008", rfc[0]]),
        ["2008-08-27T13:08:45", "!"]
    );
    assert_eq!(texts("date", Some("rfc2822"), &["Fri, 21 Nov 1997 23:55:06 -0600"]), ["1997-11-21"]);
    assert_eq!(
        texts(
            "timestamp(ns) with time zone",
            Some("seconds-since-epoch"),
            &["1700000000.123456789", "1.7e9", "-0.5", "x"]
        ),
        [
            "2023-11-14T22:13:20.123456789Z",
            "2023-11-14T22:13:20Z",
            "1969-12-31T23:59:59.500Z",
            "!"
        ]
    );
    assert_eq!(
        texts("timestamp(ms)", Some("microseconds-since-epoch"), &["1700000000123999"]),
        ["2023-11-14T22:13:20.123"]
    );
    assert_eq!(
        texts("date", Some("milliseconds-since-epoch"), &["1700000000000", "-1"]),
        ["2023-11-14", "1969-12-31"]
    );
    // as the connectors do: an instant as milliseconds, and a number of units as text
    assert_eq!(
        texts("bigint", Some("iso8601"), &["2016-07-10T12:03:56.124Z", "5"]),
        ["1468152236124", "5"]
    );
    assert_eq!(texts("bigint", Some("seconds-since-epoch"), &["2"]), ["2000"]);
    assert_eq!(
        texts("varchar", Some("milliseconds-since-epoch"), &["1406579887000"]),
        ["2014-07-28T20:38:07.000Z"]
    );
    assert_eq!(
        texts("varchar", Some("seconds-since-epoch"), &["1406579887"]),
        ["2014-07-28T20:38:07Z"]
    );
}

#[test]
fn nested_values_from_json() {
    let cells = [
        Cell::Json(r#"{"a":1,"b":["x",2,{"z":null}],"c":{"k":1.50,"j":"y","k":2.5}}"#),
        Cell::Json(r#"{"b":null,"d":1}"#),
        Cell::Null,
        Cell::Json("[]"),
    ];
    assert_eq!(
        converted("row<a bigint, b array<varchar>, c map<varchar, decimal(3,1)>>", None, &cells),
        ["!", "{a: NULL, b: NULL, c: NULL}", "NULL", "!"]
    );
    let mut sink = sink("row<a bigint, b array<varchar>, c map<varchar, decimal(3,1)>>", None, Compat::None);
    let refusal = sink.append(cells[0]).unwrap_err();
    assert_eq!((&*refusal.inside, &*refusal.reason), ("/c/j", "\"y\" is not a decimal(3,1)"));
    // the rest of the value is there, the last of equal keys counts
    assert_eq!(
        shown_all(&sink.finish().unwrap(), &[]),
        ["{a: 1, b: [x, 2, {\"z\":null}], c: {k: 2.5, j: NULL}}"]
    );

    let maps = [Cell::Json(r#"{"1":"a","x":"b","2":null}"#), Cell::Json("{}")];
    assert_eq!(converted("map<bigint, varchar>", None, &maps), ["!", "{}"]);
    let mut sink = self::sink("map<bigint, varchar>", None, Compat::None);
    assert_eq!(sink.append(maps[0]).unwrap_err().inside, "/x");
    assert_eq!(shown_all(&sink.finish().unwrap(), &[]), ["{1: a, 2: NULL}"]);
}

#[test]
fn arrays_without_end_are_refused() {
    let long = format!("[{}1]", "1,".repeat(1 << 24));
    let mut sink = sink("array<bigint>", None, Compat::None);
    assert!(
        sink.append(Cell::Json(&long))
            .unwrap_err()
            .reason
            .contains("more than 16777216 elements")
    );
    assert_eq!(sink.cells(), 1);
    let mut wide = self::sink("array<row<a bigint, b bigint, c bigint>>", None, Compat::None);
    let rows = format!("[{}{{}}]", "{},".repeat(1 << 22));
    assert!(
        wide.append(Cell::Json(&rows))
            .unwrap_err()
            .reason
            .contains("more than 4194304 elements")
    );
}

#[test]
fn compat_presto() {
    let presto = |column_type: &str, cells: &[Cell<'_>]| {
        let mut sink = sink(column_type, None, Compat::Presto);
        assert!(sink.takes_json());
        let refused: Vec<usize> = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| sink.append(**cell).is_err())
            .map(|(row, _)| row)
            .collect();
        shown_all(&sink.finish().unwrap(), &refused)
    };
    let cells = ["12.7", "\"junk\"", "{}", "true", "\" TRUE\"", "9223372036854775808"].map(Cell::Json);
    assert_eq!(presto("bigint", &cells), ["12", "0", "0", "1", "0", "!"]);
    assert_eq!(presto("double", &cells[..5]), ["12.7", "0.0", "0.0", "1.0", "0.0"]);
    assert_eq!(presto("boolean", &cells[..5]), ["true", "false", "false", "true", "true"]);
    assert_eq!(presto("tinyint", &["300"].map(Cell::Json)), ["!"]);
    let mut at = sink("timestamp(ms)", Some("%Y-%m-%d"), Compat::Presto);
    assert!(
        at.append(Cell::Text("1406579887000")).is_ok(),
        "integers are milliseconds beside any pattern"
    );
    let mut epoch = sink("timestamp(ms)", Some("seconds-since-epoch"), Compat::Presto);
    assert!(epoch.append(Cell::Text("junk")).is_ok());
    assert_eq!(shown_all(&epoch.finish().unwrap(), &[]), ["1970-01-01T00:00:00"]);
}

#[test]
fn typed_values_convert_as_their_texts() {
    let cells = [
        Cell::Null,
        Cell::Boolean(true),
        Cell::Boolean(false),
        Cell::Integer(12),
        Cell::Integer(-300),
        Cell::Integer(1 << 40),
        Cell::Integer(i64::MIN),
        Cell::Double(1.5),
        Cell::Double(1e300),
        Cell::Double(-2.0),
        Cell::Real(0.1),
        Cell::Real(3.0),
        Cell::Date(11_356),
        Cell::Date(-1),
        Cell::Time(35_706_500_000_000),
        Cell::Instant(981_158_400, 1_000),
        Cell::Instant(-1, 999_999_000),
        Cell::Bytes(b"12"),
        Cell::Bytes(b"2001-02-03"),
    ];
    for target in [
        "boolean",
        "tinyint",
        "integer",
        "bigint",
        "real",
        "double",
        "decimal(20,3)",
        "decimal(50,3)",
        "varchar",
        "date",
        "time(us)",
        "timestamp(us)",
        "timestamp(us) with time zone",
    ] {
        for cell in cells {
            // an instant is its day, which its text is not; and a single-precision number is widened, and not read anew
            if matches!((cell, target), (Cell::Instant(..), "date") | (Cell::Real(_), "double")) {
                continue;
            }
            let text = cell.text();
            let as_text = text.as_deref().map_or(Cell::Null, Cell::Text);
            assert_eq!(
                converted(target, None, &[cell]),
                converted(target, None, &[as_text]),
                "{cell:?} into {target}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No text makes a conversion panic, and one value is one value.
    #[test]
    fn any_text_is_a_value_or_refused(text in ".{0,24}|[-+0-9.eE]{0,24}|[0-9]{1,5}-[0-9]{2}-[0-9]{2}T[0-9:.]{0,12}", kind in prop::sample::select(vec![
        "decimal(38,38)", "decimal(76,0)", "uuid", "json", "varbinary", "time(ns)", "timestamp(ns)", "date", "array<date>", "map<date, uuid>", "row<a time(s)>", "bigint", "real",
    ]), format in prop::sample::select(vec![None, Some("iso8601"), Some("rfc2822"), Some("seconds-since-epoch"), Some("nanoseconds-since-epoch"), Some("base64"), Some("hex")])) {
        let mut sink = sink(kind, format, Compat::None);
        for cell in [Cell::Text(&text), Cell::Bytes(text.as_bytes())] {
            let _either = sink.append(cell);
        }
        prop_assert_eq!(sink.len(), 2);
        prop_assert_eq!(sink.finish().unwrap().len(), 2);
    }
}
