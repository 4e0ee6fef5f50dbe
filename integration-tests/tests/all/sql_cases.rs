//! The cases of `integration-tests/sql`, run against the real program: once with one endpoint a statement, once with one a shard.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use aws_sdk_kinesis::primitives::Blob;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use integration_tests::backends::{Backend, Running};
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::server::{self, Server};
use integration_tests::spread::Cluster;
use sqllogictest::{AsyncDB, DBOutput, DefaultColumnType, Runner, strict_column_validator};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sql")
}

/// Streams that hold the cases' records, and their definitions.
struct Streams {
    kinesis: Running,
    directory: PathBuf,
}

/// What is asked.
#[derive(Clone, Copy)]
struct Asked {
    flight: SocketAddr,
    /// One of several nodes: what the cases mark as one process's alone is left out.
    is_node: bool,
    mode: Mode,
}

const PACE: &str = "reader: { calls_per_second: 1000, bytes_per_second: 1GB }\n";

static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let directory = STREAMS.directory.join("alone");
    std::fs::create_dir_all(&directory).unwrap();
    let catalog = format!("path: \"{}\"", STREAMS.directory.join("tables").display());
    Server::with_catalog(&directory, &STREAMS.kinesis.endpoint, &catalog, PACE).unwrap()
});

static STREAMS: LazyLock<Streams> = LazyLock::new(|| {
    let kinesis = Backend::Embedded.start().unwrap();
    let directory = scratch_directory("sql-cases").unwrap();
    let tables = directory.join("tables");
    std::fs::create_dir_all(&tables).unwrap();
    for entry in std::fs::read_dir(cases().join("tables")).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, tables.join(file.file_name().unwrap())).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    // Streams of different numbers of shards: one, some of which stay empty, and none with records.
    for (stream, shards) in [("orders", 2), ("customers", 1), ("trouble", 3), ("vacant", 2), ("wrapped", 1)] {
        runtime.block_on(fill(&kinesis, stream, shards));
    }
    runtime.block_on(fill_packed(&kinesis));
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("../flight-server/demo/nasa_aug01_first20000.log");
    let arguments = [
        "datagen",
        "-f",
        log.to_str().unwrap(),
        "-create",
        "-n",
        "nasahttp",
        "-s",
        "4",
        "-w",
        "1",
        "--verify",
        "--endpoint",
        &kinesis.endpoint,
    ];
    server::run(&arguments, Duration::from_secs(240)).unwrap();
    Streams { kinesis, directory }
});

async fn fill(kinesis: &Running, stream: &str, shards: i32) {
    let client = kinesis::client(&kinesis.endpoint);
    client.create_stream().stream_name(stream).shard_count(shards).send().await.unwrap();
    let records = std::fs::read_to_string(cases().join("records").join(format!("{stream}.ndjson"))).unwrap();
    for (number, line) in records.lines().enumerate() {
        // One by one, so that the order in each shard is the file's.
        let put = client
            .put_record()
            .stream_name(stream)
            .partition_key(format!("{stream}-{number}"))
            .data(Blob::new(line));
        put.send().await.unwrap();
    }
}

async fn fill_packed(kinesis: &Running) {
    let client = kinesis::client(&kinesis.endpoint);
    client.create_stream().stream_name("packed").shard_count(2).send().await.unwrap();
    let records = std::fs::read_to_string(cases().join("records/packed.jsonl")).unwrap();
    for line in records.lines() {
        let record: serde_json::Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| record[name].as_str().unwrap().to_owned();
        let put = client
            .put_record()
            .stream_name("packed")
            .partition_key(text("key"))
            .explicit_hash_key(text("hash"))
            .data(Blob::new(BASE64_STANDARD.decode(text("data")).unwrap()));
        put.send().await.unwrap();
    }
}

#[derive(Debug)]
struct Program(Client);

/// The whole chain of causes, so that `statement error` can look for any of it.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
struct ProgramError(anyhow::Error);

