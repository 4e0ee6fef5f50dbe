//! What is run on whatever bytes, by cargo-fuzz and by the catalog's tests.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use arrow::array::{Array, BinaryArray};
use catalog::{Decoded, Decoder, TableDefinition};

/// A target by its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    /// As cargo-fuzz calls it.
    pub(crate) name: &'static str,
    /// Panics where the bytes find a fault.
    pub(crate) run: fn(&[u8]),
    /// Bytes to begin with.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub(crate) const TARGETS: &[Target] = &[
    target("json", json, || {
        files(&["formats/github_events/records.ndjson", "formats/several_values/records.base64"])
    }),
    target("csv", csv, || {
        [
            vec![b"a,b\n\"x\"\"y\",2\n\n3".to_vec()],
            files(&["formats/csv_spectrum/quotes_and_newlines.csv"]),
        ]
        .concat()
    }),
    target("cloudwatch_logs", cloudwatch_logs, || vec![LOG_EVENTS.to_vec()]),
    target("cloudevents", cloudevents, || {
        vec![br#"[{"specversion":"1.0","id":"1","type":"t","source":"/s","data":{"a":1}}]"#.to_vec()]
    }),
    target("raw", raw, || vec![(0..40).collect()]),
    target("avro", avro, || hex_of("avro/flat.json", "data")),
    target("avro_container", avro_container, || {
        let small = |name| std::fs::read(data(name)).map_or_else(|_| Vec::new(), |bytes| bytes[..bytes.len().min(6000)].to_vec());
        [
            "avro/weather.avro",
            "avro/every.deflate.avro",
            "avro/every.snappy.avro",
            "avro/every.zstandard.avro",
        ]
        .map(small)
        .to_vec()
    }),
    target("protobuf", protobuf, || hex_of("protobuf/expected.json", "messages")),
    target("protobuf_elements", protobuf_elements, || {
        hex_of("protobuf/expected.json", "messages")
    }),
    target("protobuf_delimited", protobuf_delimited, || {
        files(&["protobuf/VehiclePositions.delimited"])
    }),
    target("log_lines", log_lines, || {
        files(&["log_lines/apache_combined_first2000.log", "traps.log"])
    }),
    target("regex", regex, || vec![b"2024-07-01T00:00:00Z [INFO] x\nkey \xff".to_vec()]),
    target("compression", compression, || files(&["avro/every.zstandard.avro"])),
    target("definition_yaml", definition_yaml, || {
        let mut seeds: Vec<Vec<u8>> = DEFINITIONS.iter().map(|(_, text)| text.as_bytes().to_vec()).collect();
        seeds.extend(files(&["nasahttp.yaml"]));
        seeds
    }),
    target("definition_presto", definition_presto, || files(&["nasahttp.json"])),
];

const fn target(name: &'static str, run: fn(&[u8]), seeds: fn() -> Vec<Vec<u8>>) -> Target {
    Target { name, run, seeds }
}

const LOG_EVENTS: &[u8] = br#"{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":[],"logEvents":[{"id":"3","timestamp":1719792000000,"message":"m"}]}"#;

