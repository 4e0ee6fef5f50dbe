use super::*;
use crate::{JsonRows, TableDefinition};

fn of(documents: &[&str]) -> Inferred {
    infer_json(
        documents.iter().map(|text| text.as_bytes()),
        &Compression::Auto,
        &JsonFormat::default(),
    )
}

fn types(documents: &[&str]) -> Vec<(String, String)> {
    let columns = of(documents).columns.into_iter();
    columns.map(|column| (column.name, column.column_type)).collect()
}

/// The type of field `f` that had these values.
fn type_of(values: &[&str]) -> String {
    let documents: Vec<String> = values.iter().map(|value| format!("{{\"f\":{value}}}")).collect();
    let documents: Vec<&str> = documents.iter().map(String::as_str).collect();
    types(&documents).remove(0).1
}

#[test]
fn scalars() {
    for (values, expected) in [
        (&["1", "-9223372036854775808", "null"][..], "bigint"),
        (&["1", "1.5"], "double"),
        (&["true", "null"], "boolean"),
        (&["true", "1"], "varchar"),
        (&["\"a\"", "1"], "varchar"),
        (&["\"a\"", "\"\""], "varchar"),
        (&["null"], "varchar"),
        (&["\"2024-07-01\"", "\"2024-02-29\""], "date"),
        (&["\"2024-07-01\"", "\"2023-02-29\""], "varchar"),
        (&["\"2024-07-01T10:11:12Z\"", "\"2024-07-01\""], "timestamp(s)"),
        (
            &["\"2024-07-01T10:11:12.5Z\"", "\"2024-07-01 10:11:12.123456+02:00\""],
            "timestamp(us)",
        ),
        (&["\"2024-07-01T10:11:12.123Z\""], "timestamp(ms)"),
        (&["\"2024-07-01T10:11:12.123456789\""], "timestamp(ns)"),
        (&["\"2024-07-01T10:11:12Z\"", "\"soon\""], "varchar"),
        (&["\"12\""], "varchar"),
    ] {
        assert_eq!(type_of(values), expected, "{values:?}");
    }
}

