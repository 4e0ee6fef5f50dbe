//! Decoders against bare crates, on the same bytes: arrow-avro, prost-reflect, regex, and for raw records the plainest loop. Where the bare crate gives no
//! arrow columns the loop around it builds them.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot read")]

use std::hint::black_box;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, BinaryArray, Float64Builder, Int64Builder, StringBuilder};
use arrow_avro::reader::ReaderBuilder;
use arrow_avro::schema::{AvroSchema, SchemaStore};
use catalog::{Decoder, TableDefinition};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use prost_reflect::{DescriptorPool, DynamicMessage};

const RECORDS: usize = 20_000;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn data(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap()
}

fn table(format: &str, columns: &[(&str, &str)]) -> Arc<TableDefinition> {
    let columns: String = columns
        .iter()
        .map(|(name, rest)| format!("  - {{ name: {name}, {rest} }}\n"))
        .collect();
    let text = format!("table: t\nstream: s\nformat: {format}\ncompression: none\ncolumns:\n{columns}");
    TableDefinition::from_yaml_file(&text, "default", &path("")).unwrap()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

/// Some records over and over.
fn many(some: &[Vec<u8>]) -> BinaryArray {
    BinaryArray::from_iter_values(some.iter().cycle().take(RECORDS))
}

fn bench<T>(c: &mut Criterion, group: &str, of: &str, name: &str, bytes: usize, mut run: impl FnMut() -> T) {
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function(BenchmarkId::new(of, name), |b| b.iter(&mut run));
    group.finish();
}

fn ours(c: &mut Criterion, group: &str, name: &str, table: &Arc<TableDefinition>, payloads: &BinaryArray) {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let mut decoder = Decoder::new(table, &all).unwrap();
    bench(c, group, "ours", name, payloads.value_data().len(), || {
        let decoded = decoder.decode(payloads).unwrap();
        assert!(decoded.bad.is_empty());
        decoded
    });
}

const EVERY: &[(&str, &str)] = &[
    ("flag", "type: boolean"),
    ("small", "type: integer"),
    ("large", "type: bigint"),
    ("real", "type: real"),
    ("double", "type: double"),
    ("bytes", "type: varbinary"),
    ("text", "type: varchar"),
    ("suit", "type: varchar"),
    ("price", "type: 'decimal(20,4)'"),
    ("day", "type: date"),
    ("at_us", "type: timestamp(us)"),
    ("tags", "type: array<varchar>"),
    ("counts", "type: 'map<varchar, bigint>'"),
];

fn avro(c: &mut Criterion) {
    // arrow-avro reads no type that holds itself, so this is the schema of every type but that.
    let flat: serde_json::Value = serde_json::from_slice(&data("avro/flat.json")).unwrap();
    let schema = flat["schema"].to_string();
    let header = [&[0xc3, 1][..], &hex(flat["fingerprint"].as_str().unwrap())].concat();
    let texts = flat["data"].as_array().unwrap();
    let some: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| [&header[..], &hex(text.as_str().unwrap())].concat())
        .collect();
    let payloads = many(&some);
    let fields: Vec<String> = serde_json::from_str::<serde_json::Value>(&schema).unwrap()["fields"]
        .as_array()
        .unwrap()
        .iter()
        .map(|field| field["name"].as_str().unwrap().to_owned())
        .collect();
    let format = &format!("{{ avro: {{ framing: single_object, schema: {schema} }} }}");
    for (name, columns) in [("13 columns", EVERY), ("large", &EVERY[2..3])] {
        ours(c, "avro", name, &table(format, columns), &payloads);
        let places = columns
            .iter()
            .map(|(name, _)| fields.iter().position(|field| field == name).unwrap())
            .collect();
        let mut store = SchemaStore::new();
        store.register(AvroSchema::new(schema.clone())).unwrap();
        let mut decoder = ReaderBuilder::new()
            .with_batch_size(RECORDS)
            .with_projection(places)
            .with_writer_schema_store(store)
            .build_decoder()
            .unwrap();
        bench(c, "avro", "arrow-avro", name, payloads.value_data().len(), || {
            for row in 0..payloads.len() {
                assert_eq!(decoder.decode(payloads.value(row)).unwrap(), payloads.value(row).len());
            }
            decoder.flush().unwrap().unwrap()
        });
    }
    let file = data("avro/flat.avro");
    let containers = BinaryArray::from_iter_values(std::iter::repeat_n(&file, 100));
    ours(
        c,
        "avro",
        "containers",
        &table("{ avro: { framing: container } }", EVERY),
        &containers,
    );
    bench(c, "avro", "arrow-avro", "containers", containers.value_data().len(), || {
        for _ in 0..100 {
            let reader = ReaderBuilder::new().build(Cursor::new(&file)).unwrap();
            black_box(reader.collect::<Result<Vec<_>, _>>().unwrap());
        }
    });
}

