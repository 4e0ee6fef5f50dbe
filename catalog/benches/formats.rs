//! Decoders against the bare arrow crates, on the same bytes, for the same columns: CSV, NDJSON, nested JSON, envelopes of CloudWatch Logs.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot read")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use base64::Engine;
use catalog::{Decoder, TableDefinition};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

fn data(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/formats").join(name)).unwrap()
}

fn encoded(name: &str) -> Vec<Vec<u8>> {
    data(name)
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| base64::engine::general_purpose::STANDARD.decode(line).unwrap())
        .collect()
}

fn table(format: &str, columns: &str) -> Arc<TableDefinition> {
    TableDefinition::from_yaml(&format!(
        "table: t\nstream: s\nformat: {format}\ncompression: none\ncolumns:\n{columns}"
    ))
    .unwrap()
}

fn ours(c: &mut Criterion, group: &str, name: &str, table: &Arc<TableDefinition>, payloads: &BinaryArray) {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let mut decoder = Decoder::new(table, &all).unwrap();
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes(payloads.value_data().len() as u64));
    group.bench_function(BenchmarkId::new("ours", name), |b| {
        b.iter(|| {
            let decoded = decoder.decode(payloads).unwrap();
            assert!(decoded.bad.is_empty());
            decoded
        });
    });
    group.finish();
}

fn arrow_json(c: &mut Criterion, group: &str, name: &str, schema: &SchemaRef, payloads: &BinaryArray) {
    let mut decoder = arrow::json::ReaderBuilder::new(Arc::clone(schema))
        .with_batch_size(8192)
        .with_coerce_primitive(true)
        .build_decoder()
        .unwrap();
    let mut group = c.benchmark_group(group);
    group.throughput(Throughput::Bytes(payloads.value_data().len() as u64));
    group.bench_function(BenchmarkId::new("arrow-json", name), |b| {
        b.iter(|| {
            let mut batches = Vec::new();
            for row in 0..payloads.len() {
                let mut rest = payloads.value(row);
                while !rest.is_empty() {
                    let read = decoder.decode(rest).unwrap();
                    rest = &rest[read..];
                    if !rest.is_empty() {
                        batches.extend(decoder.flush().unwrap());
                    }
                }
            }
            batches.extend(decoder.flush().unwrap());
            batches
        });
    });
    group.finish();
}

fn csv(c: &mut Criterion) {
    let lines: Vec<Vec<u8>> = encoded("taxis/records.base64")[..5]
        .iter()
        .flat_map(|record| {
            record
                .split_inclusive(|byte| *byte == b'\n')
                .skip(1)
                .map(<[u8]>::to_vec)
                .collect::<Vec<_>>()
        })
        .collect();
    let lines: Vec<Vec<u8>> = lines.iter().cycle().take(20_000).cloned().collect();
    let one_each = BinaryArray::from_iter_values(&lines);
    let hundred_each = BinaryArray::from_iter_values(lines.chunks(100).map(<[Vec<u8>]>::concat));
    let columns = "  - { name: pickup, index: 0, type: timestamp(s) }\n  - { name: passengers, index: 2, type: bigint }\n  \
                   - { name: distance, index: 3, type: double }\n  - { name: fare, index: 4, type: double }\n  - { name: payment, index: 9, type: varchar }\n  \
                   - { name: zone, index: 10, type: varchar }\n";
    let table = table("csv", columns);
    ours(c, "csv", "a line a record", &table, &one_each);
    ours(c, "csv", "100 lines a record", &table, &hundred_each);
    let types = [
        (0, DataType::Timestamp(TimeUnit::Second, None)),
        (2, DataType::Int64),
        (3, DataType::Float64),
        (4, DataType::Float64),
    ];
    let fields: Vec<Field> = (0..14)
        .map(|index| {
            let found = types.iter().find(|(place, _)| *place == index);
            Field::new(
                format!("c{index}"),
                found.map_or(DataType::Utf8, |(_, data_type)| data_type.clone()),
                true,
            )
        })
        .collect();
    let schema = Arc::new(Schema::new(fields));
    for (name, payloads) in [("a line a record", &one_each), ("100 lines a record", &hundred_each)] {
        let mut decoder = arrow::csv::ReaderBuilder::new(Arc::clone(&schema))
            .with_batch_size(8192)
            .with_projection(vec![0, 2, 3, 4, 9, 10])
            .build_decoder();
        let mut group = c.benchmark_group("csv");
        group.throughput(Throughput::Bytes(payloads.value_data().len() as u64));
        group.bench_function(BenchmarkId::new("arrow-csv", name), |b| {
            b.iter(|| {
                let mut batches = Vec::new();
                for row in 0..payloads.len() {
                    let mut rest = payloads.value(row);
                    while !rest.is_empty() {
                        let read = decoder.decode(rest).unwrap();
                        rest = &rest[read..];
                        if read == 0 {
                            batches.extend(decoder.flush().unwrap());
                        }
                    }
                }
                batches.extend(decoder.flush().unwrap());
                batches
            });
        });
        group.finish();
    }
}

