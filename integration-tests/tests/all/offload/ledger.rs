//! A job of its own over a stream of its own, whose records are taken down as the service acknowledged them.

use std::fmt::Write as _;

use aws_sdk_kinesis::types::{Shard, ShardFilter, ShardFilterType};
use integration_tests::backends::{Backend, Running};
use integration_tests::buckets::RunningStorage;
use integration_tests::calls::{Calls, Proxy};
use integration_tests::process::Process;
use integration_tests::server::{command, run_lake_script};
use integration_tests::stand_in::StandIn;
use integration_tests::tables::RunningTables;

use super::*;

/// Services that outlive processes, and what stands before two of them.
pub(super) struct World {
    pub(super) kinesis: Running,
    pub(super) client: aws_sdk_kinesis::Client,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    services: (RunningTables, RunningStorage),
    tables: Proxy,
    storage: Proxy,
    /// Of the process that something happens to.
    pub(super) calls: Arc<Calls>,
    before_tables: Proxy,
    before_storage: Proxy,
}

impl World {
    pub(super) async fn start(stand_in: StandIn) -> Self {
        let kinesis = Backend::Embedded.start().unwrap();
        let services = (stand_in.start_tables().unwrap(), stand_in.start_storage("lake").unwrap());
        let tables = Proxy::in_turn(&services.0.endpoint).await.unwrap();
        let storage = Proxy::in_turn(&services.1.endpoint).await.unwrap();
        let calls: Arc<Calls> = Arc::default();
        Self {
            client: kinesis::client(&kinesis.endpoint),
            before_tables: Proxy::start(&tables.endpoint, &calls).await.unwrap(),
            before_storage: Proxy::start(&storage.endpoint, &calls).await.unwrap(),
            kinesis,
            services,
            tables,
            storage,
            calls,
        }
    }
}

/// What is different between jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// `delta` or `parquet`.
    pub(super) format: &'static str,
    /// The table of checkpoints is there already.
    pub(super) has_table: bool,
}

/// A job, its stream, and what is in that.
pub(super) struct Job<'a> {
    pub(super) world: &'a World,
    shape: Shape,
    name: String,
    directory: PathBuf,
    /// Number, shard and sequence number of each record, one a line.
    ledger: String,
    next: i64,
}

impl<'a> Job<'a> {
    /// With a stream of two shards. Names are unique within a test.
    pub(super) async fn new(world: &'a World, shape: Shape, name: &str) -> Self {
        world.client.create_stream().stream_name(name).shard_count(2).send().await.unwrap();
        kinesis::active(&world.client, name).await.unwrap();
        let directory = scratch_directory(name).unwrap();
        std::fs::create_dir_all(directory.join("tables/offloads")).unwrap();
        let job = Self {
            world,
            shape,
            name: name.to_owned(),
            directory,
            ledger: String::new(),
            next: 0,
        };
        let table = TABLE.replace("stream: numbers", &format!("stream: {name}"));
        std::fs::write(job.directory.join("tables/numbers.yaml"), table).unwrap();
        let definition = format!(
            "offload: {name}\nid: \"0123456789ab\"\ntable_schema: default\ntable: numbers\nformat: {}\nlocation: \"{}\"\npartitioned_by: [part]\n\
             query: \"SELECT n, _shard_id AS shard, _shard_sequence_id AS position, n % 2 AS part FROM numbers\"\nschema: default\n\
             principal: anonymous\noptions: {{ start: trim_horizon, iteration_max: 400B }}\n",
            shape.format,
            job.location()
        );
        std::fs::write(job.directory.join(format!("tables/offloads/{name}.yaml")), definition).unwrap();
        let (tables, storage) = (&world.tables.endpoint, &world.storage.endpoint);
        job.configure("plain", tables, storage);
        job.configure("watched", &world.before_tables.endpoint, &world.before_storage.endpoint);
        job
    }

    fn configure(&self, name: &str, tables: &str, storage: &str) {
        let directory = self.directory.display();
        let table = if self.shape.has_table { "checkpoints" } else { &self.name };
        let text = format!(
            "kinesis: {{ region: us-east-1, endpoint: \"{kinesis}\" }}\ncatalog: {{ path: \"{directory}/tables\" }}\n\
             data_dir: \"{directory}/{name}\"\nallow: {{ write: [\"s3://lake/\"] }}\nlake: {{ endpoint: \"{storage}\", region: us-east-1 }}\n\
             checkpoints: {{ dynamodb: {{ table: {table}, endpoint: \"{tables}\", region: us-east-1 }} }}\n\
             reader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n",
            kinesis = self.world.kinesis.endpoint,
        );
        std::fs::write(self.directory.join(format!("{name}.yaml")), text).unwrap();
    }

