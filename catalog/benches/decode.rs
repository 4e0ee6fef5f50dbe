//! The decoder against bare arrow-json on the same bytes and columns: the demo's table over its NASA log as JSON records.

#![expect(clippy::unwrap_used, reason = "a benchmark stops at what it cannot read")]

use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow::json::ReaderBuilder;
use catalog::{Decoder, TableDefinition};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// Lines of the common log format as the demo's records; the log is Latin-1.
fn records() -> BinaryArray {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flight-server/demo/nasa_aug01_first20000.log");
    let log = std::fs::read(path).unwrap();
    let records: Vec<String> = log
        .split(|byte| *byte == b'\n')
        .filter_map(|line| {
            let line: String = line.iter().map(|byte| char::from(*byte)).collect();
            let (host, rest) = line.split_once(" - - [")?;
            let (timestamp, rest) = rest.split_once("] \"")?;
            let (request, numbers) = rest.rsplit_once("\" ")?;
            let (code, bytes) = numbers.split_once(' ')?;
            let (code, bytes): (i64, i64) = (code.parse().ok()?, bytes.trim().parse().unwrap_or(0));
            Some(serde_json::json!({"host": host, "timestamp": timestamp, "request": request, "code": code, "bytes": bytes}).to_string())
        })
        .collect();
    assert_eq!(records.len(), 20_000);
    records.iter().map(|record| Some(record.as_bytes())).collect()
}

fn decode(c: &mut Criterion) {
    let payloads = records();
    let definition = TableDefinition::from_yaml(include_str!("../tests/data/nasahttp.yaml")).unwrap();
    let mut group = c.benchmark_group("decode");
    group.throughput(Throughput::Bytes(payloads.value_data().len() as u64));
    let cases: [(&str, &[usize]); 4] = [("all", &[0, 1, 2, 3, 4]), ("host,bytes", &[0, 4]), ("at", &[1]), ("none", &[])];
    for (name, columns) in cases {
        let mut decoder = Decoder::new(&definition, columns).unwrap();
        group.bench_function(BenchmarkId::new("ours", name), |b| {
            b.iter(|| {
                let decoded = decoder.decode(&payloads).unwrap();
                assert!(decoded.bad.is_empty());
                decoded
            });
        });
        // A patterned timestamp is text for arrow-json.
        let fields: Vec<Field> = columns
            .iter()
            .map(|index| &definition.columns[*index])
            .map(|column| match column.format {
                Some(_) => Field::new(&column.path[0], DataType::Utf8, true),
                None => Field::new(&column.path[0], column.column_type.data_type(), true),
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        for batch_size in [1024, 8192] {
            let mut decoder = ReaderBuilder::new(Arc::clone(&schema))
                .with_batch_size(batch_size)
                .with_coerce_primitive(true)
                .build_decoder()
                .unwrap();
            group.bench_function(BenchmarkId::new(format!("arrow-json/{batch_size}"), name), |b| {
                b.iter(|| {
                    let mut batches = Vec::new();
                    for row in 0..payloads.len() {
                        decoder.decode(payloads.value(row)).unwrap();
                        if decoder.len() == batch_size {
                            batches.extend(decoder.flush().unwrap());
                        }
                    }
                    batches.extend(decoder.flush().unwrap());
                    batches
                });
            });
        }
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