const DEFINITIONS: &[(&str, &str)] = &[
    (
        "json",
        "table: t\nstream: s\nformat: { json: { rows: elements } }\ncolumns:\n  - { name: id, type: bigint }\n  - { name: p, path: payload/commits/0/sha, type: varchar }\n  - { name: all, path: /, type: json }\n  - { name: a, path: actor, type: 'row<id bigint, login varchar>' }\n",
    ),
    (
        "csv",
        "table: t\nstream: s\nformat: { csv: { header: true } }\ncolumns:\n  - { name: a, type: varchar }\n  - { name: b, type: bigint }\n",
    ),
    (
        "cloudwatch_logs",
        "table: t\nstream: s\nformat: cloudwatch_logs\ncolumns:\n  - { name: logGroup, type: varchar }\n  - { name: message, type: varchar }\n  - { name: timestamp, type: timestamp(ms) }\n",
    ),
    (
        "cloudevents",
        "table: t\nstream: s\nformat: cloudevents\ncolumns:\n  - { name: id, type: varchar }\n  - { name: data, type: json }\n",
    ),
    (
        "raw",
        "table: t\nstream: s\nformat: { raw: { endian: little } }\ncolumns:\n  - { name: a, type: bigint, bytes: '0', encoding: long }\n  - { name: b, type: real, bytes: '8', encoding: float }\n  - { name: c, type: varchar, bytes: '12' }\n  - { name: d, type: 'decimal(9,2)', bytes: '12:16', encoding: text }\n",
    ),
    (
        "avro_container",
        "table: t\nstream: s\nformat: { avro: { framing: container } }\ncolumns:\n  - { name: all, path: /, type: json }\n  - { name: text, type: varchar }\n  - { name: tags, type: array<varchar> }\n  - { name: price, type: 'decimal(20,4)' }\n  - { name: counts, type: 'map<varchar, bigint>' }\n  - { name: place, type: 'row<name varchar, within json>' }\n",
    ),
    (
        "protobuf",
        "table: t\nstream: s\nformat: { protobuf: { descriptor: protobuf/every.desc, message: test.Every } }\ncolumns:\n  - { name: all, path: /, type: json }\n  - { name: string_value, type: varchar }\n  - { name: packed, type: array<bigint> }\n  - { name: counts, type: 'map<varchar, bigint>' }\n  - { name: places, type: 'map<bigint, row<name varchar>>' }\n  - { name: inner, path: place/within/name, type: varchar }\n  - { name: spot, type: 'row<name varchar, latitude double>' }\n  - { name: number, type: 'decimal(20,0)' }\n  - { name: at, type: timestamp(ns) }\n  - { name: wrapped, type: bigint }\n  - { name: first, path: route/0/name, type: varchar }\n",
    ),
    (
        "protobuf_elements",
        "table: t\nstream: s\nformat: { protobuf: { descriptor: protobuf/every.desc, message: test.Every, elements_of: route } }\ncolumns:\n  - { name: name, path: route/name, type: varchar }\n  - { name: element, path: route, type: json }\n  - { name: beside, path: string_value, type: varchar }\n  - { name: all, path: /, type: json }\n",
    ),
    (
        "protobuf_delimited",
        "table: t\nstream: s\nformat: { protobuf: { descriptor: protobuf/gtfs-realtime.desc, message: transit_realtime.FeedEntity, framing: delimited } }\ncolumns:\n  - { name: id, type: varchar }\n  - { name: vehicle, type: json }\n  - { name: latitude, path: vehicle/position/latitude, type: real }\n",
    ),
    (
        "log_lines",
        "table: t\nstream: s\nformat: combined\ncolumns:\n  - { name: host, type: varchar }\n  - { name: time, type: timestamp(s) }\n  - { name: request, type: varchar }\n  - { name: path, type: varbinary }\n  - { name: bytes, type: bigint }\n  - { name: user_agent, type: varchar }\n",
    ),
    (
        "regex",
        "table: t\nstream: s\nformat: { regex: { rows: lines, pattern: '(?<at>\\S+) (?:\\[(?<level>[A-Z]+)\\] )?(?<rest>(?-u:.)*)' } }\ncolumns:\n  - { name: at, type: timestamp(ms) }\n  - { name: level, type: varchar }\n  - { name: rest, type: varbinary }\n",
    ),
    (
        "compression",
        "table: t\nstream: s\ncompression: auto\ncolumns:\n  - { name: all, path: /, type: varchar }\n",
    ),
];

/// A file of the catalog's test data.
fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../catalog/tests/data").join(name)
}

/// The beginnings of files, in pieces.
fn files(names: &[&str]) -> Vec<Vec<u8>> {
    let read = |name: &&str| std::fs::read(data(name)).expect("the catalog's test data");
    names
        .iter()
        .map(read)
        .flat_map(|bytes| {
            bytes[..bytes.len().min(12_000)]
                .chunks(2_000)
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Records in hexadecimal, in a list at that key: texts, or the `hex` of objects.
fn hex_of(name: &str, key: &str) -> Vec<Vec<u8>> {
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(data(name)).expect("the catalog's test data")).expect("JSON");
    let texts = json[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|item| item.as_str().or_else(|| item["hex"].as_str()));
    let byte = |text: &str, at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    texts
        .take(20)
        .map(|text| (0..text.len()).step_by(2).map(|at| byte(text, at)).collect())
        .collect()
}

fn definition(name: &str) -> Arc<TableDefinition> {
    let text = DEFINITIONS
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, text)| *text)
        .expect("a definition");
    TableDefinition::from_yaml_file(text, "default", &data("")).expect("a good definition")
}

fn decode(table: &Arc<TableDefinition>, columns: &[usize], payloads: &BinaryArray) -> Option<Decoded> {
    // An error is that the records are too large, which is an answer.
    Decoder::new(table, columns).expect("a decoder").decode(payloads).ok()
}