#[test]
fn patterns_and_milliseconds() {
    let inferred = of(&[r#"{"timestamp":"01/Aug/1995:00:00:01 -0400","eventTime":1719828672123,"n":1719828672123}"#]);
    let columns: Vec<_> = inferred
        .columns
        .iter()
        .map(|column| (column.name.as_str(), column.column_type.as_str(), column.format.as_deref()))
        .collect();
    assert_eq!(
        columns,
        [
            ("timestamp", "timestamp(s)", Some("%d/%b/%Y:%H:%M:%S %z")),
            ("eventtime", "timestamp(ms)", None),
            ("n", "bigint", None)
        ]
    );
    assert_eq!(inferred.columns[1].path, ["eventTime"]);
}

#[test]
fn names_are_plain_and_unique() {
    let names: Vec<String> = types(&[r#"{"Id":1,"id":2,"a b":3,"1st":4,"_message":5,"":6,"日付":7}"#])
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["id", "id_2", "a_b", "c_1st", "c_message", "c_", "日付"]);
}

#[test]
fn bad_records_are_counted_and_add_nothing() {
    let inferred = of(&[r#"{"a":1}"#, r#"{"b":1"#, "", r#"{"a":2} x"#]);
    assert_eq!((inferred.records, inferred.unreadable), (4, 3));
    assert!(inferred.reason.is_some_and(|reason| reason.contains("not valid JSON")));
    assert_eq!(inferred.columns.len(), 1);
    assert!(of(&[]).columns.is_empty());
    assert!(of(&["null"]).columns.is_empty());
    assert_eq!(of(&["[1,2]", "3"]).columns[0].path, Vec::<String>::new());
}

#[test]
fn what_is_proposed_is_a_definition() {
    let inferred = of(&[
        r#"{"plain":1,"nested":{"x":{"y":"z"},"odd key":[1,2.5]},"mixed":{"a":1},"list":[],"n":null}"#,
        r#"{"mixed":7}"#,
    ]);
    let types: Vec<&str> = inferred.columns.iter().map(|column| column.column_type.as_str()).collect();
    assert_eq!(
        types,
        [
            "bigint",
            "row<x row<y varchar>, \"odd key\" array<double>>",
            "json",
            "array<varchar>",
            "varchar"
        ]
    );
    for column in inferred.columns {
        let yaml = format!(
            "table: t\nstream: s\ncolumns:\n  - name: '{}'\n    path: '{}'\n    type: '{}'\n",
            column.name,
            column.path.join("/"),
            column.column_type
        );
        assert!(TableDefinition::from_yaml(&yaml).is_ok(), "{yaml}");
    }
}

#[test]
fn nested_values_and_large_numbers() {
    for (values, expected) in [
        (&["18446744073709551615", "1"][..], "decimal(20,0)"),
        (&["\"7d444840-9dc0-11d1-b245-5ffdce74fad2\""], "uuid"),
        (&["[1, 2.5]", "[]", "null"], "array<double>"),
        (&["[[\"2024-07-01\"], [null]]"], "array<array<date>>"),
        (&["{\"a\":{\"b\":1}}", "{\"c\":true}"], "row<a row<b bigint>, c boolean>"),
        (&["{}"], "json"),
        (&["{\"A\":1,\"a\":2}"], "json"),
        (&["{\"at\":\"01/Aug/1995:00:00:01 -0400\"}"], "row<at varchar>"),
        (&["[1]", "{\"a\":1}"], "json"),
    ] {
        assert_eq!(type_of(values), expected, "{values:?}");
    }
    let many: Vec<String> = (0..100).map(|n| format!("\"key{n}\":{n}")).collect();
    assert_eq!(type_of(&[&format!("{{{}}}", many.join(","))]), "map<varchar, bigint>");
}

#[test]
fn rows_of_a_record() {
    let types = |text: &str, rows: JsonRows, elements_of: &[&str]| {
        let format = JsonFormat {
            rows,
            elements_of: elements_of.iter().map(|key| (*key).to_owned()).collect(),
        };
        let inferred = infer_json([text.as_bytes()], &Compression::Auto, &format);
        assert_eq!(inferred.reason, None);
        let columns = inferred.columns.into_iter();
        columns
            .map(|column| format!("{} {}", column.name, column.column_type))
            .collect::<Vec<_>>()
    };
    assert_eq!(types("{\"a\":1}\n\n{\"a\":1.5}\n", JsonRows::Lines, &[]), ["a double"]);
    assert_eq!(types("{\"a\":1}{\"b\":true}", JsonRows::Values, &[]), ["a bigint", "b boolean"]);
    assert_eq!(
        types("[{\"a\":1},{\"b\":2}] {\"c\":3}", JsonRows::Elements, &[]),
        ["a bigint", "b bigint", "c bigint"]
    );
    assert_eq!(types("{\"x\":{\"y\":[{\"a\":1}]}}", JsonRows::Elements, &["x", "y"]), ["a bigint"]);
}

/// Name, place and type of each column that is proposed for these records of CSV.
fn csv(options: &str, records: &[&str]) -> Vec<String> {
    let definition = TableDefinition::from_yaml(&format!(
        "table: t\nstream: s\nformat: {{ csv: {{ {options} }} }}\ncolumns:\n  - {{ name: a, type: varchar }}\n"
    ));
    let records: Vec<&[u8]> = records.iter().map(|text| text.as_bytes()).collect();
    let inferred = infer(&records, &definition.unwrap()).unwrap();
    assert_eq!(inferred.unreadable, 0, "{:?}", inferred.reason);
    let columns = inferred.columns.iter().map(|column| {
        let place = column.index.map_or_else(|| column.path.concat(), |index| index.to_string());
        format!("{} <- {place}: {}", column.name, column.column_type)
    });
    columns.collect()
}

#[test]
fn fields_of_csv() {
    assert_eq!(
        csv("", &["1,2.5,true,\"a,b\",2024-07-01,,007\n-3,,false,x,2024-07-02,,8"]),
        [
            "c1 <- 0: bigint",
            "c2 <- 1: double",
            "c3 <- 2: boolean",
            "c4 <- 3: varchar",
            "c5 <- 4: date",
            "c6 <- 5: varchar",
            "c7 <- 6: bigint"
        ]
    );
    assert_eq!(
        csv(
            "header: true, delimiter: ';'",
            &[
                "Id;Start Time;note\n1;2024-07-01T10:00:00.5Z;a",
                "Id;Start Time;note\n18446744073709551615;;1"
            ]
        ),
        [
            "id <- Id: decimal(20,0)",
            "start_time <- Start Time: timestamp(ms)",
            "note <- note: varchar"
        ]
    );
    assert!(csv("", &[]).is_empty());
}