fn protobuf(c: &mut Criterion) {
    let expected: serde_json::Value = serde_json::from_slice(&data("protobuf/expected.json")).unwrap();
    let messages = expected["messages"].as_array().unwrap();
    let some: Vec<Vec<u8>> = messages.iter().map(|message| hex(message["hex"].as_str().unwrap())).collect();
    let payloads = many(&some);
    let format = "{ protobuf: { descriptor: protobuf/every.desc, message: test.Every } }";
    let all = [
        ("int64_value", "type: bigint"),
        ("double_value", "type: double"),
        ("string_value", "type: varchar"),
        ("suit", "type: varchar"),
        ("at", "type: timestamp(ns)"),
        ("inner", "type: varchar, path: place/within/name"),
        ("packed", "type: array<bigint>"),
        ("counts", "type: 'map<varchar, bigint>'"),
    ];
    let descriptor = DescriptorPool::decode(&*data("protobuf/every.desc"))
        .unwrap()
        .get_message_by_name("test.Every")
        .unwrap();
    for (name, columns) in [("8 columns", &all[..]), ("int64_value", &all[..1])] {
        ours(c, "protobuf", name, &table(format, columns), &payloads);
    }
    bench(c, "protobuf", "prost-reflect", "messages", payloads.value_data().len(), || {
        for row in 0..payloads.len() {
            black_box(DynamicMessage::decode(descriptor.clone(), payloads.value(row)).unwrap());
        }
    });
}

fn lines(c: &mut Criterion) {
    let log = data("log_lines/apache_combined_first2000.log");
    let some: Vec<Vec<u8>> = log
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(<[u8]>::to_vec)
        .collect();
    let payloads = many(&some);
    let pattern = r#"(?<host>\S+) \S+ (?<user>\S+) \[(?<time>[^\]]+)\] "(?<request>[^"]*)" (?<status>\d{3}) (?<bytes>\d+|-)(?: "(?<referer>[^"]*)" "(?<agent>[^"]*)")?"#;
    let columns = [
        ("host", "type: varchar"),
        ("user", "type: varchar"),
        ("time", "type: varchar"),
        ("request", "type: varchar"),
        ("status", "type: varchar"),
        ("bytes", "type: varchar"),
        ("referer", "type: varchar"),
        ("agent", "type: varchar, path: user_agent"),
    ];
    ours(c, "log lines", "8 columns", &table("combined", &columns), &payloads);
    ours(c, "log lines", "host", &table("combined", &columns[..1]), &payloads);
    let named: Vec<(&str, &str)> = columns.iter().map(|(name, _)| (*name, "type: varchar")).collect();
    let format = format!("{{ regex: {{ pattern: '{pattern}' }} }}");
    ours(c, "log lines", "8 columns, by regex", &table(&format, &named), &payloads);
    let regex = regex::bytes::Regex::new(&format!(r"\A{pattern}\z")).unwrap();
    let mut locations = regex.capture_locations();
    bench(c, "log lines", "regex", "8 columns", payloads.value_data().len(), || {
        let mut builders: Vec<StringBuilder> = (0..8).map(|_| StringBuilder::new()).collect();
        for row in 0..payloads.len() {
            let line = payloads.value(row);
            regex.captures_read(&mut locations, line).unwrap();
            for (group, builder) in builders.iter_mut().enumerate() {
                builder.append_option(
                    locations
                        .get(group + 1)
                        .map(|(start, end)| std::str::from_utf8(&line[start..end]).unwrap()),
                );
            }
        }
        builders.iter_mut().map(StringBuilder::finish).collect::<Vec<_>>()
    });
}

fn raw(c: &mut Criterion) {
    let some: Vec<Vec<u8>> = (0..1000_u16)
        .map(|row| {
            [
                &i64::from(row).to_be_bytes()[..],
                &(f64::from(row) / 8.0).to_be_bytes(),
                format!("station {row:05}").as_bytes(),
            ]
            .concat()
        })
        .collect();
    let payloads = many(&some);
    let columns = [
        ("id", "type: bigint, bytes: '0', encoding: long"),
        ("value", "type: double, bytes: '8', encoding: double"),
        ("station", "type: varchar, bytes: '16:29'"),
    ];
    ours(c, "raw", "3 columns", &table("raw", &columns), &payloads);
    bench(c, "raw", "loop", "3 columns", payloads.value_data().len(), || {
        let (mut ids, mut values, mut stations) = (Int64Builder::new(), Float64Builder::new(), StringBuilder::new());
        for row in 0..payloads.len() {
            let record = payloads.value(row);
            ids.append_value(i64::from_be_bytes(record[..8].try_into().unwrap()));
            values.append_value(f64::from_be_bytes(record[8..16].try_into().unwrap()));
            stations.append_value(std::str::from_utf8(&record[16..29]).unwrap());
        }
        (ids.finish(), values.finish(), stations.finish())
    });
}

criterion_group!(benches, avro, protobuf, lines, raw);
criterion_main!(benches);