#[async_trait::async_trait]
impl AsyncDB for Program {
    type Error = ProgramError;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, ProgramError> {
        let answer = self.0.query(sql).await.map_err(ProgramError)?;
        if answer.schema.fields().is_empty() {
            return Ok(DBOutput::StatementComplete(0));
        }
        let types = answer.schema.fields().iter().map(|field| column_type(field.data_type())).collect();
        let mut all = Vec::new();
        for batch in &answer.batches {
            all.extend(rows(batch).map_err(|error| ProgramError(error.into()))?);
        }
        Ok(DBOutput::Rows { types, rows: all })
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &str {
        "shardflight"
    }
}

fn column_type(data_type: &DataType) -> DefaultColumnType {
    match data_type {
        DataType::Utf8 => DefaultColumnType::Text,
        integer if integer.is_integer() => DefaultColumnType::Integer,
        float if float.is_floating() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Any,
    }
}

fn rows(batch: &RecordBatch) -> Result<Vec<Vec<String>>, ArrowError> {
    let mut rows = vec![Vec::with_capacity(batch.num_columns()); batch.num_rows()];
    for column in batch.columns() {
        for (row, cells) in rows.iter_mut().enumerate() {
            cells.push(cell(column, row)?);
        }
    }
    Ok(rows)
}

fn cell(column: &ArrayRef, row: usize) -> Result<String, ArrowError> {
    if column.is_null(row) {
        return Ok("NULL".to_owned());
    }
    let text = match column.data_type() {
        // As Python prints them.
        DataType::Float64 => format!("{:?}", column.as_primitive::<Float64Type>().value(row)),
        DataType::Float32 => format!("{:?}", column.as_primitive::<Float32Type>().value(row)),
        _ => ArrayFormatter::try_new(column.as_ref(), &FormatOptions::default())?
            .value(row)
            .try_to_string()?,
    };
    Ok(if text.is_empty() { "(empty)".to_owned() } else { text })
}

fn run_all(asked: Asked, output: impl Fn() -> String) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut files: Vec<_> = std::fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "slt"));
    files.sort();
    assert!(files.len() >= 5, "cases are missing: {files:?}");
    let mut failures = Vec::new();
    let mut cases = 0;
    for file in files {
        // A file is a session of its own; `connection NAME` in it opens further ones.
        let mut runner = Runner::new(move || async move {
            let client = Client::connect(asked.flight, asked.mode).await;
            client.map(Program).map_err(ProgramError)
        });
        if asked.is_node {
            runner.add_label("cluster");
        }
        runner.with_column_validator(strict_column_validator);
        for record in sqllogictest::parse_file::<DefaultColumnType>(&file).unwrap() {
            cases += usize::from(matches!(
                record,
                sqllogictest::Record::Query { .. } | sqllogictest::Record::Statement { .. }
            ));
            if let Err(error) = runtime.block_on(runner.run_async(record)) {
                failures.push(error.display(false).to_string());
            }
        }
    }
    let failed = failures.len();
    assert!(
        failures.is_empty(),
        "{}\n{failed} of {cases} cases fail with {:?}:\n{}",
        output(),
        asked.mode,
        failures.join("\n\n")
    );
    println!("{cases} cases with {:?}", asked.mode);
}

fn run_alone(mode: Mode) {
    let asked = Asked {
        flight: SERVER.flight,
        is_node: false,
        mode,
    };
    run_all(asked, || SERVER.process.output());
}

/// Asks one of several nodes.
fn run_on(nodes: usize) {
    let directory = scratch_directory(&format!("sql-cases-{nodes}")).unwrap();
    let tables = directory.join("tables");
    std::fs::create_dir_all(&tables).unwrap();
    for entry in std::fs::read_dir(STREAMS.directory.join("tables")).unwrap() {
        let file = entry.unwrap().path();
        std::fs::copy(&file, tables.join(file.file_name().unwrap())).unwrap();
    }
    let cluster = Cluster::start(nodes, &directory, &STREAMS.kinesis.endpoint, PACE).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // which node owns which shard is chance, as ports are; that 14 shards leave more than one node of four without any is too unlikely to happen
    let all = ["nasahttp", "orders", "customers", "trouble", "vacant", "packed"].map(|table| format!("select count(*) from {table}"));
    let all = all.join(" union all ");
    let plan = runtime.block_on(cluster.wait_until_spread(0, &all, nodes.min(3))).unwrap();
    assert!(plan.contains("NetworkCoalesceExec"), "{plan}");
    let asked = Asked {
        flight: cluster.nodes[0].flight,
        is_node: true,
        mode: Mode::Single,
    };
    run_all(asked, || cluster.nodes.iter().map(|node| node.process.output()).collect());
}

#[test]
fn with_one_endpoint_a_statement() {
    run_alone(Mode::Single);
}

#[test]
fn with_one_endpoint_a_shard() {
    run_alone(Mode::PerShard);
}

#[test]
fn on_two_nodes() {
    run_on(2);
}

#[test]
fn on_four_nodes() {
    run_on(4);
}