fn ndjson(c: &mut Criterion) {
    let lines: Vec<Vec<u8>> = encoded("several_values/records.base64")
        .iter()
        .flat_map(|record| {
            let text = String::from_utf8(record.clone()).unwrap();
            serde_json::Deserializer::from_str(&text)
                .into_iter::<serde_json::Value>()
                .map(|value| format!("{}\n", value.unwrap()).into_bytes())
                .collect::<Vec<_>>()
        })
        .collect();
    let lines: Vec<Vec<u8>> = lines.iter().cycle().take(20_000).cloned().collect();
    let payloads = BinaryArray::from_iter_values(lines.chunks(100).map(<[Vec<u8>]>::concat));
    let columns = "  - { name: sceneID, type: bigint }\n  - { name: quantity, type: bigint }\n  - { name: beverage, type: varchar }\n  - { name: entityID, type: varchar }\n";
    for format in ["ndjson", "{ json: { rows: values } }"] {
        ours(c, "ndjson", format, &table(format, columns), &payloads);
    }
    let schema = Arc::new(Schema::new(vec![
        Field::new("sceneID", DataType::Int64, true),
        Field::new("quantity", DataType::Int64, true),
        Field::new("beverage", DataType::Utf8, true),
        Field::new("entityID", DataType::Utf8, true),
    ]));
    arrow_json(c, "ndjson", "ndjson", &schema, &payloads);
}

fn nested(c: &mut Criterion) {
    let text = data("github_events/records.ndjson");
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
    let payloads = BinaryArray::from_iter_values(lines.iter().cycle().take(5_000));
    let columns = "  - { name: id, type: bigint }\n  - { name: type, type: varchar }\n  - { name: actor, type: 'row<id bigint, login varchar>' }\n  \
                   - { name: commits, path: payload/commits, type: 'array<row<sha varchar, distinct boolean>>' }\n";
    ours(c, "nested json", "github", &table("json", columns), &payloads);
    let row = |fields: Vec<Field>| DataType::Struct(fields.into());
    let commit = row(vec![
        Field::new("sha", DataType::Utf8, true),
        Field::new("distinct", DataType::Boolean, true),
    ]);
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("type", DataType::Utf8, true),
        Field::new(
            "actor",
            row(vec![
                Field::new("id", DataType::Int64, true),
                Field::new("login", DataType::Utf8, true),
            ]),
            true,
        ),
        Field::new(
            "payload",
            row(vec![Field::new_list("commits", Field::new("item", commit, true), true)]),
            true,
        ),
    ]));
    arrow_json(c, "nested json", "github", &schema, &payloads);
}

fn envelopes(c: &mut Criterion) {
    let event = |index: usize| serde_json::json!({"id": format!("{index:056}"), "timestamp": 1_668_093_027_015_usize + index, "message": format!("START RequestId: 06e46194-f277-454e-88d3-{index} Version: $LATEST\n")});
    let records: Vec<String> = (0..200)
        .map(|record| {
            let events: Vec<serde_json::Value> = (0..100).map(|index| event(record * 100 + index)).collect();
            serde_json::json!({"messageType": "DATA_MESSAGE", "owner": "123456789123", "logGroup": "/aws/lambda/group", "logStream": "2022/11/10/[$LATEST]26b6a45d574f442ea28438923cbf7bf7",
                "subscriptionFilters": ["filter"], "logEvents": events})
            .to_string()
        })
        .collect();
    let payloads = BinaryArray::from_iter_values(records.iter().map(String::as_bytes));
    let columns = "  - { name: logGroup, type: varchar }\n  - { name: logStream, type: varchar }\n  - { name: id, type: varchar }\n  - { name: timestamp, type: bigint }\n  - { name: message, type: varchar }\n";
    ours(
        c,
        "cloudwatch_logs",
        "100 events a record",
        &table("cloudwatch_logs", columns),
        &payloads,
    );
    // arrow-json gives lists; unnesting them, with arrow's own kernels, is part of what is compared.
    let event = DataType::Struct(
        vec![
            Field::new("id", DataType::Utf8, true),
            Field::new("timestamp", DataType::Int64, true),
            Field::new("message", DataType::Utf8, true),
        ]
        .into(),
    );
    let schema = Arc::new(Schema::new(vec![
        Field::new("logGroup", DataType::Utf8, true),
        Field::new("logStream", DataType::Utf8, true),
        Field::new_list("logEvents", Field::new("item", event, true), true),
    ]));
    arrow_json(c, "cloudwatch_logs", "100 events a record", &schema, &payloads);
    let mut decoder = arrow::json::ReaderBuilder::new(schema)
        .with_batch_size(8192)
        .with_coerce_primitive(true)
        .build_decoder()
        .unwrap();
    c.benchmark_group("cloudwatch_logs")
        .throughput(Throughput::Bytes(payloads.value_data().len() as u64))
        .bench_function(BenchmarkId::new("arrow-json, unnested", "100 events a record"), |b| {
            b.iter(|| {
                for row in 0..payloads.len() {
                    assert_eq!(decoder.decode(payloads.value(row)).unwrap(), payloads.value(row).len());
                }
                unnested(&decoder.flush().unwrap().unwrap())
            });
        });
}

/// The columns of events, those of the envelope repeated.
fn unnested(batch: &RecordBatch) -> Vec<ArrayRef> {
    let lists = batch.column(2).as_list::<i32>();
    let envelopes: UInt32Array = (0_u32..)
        .zip(lists.offsets().lengths())
        .flat_map(|(row, count)| std::iter::repeat_n(row, count))
        .collect();
    let repeated = batch.columns()[..2].iter().map(|column| take(column, &envelopes, None).unwrap());
    repeated.chain(lists.values().as_struct().columns().iter().cloned()).collect()
}

criterion_group!(benches, csv, ndjson, nested, envelopes);
criterion_main!(benches);