/// What holds of every record. Where JSON is read, which of its two readers is, and so what it takes beyond the standard, depends on the columns.
fn check(table: &Arc<TableDefinition>, bytes: &[u8], same_values: bool) {
    let (left, right) = bytes.split_at(bytes.len() / 2);
    let payloads = BinaryArray::from(vec![bytes, left, right]);
    let every: Vec<usize> = (0..table.columns.len()).collect();
    let Some(all) = decode(table, &every, &payloads) else { return };
    let rows = all.columns.first().map_or(0, |column| column.len());
    assert!(all.columns.iter().all(|column| column.len() == rows), "columns of one length");
    assert!(
        all.bad.windows(2).all(|pair| pair[0].row < pair[1].row),
        "one verdict a row, in order"
    );
    assert!(
        all.bad.iter().all(|bad| bad.row < rows && !bad.error.is_empty()),
        "verdicts on rows that there are"
    );
    match &all.records {
        None => assert_eq!(rows, payloads.len()),
        Some(records) => {
            assert_eq!(records.len(), rows);
            assert!(records.values().windows(2).all(|pair| pair[0] <= pair[1]) && records.values().iter().all(|record| *record < 3));
        }
    }
    let origins = |decoded: &Decoded| decoded.records.as_ref().map(|records| records.values().to_vec());
    if let Some(none) = decode(table, &[], &payloads) {
        assert_eq!(origins(&none), origins(&all), "the same rows, whatever is asked for");
    }
    let column = bytes.len() % table.columns.len();
    if let Some(one) = decode(table, &[column], &payloads) {
        assert_eq!(origins(&one), origins(&all));
        assert_eq!(one.columns[0].len(), rows);
        assert!(
            !same_values || *one.columns[0] == *all.columns[column],
            "the same values, whatever else is asked for"
        );
    }
}

macro_rules! decoders {
    ($($name:ident, $same_values:expr;)*) => {$(
        fn $name(bytes: &[u8]) {
            static TABLE: OnceLock<Arc<TableDefinition>> = OnceLock::new();
            check(TABLE.get_or_init(|| definition(stringify!($name))), bytes, $same_values);
        }
    )*};
}

decoders! {
    json, false;
    csv, true;
    cloudwatch_logs, false;
    cloudevents, false;
    raw, true;
    avro_container, true;
    protobuf, true;
    protobuf_delimited, true;
    protobuf_elements, true;
    log_lines, true;
    regex, true;
    compression, true;
}

fn avro(bytes: &[u8]) {
    static TABLE: OnceLock<Arc<TableDefinition>> = OnceLock::new();
    let table = TABLE.get_or_init(|| {
        let text = definition("avro_container");
        let columns = text.columns.iter().filter(|column| column.name != "place");
        let columns: String = columns
            .map(|column| {
                format!(
                    "  - {{ name: {}, path: '/{}', type: '{}' }}\n",
                    column.name,
                    column.path.join("/"),
                    column.column_type
                )
            })
            .collect();
        let flat: serde_json::Value =
            serde_json::from_slice(&std::fs::read(data("avro/flat.json")).expect("the catalog's test data")).expect("JSON");
        let text = format!(
            "table: t\nstream: s\nformat: {{ avro: {{ schema: {} }} }}\ncolumns:\n{columns}",
            flat["schema"]
        );
        TableDefinition::from_yaml(&text).expect("a good definition")
    });
    check(table, bytes, true);
}

/// A definition that is taken survives being written, and has a decoder.
fn use_definition(table: &Arc<TableDefinition>) {
    let written = serde_json::to_string(&**table).expect("a definition that is taken is written");
    let again: TableDefinition = serde_json::from_str(&written).expect("and read again");
    assert_eq!(again, **table);
    assert_eq!(again.fingerprint(), table.fingerprint());
    let spelt = table.to_yaml();
    let again = TableDefinition::from_yaml(&spelt).unwrap_or_else(|error| panic!("{spelt}{error}"));
    assert_eq!(again, *table, "{spelt}");
    let every: Vec<usize> = (0..table.columns.len()).collect();
    let payloads = BinaryArray::from(vec![&b"{\"a\":[1]}"[..], b"", b"a b c\n"]);
    decode(table, &every, &payloads);
}

fn definition_yaml(bytes: &[u8]) {
    if let Ok(table) = TableDefinition::from_yaml(&String::from_utf8_lossy(bytes)) {
        use_definition(&table);
    }
}

fn definition_presto(bytes: &[u8]) {
    if let Ok(table) = TableDefinition::from_presto_json(&String::from_utf8_lossy(bytes), "default") {
        use_definition(&table);
    }
}
