//! A server, a stream service, and streams of numbered records.

use std::path::{Path, PathBuf};
use std::time::Duration;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use arrow_flight::error::FlightError;
use aws_sdk_kinesis::Client as Kinesis;
use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::PutRecordsRequestEntry;
use integration_tests::environment::scratch_directory;
use integration_tests::flight::{Client, Mode};
use integration_tests::kinesis;
use integration_tests::server::Server;
use tonic::Code;

/// Longer than any statement here may take, faults included; beyond it the program hangs.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(90);

/// A statement is tried this often where the program says that it can be tried again.
const TRIES: usize = 4;

fn is_unavailable(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(FlightError::Tonic(status)) if status.code() == Code::Unavailable)
}

/// The server reads from `endpoint`; records go to `direct`.
pub(crate) struct Stage {
    pub(crate) kinesis: Kinesis,
    pub(crate) server: Server,
    directory: PathBuf,
    endpoint: String,
}

const PACE: &str = "reader: { calls_per_second: 1000, bytes_per_second: 1GB }\n";

impl Stage {
    /// Every table is `NAME(id bigint, note varchar)` over the stream of that name.
    pub(crate) fn new(name: &str, direct: &str, endpoint: &str, tables: &[&str]) -> Self {
        let directory: PathBuf = scratch_directory(name).unwrap();
        for table in tables {
            Self::define(&directory, table);
        }
        Self {
            kinesis: kinesis::client(direct),
            server: Server::start(&directory, endpoint, PACE).unwrap(),
            directory,
            endpoint: endpoint.to_owned(),
        }
    }

    /// Another server in the place of this one, which is gone.
    pub(crate) fn restart(&mut self) {
        self.server.process.signal("KILL").unwrap();
        self.server.process.wait(STATEMENT_TIMEOUT).unwrap();
        self.server = Server::start(&self.directory, &self.endpoint, PACE).unwrap();
    }

    /// A table of a server that runs in this directory.
    pub(crate) fn define(directory: &Path, table: &str) {
        std::fs::create_dir_all(directory.join("tables")).unwrap();
        let definition = format!(
            "table: {table}\nstream: {table}\nformat: json\ncolumns:\n  - {{ name: id, path: id, type: bigint }}\n  \
             - {{ name: note, path: note, type: varchar }}\n"
        );
        std::fs::write(directory.join("tables").join(format!("{table}.yaml")), definition).unwrap();
    }

    pub(crate) async fn create(&self, stream: &str, shards: i32) {
        create(&self.kinesis, stream, shards).await;
    }

    pub(crate) async fn client(&self, mode: Mode) -> Client {
        Client::connect(self.server.flight, mode).await.unwrap()
    }

    /// All columns of a statement, which must be bigint, as rows.
    pub(crate) async fn numbers(&self, client: &mut Client, sql: &str) -> Vec<Vec<i64>> {
        numbers(&self.server, client, sql).await
    }

    /// The table must hold the numbers below `count`, each once.
    pub(crate) async fn assert_exactly(&self, client: &mut Client, table: &str, count: i64) {
        let mut ids: Vec<i64> = self
            .numbers(client, &format!("select id from {table}"))
            .await
            .into_iter()
            .flatten()
            .collect();
        ids.sort_unstable();
        let doubled: Vec<_> = ids
            .windows(2)
            .filter(|pair| pair[0] == pair[1])
            .map(|pair| pair[0])
            .take(10)
            .collect();
        assert!(doubled.is_empty(), "{table}: {doubled:?} and maybe more come twice");
        let lost: Vec<_> = (0..count).filter(|id| ids.binary_search(id).is_err()).take(10).collect();
        assert!(lost.is_empty(), "{table}: {lost:?} and maybe more are lost, of {count}");
        assert_eq!(ids.len() as i64, count, "{table}: more than was put");
    }
}

/// All columns of a statement, which must be bigint, as rows.
pub(crate) async fn numbers(server: &Server, client: &mut Client, sql: &str) -> Vec<Vec<i64>> {
    let mut tries = 0;
    let answer = loop {
        tries += 1;
        match tokio::time::timeout(STATEMENT_TIMEOUT, client.query(sql)).await {
            Ok(Ok(answer)) => break answer,
            // A statement may say that Kinesis holds it up, and that it can be tried again; it may not answer wrongly.
            Ok(Err(error)) if is_unavailable(&error) && tries < TRIES => println!("{sql}: {error:#}"),
            Ok(Err(error)) => panic!("{sql}, try {tries}: {error:#}\n{}", server.process.output()),
            Err(_) => panic!("{sql}: no answer within {STATEMENT_TIMEOUT:?}\n{}", server.process.output()),
        }
    };
    let mut rows = Vec::new();
    for batch in &answer.batches {
        for row in 0..batch.num_rows() {
            rows.push(
                batch
                    .columns()
                    .iter()
                    .map(|column| column.as_primitive::<Int64Type>().value(row))
                    .collect(),
            );
        }
    }
    rows
}

/// Makes a stream.
pub(crate) async fn create(kinesis: &Kinesis, stream: &str, shards: i32) {
    kinesis
        .create_stream()
        .stream_name(stream)
        .shard_count(shards)
        .send()
        .await
        .unwrap();
    while kinesis.list_shards().stream_name(stream).send().await.unwrap().shards().len() < shards as usize {
        tokio::task::yield_now().await;
    }
}

/// Puts the records of a range of numbers in batches; a throttled entry is put again. `acknowledged` is told after every batch.
pub(crate) async fn put(kinesis: &Kinesis, stream: &str, ids: std::ops::Range<i64>, acknowledged: impl FnMut(i64)) {
    put_sized(kinesis, stream, ids, 60, acknowledged).await;
}

/// The same with notes of so many bytes.
pub(crate) async fn put_sized(kinesis: &Kinesis, stream: &str, ids: std::ops::Range<i64>, bytes: usize, mut acknowledged: impl FnMut(i64)) {
    let filler = "x".repeat(bytes);
    let ids: Vec<i64> = ids.collect();
    // a call takes 500 records and 5 MiB
    for batch in ids.chunks((4_000_000 / (bytes + 50)).clamp(1, 500)) {
        let mut open: Vec<PutRecordsRequestEntry> = batch
            .iter()
            .map(|id| {
                let data = format!(r#"{{"id": {id}, "note": "{filler}"}}"#);
                PutRecordsRequestEntry::builder()
                    .partition_key(format!("key-{id}"))
                    .data(Blob::new(data))
                    .build()
                    .unwrap()
            })
            .collect();
        while !open.is_empty() {
            let answer = kinesis
                .put_records()
                .stream_name(stream)
                .set_records(Some(open.clone()))
                .send()
                .await
                .unwrap();
            let mut results = answer.records().iter();
            open.retain(|_| results.next().unwrap().error_code().is_some());
        }
        acknowledged(batch.len() as i64);
    }
}