    fn location(&self) -> String {
        format!("s3://lake/tables/{}", self.name)
    }

    /// So many further records.
    pub(super) async fn put(&mut self, count: i64) {
        let numbers: Vec<i64> = (self.next..self.next + count).collect();
        let records = numbers.iter().map(|n| {
            let record = PutRecordsRequestEntry::builder()
                .data(Blob::new(format!("{{\"n\":{n}}}")))
                .partition_key(format!("key-{n}"));
            record.build().unwrap()
        });
        let call = self.world.client.put_records().stream_name(&self.name);
        let reply = call.set_records(Some(records.collect())).send().await.unwrap();
        for (n, record) in numbers.iter().zip(reply.records()) {
            // the service has no limits here
            let (shard, position) = (record.shard_id().unwrap(), record.sequence_number().unwrap());
            writeln!(self.ledger, "{n} {shard} {position}").unwrap();
        }
        self.next += count;
    }

    /// Open shards in the order of their keys.
    async fn shards(&self) -> Vec<(Shard, u128, u128)> {
        let filter = ShardFilter::builder().r#type(ShardFilterType::AtLatest).build().unwrap();
        let listed = self.world.client.list_shards().stream_name(&self.name).shard_filter(filter);
        let listed = listed.send().await.unwrap();
        let mut shards: Vec<_> = listed
            .shards()
            .iter()
            .map(|shard| {
                let range = shard.hash_key_range().unwrap();
                let key = |text: &str| text.parse::<u128>().unwrap();
                (shard.clone(), key(range.starting_hash_key()), key(range.ending_hash_key()))
            })
            .collect();
        shards.sort_by_key(|(_, low, _)| *low);
        shards
    }

    pub(super) async fn split(&self) {
        let (shard, low, high) = self.shards().await.remove(0);
        let call = self
            .world
            .client
            .split_shard()
            .stream_name(&self.name)
            .shard_to_split(shard.shard_id());
        call.new_starting_hash_key((low + (high - low) / 2).to_string())
            .send()
            .await
            .unwrap();
        kinesis::active(&self.world.client, &self.name).await.unwrap();
    }

    pub(super) async fn merge(&self) {
        let shards = self.shards().await;
        let [.., (one, _, _), (other, _, _)] = shards.as_slice() else {
            panic!("{shards:?}");
        };
        let call = self
            .world
            .client
            .merge_shards()
            .stream_name(&self.name)
            .shard_to_merge(one.shard_id());
        call.adjacent_shard_to_merge(other.shard_id()).send().await.unwrap();
        kinesis::active(&self.world.client, &self.name).await.unwrap();
    }

    /// `offload run`; watched: its calls go through the proxies.
    pub(super) fn start(&self, watched: bool) -> Process {
        let mut command = command(&["offload", "run", &self.name, "--config"]).unwrap();
        command.arg(self.directory.join(if watched { "watched.yaml" } else { "plain.yaml" }));
        Process::start("shardflight offload run", &command).unwrap()
    }

    /// Runs it to its end, which is a good one.
    pub(super) fn run(&self) {
        succeed(self.start(false));
    }

    /// The table and the ledger have the same rows.
    ///
    /// # Errors
    /// The rows that only one of them has.
    pub(super) fn check(&self) -> Result<(), String> {
        let file = self.directory.join("ledger");
        std::fs::write(&file, &self.ledger).unwrap();
        let (location, file) = (self.location(), file.display().to_string());
        let arguments = [self.shape.format, &location, &self.world.storage.endpoint, &self.name, &file];
        run_lake_script("lake_ledger.py", &arguments).map_err(|error| format!("{error:#}"))
    }
}

/// Waits for the end of a process that has nothing in its way.
pub(super) fn succeed(mut process: Process) -> String {
    let status = tokio::task::block_in_place(|| process.wait(PATIENCE)).unwrap();
    assert!(status.success(), "{status}\n{}", process.output());
    process.output()
}
