//! Options of formats, in YAML.

use super::*;

#[test]
fn csv_columns_and_options() {
    let csv = |options: &str, column: &str| {
        format!("table: t\nstream: s\nformat: {{ csv: {{ {options} }} }}\ncolumns:\n  - {{ name: a, type: bigint }}\n  - {column}\n")
    };
    let definition = TableDefinition::from_yaml(&csv("delimiter: tab, null: ''", "{ name: b, index: 7, type: date }")).unwrap();
    assert_eq!(
        definition.columns.iter().map(|column| column.index).collect::<Vec<_>>(),
        [Some(0), Some(7)]
    );
    let Format::Csv(options) = &definition.format else { panic!("csv") };
    assert_eq!((options.delimiter, options.null.as_deref()), (b'\t', Some("")));
    let named = TableDefinition::from_yaml(&csv("header: true", "{ name: b, path: 'B/b', type: date }")).unwrap();
    assert_eq!((named.columns[1].index, &named.columns[1].path), (None, &vec!["B/b".to_owned()]));
    for (options, column, part) in [
        ("delimitr: x", "{ name: b, type: date }", "did you mean `delimiter`?"),
        ("delimiter: ';;'", "{ name: b, type: date }", "not one ASCII character"),
        ("delimiter: \"\\n\"", "{ name: b, type: date }", "not one ASCII character"),
        ("delimiter: é", "{ name: b, type: date }", "not one ASCII character"),
        ("quote: ','", "{ name: b, type: date }", "four different characters"),
        ("header: yes please", "{ name: b, type: date }", "expected true or false"),
        ("", "{ name: b, index: 1, path: x, type: date }", "`index` or `path`"),
        ("", "{ name: b, index: -1, type: date }", "a number from 0"),
        ("", "{ name: b, index: one, type: date }", "a number from 0"),
        ("", "{ name: b, path: x, type: date }", "`header: true`"),
        ("", "{ name: b, bytes: '0:1', type: date }", "unknown key `bytes`"),
    ] {
        let error = TableDefinition::from_yaml(&csv(options, column)).unwrap_err();
        assert!(error.message.contains(part), "{options} {column}\n{error}");
        assert!(error.line.is_some());
    }
    let plain = TableDefinition::from_yaml(&csv("", "{ name: b, type: date }"))
        .unwrap()
        .fingerprint();
    for (options, column) in [
        ("delimiter: ';'", "{ name: b, type: date }"),
        ("", "{ name: b, index: 2, type: date }"),
        ("", "{ name: b, type: date, format: iso8601 }"),
    ] {
        assert_ne!(
            TableDefinition::from_yaml(&csv(options, column)).unwrap().fingerprint(),
            plain,
            "{options} {column}"
        );
    }
}

#[test]
fn json_that_fans_out() {
    let format = |text: &str| {
        TableDefinition::from_yaml(&format!(
            "table: t\nstream: s\nformat: {text}\ncolumns: [{{ name: a, type: bigint }}]\n"
        ))
        .map(|definition| definition.format.clone())
    };
    let rows = |rows: JsonRows, elements_of: &[&str]| {
        Format::Json(JsonFormat {
            rows,
            elements_of: elements_of.iter().map(|step| (*step).to_owned()).collect(),
        })
    };
    assert_eq!(format("{ json: {} }").unwrap(), rows(JsonRows::Value, &[]));
    assert_eq!(format("{ json: { rows: Values } }").unwrap(), rows(JsonRows::Values, &[]));
    assert_eq!(format("ndjson").unwrap(), rows(JsonRows::Lines, &[]));
    assert_eq!(
        format("{ json: { elements_of: a/b } }").unwrap(),
        rows(JsonRows::Elements, &["a", "b"])
    );
    assert!(
        format("{ json: { rows: values, elements_of: a } }")
            .unwrap_err()
            .message
            .contains("goes with `rows: elements`")
    );
}

#[test]
fn nested_types_and_field_formats_survive_serialisation() {
    let definition = TableDefinition::from_yaml(
        "table: t\nstream: s\ncompat: presto\nformat: { json: { rows: elements } }\ncolumns:\n\
         - { name: a, type: 'row<Id uuid, tags map<varchar, array<decimal(40,2)>>>' }\n\
         - { name: b, type: varbinary, format: base64 }\n\
         - { name: c, type: timestamp(ns) with time zone, format: rfc2822 }\n\
         - { name: d, type: time(us), format: '%H:%M' }\n",
    )
    .unwrap();
    let text = serde_json::to_string(&*definition).unwrap();
    assert_eq!(serde_json::from_str::<TableDefinition>(&text).unwrap(), *definition);
    assert_eq!(
        definition.columns[0].column_type.to_string(),
        "row<Id uuid, tags map<varchar, array<decimal(40,2)>>>"
    );
}

/// Definitions of formats of bytes and lines, written and read again; what was in files is in the text then.
#[test]
fn formats_of_bytes_and_lines_survive_being_written() {
    let data = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data"));
    let record = r#"{ type: record, name: R, fields: [{ name: a, type: long }] }"#;
    let a = "{ name: a, type: bigint }";
    for (format, column) in [
        (
            "{ raw: { endian: little } }",
            "{ name: a, type: 'decimal(9,2)', bytes: '3:9', encoding: text, endian: big }",
        ),
        ("clf", "{ name: a, type: timestamp(s), path: time }"),
        ("combined", "{ name: a, type: varchar, path: user_agent }"),
        ("{ regex: { pattern: '(?<a>\\d+)', rows: lines } }", a),
        ("{ regex: { pattern: '(?<a>\\d+)' } }", a),
        (&format!("{{ avro: {{ schema: {record} }} }}"), a),
        (
            "{ avro: { schema_file: avro/weather.avsc } }",
            "{ name: a, type: bigint, path: time }",
        ),
        ("{ avro: { framing: container } }", "{ name: a, type: bigint, path: x/0/y }"),
        (
            &format!("{{ avro: {{ framing: confluent, registry: {{ 7: {record}, 8: '\"long\"' }} }} }}"),
            a,
        ),
        (
            &format!("{{ avro: {{ framing: glue, registry: {{ 6d9a0ee1-a8a6-4c1a-9c8f-3f0b5a7c1d2e: {record} }} }} }}"),
            a,
        ),
        (
            &format!("{{ avro: {{ framing: single_object, schema: {record}, registry: {{ x: '\"long\"' }} }} }}"),
            a,
        ),
        (
            "{ protobuf: { descriptor: protobuf/every.desc, message: test.Every } }",
            "{ name: a, type: bigint, path: int32_value }",
        ),
        (
            "{ protobuf: { descriptor: protobuf/every.desc, message: test.Every, framing: delimited, elements_of: route } }",
            "{ name: a, type: varchar, path: route/name }",
        ),
    ] {
        let text = format!("table: t\nstream: s\nformat: {format}\ncolumns:\n  - {column}\n");
        let definition = TableDefinition::from_yaml_file(&text, DEFAULT_SCHEMA, data).unwrap_or_else(|error| panic!("{text}{error}"));
        let written = definition.to_yaml();
        let again = TableDefinition::from_yaml(&written).unwrap_or_else(|error| panic!("{written}{error}"));
        assert_eq!(again, definition, "{written}");
        assert_eq!(again.fingerprint(), definition.fingerprint());
    }
}
