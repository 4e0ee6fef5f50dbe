//! Statements over a stream in memory: what is pinned, split, filtered and refused.

mod access;
mod aggregated;
mod cancel;
mod consume;
mod definitions;
mod equivalence;
mod exact_times;
mod explain;
mod fetch_ahead;
mod files;
mod insert;
mod limits;
mod parameters;
mod pruning;
mod scratch;
mod several_rows;
mod system;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use catalog::{DirectoryCatalog, KinesisOverrides};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use futures::TryStreamExt;
use proptest::prelude::*;
use shard_reader::checkpoints::{CheckpointStore, LocalCheckpoints};
use shard_reader::{MemorySource, ReaderConfig, Readers, ShardSource};
use tokio::time::Instant;

use self::files::Rights;
use super::*;

mod follow;

const TABLE: &str = "
table: t
stream: s
columns:
  - { name: n, path: n, type: bigint }
  - { name: word, path: word, type: varchar }
  - { name: secret, path: n, type: bigint, hidden: true }
";

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("World")
    }
}

struct World {
    source: Arc<MemorySource>,
    engine: Arc<Engine>,
    session: Arc<Session>,
    _directory: tempfile::TempDir,
}

#[derive(Debug)]
struct InMemory(Arc<MemorySource>);

#[async_trait]
impl SourceProvider for InMemory {
    async fn source(&self, _: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        let source: Arc<dyn ShardSource> = Arc::<MemorySource>::clone(&self.0);
        Ok(("memory".into(), source))
    }
}

impl World {
    /// The same world with another configuration of its server.
    fn reconfigured(self, config: EngineConfig) -> Self {
        let engine = Engine::new(
            config,
            Arc::clone(self.engine.catalog()),
            Arc::clone(self.engine.readers()),
            Arc::new(InMemory(Arc::clone(&self.source))),
            Arc::clone(self.engine.consumers().store()),
        )
        .unwrap();
        Self { engine, ..self }
    }

    fn new(shards: usize) -> Self {
        Self::over(Arc::new(MemorySource::new(shards)))
    }

    /// A process of its own over a stream.
    fn over(source: Arc<MemorySource>) -> Self {
        Self::configured(source, |config| config)
    }

    /// A world whose readers are configured otherwise.
    fn with_reader(shards: usize, configure: impl FnOnce(ReaderConfig) -> ReaderConfig) -> Self {
        Self::configured(Arc::new(MemorySource::new(shards)), configure)
    }

    fn configured(source: Arc<MemorySource>, configure: impl FnOnce(ReaderConfig) -> ReaderConfig) -> Self {
        Self::made(source, TABLE, configure, DefinitionRules::all(), None)
    }

    /// A process of its own with another table over a stream.
    fn defined(source: Arc<MemorySource>, definition: &str) -> Self {
        Self::made(source, definition, |config| config, DefinitionRules::all(), None)
    }

    /// A world in which statements may do less.
    fn ruled(source: Arc<MemorySource>, rules: DefinitionRules) -> Self {
        Self::made(source, TABLE, |config| config, rules, None)
    }

    /// A process of its own that keeps checkpoints where others do.
    fn with_store(source: Arc<MemorySource>, store: Arc<dyn CheckpointStore>) -> Self {
        Self::made(source, TABLE, |config| config, DefinitionRules::all(), Some(store))
    }

    fn made(
        source: Arc<MemorySource>,
        definition: &str,
        configure: impl FnOnce(ReaderConfig) -> ReaderConfig,
        definitions: DefinitionRules,
        store: Option<Arc<dyn CheckpointStore>>,
    ) -> Self {
        Self::governed(source, definition, configure, definitions, store, Access::everything())
    }

    /// A world of several principals.
    fn governed(
        source: Arc<MemorySource>,
        definition: &str,
        configure: impl FnOnce(ReaderConfig) -> ReaderConfig,
        definitions: DefinitionRules,
        store: Option<Arc<dyn CheckpointStore>>,
        rights: impl Into<Rights>,
    ) -> Self {
        let Rights { access, files } = rights.into();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("table.yaml"), definition).unwrap();
        let catalog = Arc::new(DirectoryCatalog::new(directory.path(), "default"));
        catalog.refresh();
        let readers = Readers::new(configure(ReaderConfig {
            calls_per_second: None,
            bytes_per_second: None,
            background_poll: false,
            page_limit: 16,
            describe_age: Duration::ZERO,
            wall_clock: source.clock(),
            ..ReaderConfig::default()
        }));
        let config = EngineConfig {
            spill_disk: 1 << 20,
            target_partitions: 2,
            definitions,
            access: Arc::new(access),
            files: Arc::new(files),
            ..EngineConfig::new(directory.path().to_path_buf())
        };
        let store = store.unwrap_or_else(|| Arc::new(LocalCheckpoints::open(directory.path().join("checkpoints.redb"))));
        let engine = Engine::new(config, catalog, readers, Arc::new(InMemory(Arc::clone(&source))), store).unwrap();
        let session = Session::new(SessionId("test".into()), Principal::anonymous());
        Self {
            source,
            engine,
            session,
            _directory: directory,
        }
    }

    /// A world with `rows` records spread over its shards.
    fn with_rows(shards: usize, rows: i64) -> Self {
        let world = Self::new(shards);
        let ids = world.source.shard_ids();
        for n in 0..rows {
            let shard = &ids[n as usize % ids.len()];
            world.put(shard, &format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5));
        }
        world
    }

    fn put(&self, shard: &shard_reader::ShardId, record: &str) {
        self.source.put(shard, "key", record.as_bytes()).unwrap();
    }

    async fn plan(&self, sql: &str, per_shard: bool) -> Result<PlannedQuery, EngineError> {
        let request = StatementRequest {
            per_shard,
            ..StatementRequest::new(sql)
        };
        match self.engine.plan(&self.session, request).await? {
            Planned::Query(query) => Ok(query),
            Planned::Done(_) => panic!("{sql} is no query"),
        }
    }

    async fn run(&self, part: QueryPart) -> Result<Vec<RecordBatch>, EngineError> {
        let execution = self.engine.execute(part).await?;
        let schema = Arc::clone(&execution.schema);
        let batches: Vec<RecordBatch> = execution.batches.try_collect().await?;
        assert!(batches.iter().all(|batch| batch.schema() == schema));
        Ok(batches)
    }

    /// All rows as text, sorted, with what a NULL is written as.
    async fn rows(&self, sql: &str) -> Result<Vec<String>, EngineError> {
        let query = self.plan(sql, false).await?;
        let mut rows = Vec::new();
        for part in query.parts {
            rows.extend(texts(&self.run(part).await?));
        }
        rows.sort();
        Ok(rows)
    }
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| cast(column, &DataType::Utf8).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let cell = |column: &Arc<dyn Array>| {
                if column.is_null(row) {
                    "NULL".to_owned()
                } else {
                    column.as_string::<i32>().value(row).to_owned()
                }
            };
            rows.push(columns.iter().map(cell).collect::<Vec<_>>().join("|"));
        }
    }
    rows
}

#[tokio::test]
async fn row_local_statements_have_an_endpoint_a_shard_and_others_one() {
    let world = World::with_rows(3, 100);
    for (sql, parts) in [
        ("select n from t where n % 2 = 0", 3),
        ("select n + 1, word from t", 3),
        ("select x.n from (select n from t where n > 10) x", 3),
        ("select count(*) from t", 1),
        ("select distinct word from t", 1),
        ("select n from t limit 5", 1),
        ("select n from t order by n", 1),
        ("select a.n from t a join t b on a.n = b.n", 1),
        ("select n from t union all select n from t", 1),
        ("select 1", 1),
    ] {
        let query = world.plan(sql, true).await.unwrap();
        assert_eq!(query.parts.len(), parts, "{sql}");
        let mut split = Vec::new();
        for part in query.parts {
            split.extend(texts(&world.run(part).await.unwrap()));
        }
        split.sort();
        if !sql.contains("limit") {
            assert_eq!(split, world.rows(sql).await.unwrap(), "{sql}");
        }
    }
    let pruned = world
        .plan("select n from t where _shard_id = 'shardId-000000000001'", true)
        .await
        .unwrap();
    assert_eq!(pruned.parts.len(), 1);
}

#[tokio::test]
async fn a_part_gives_the_same_rows_whatever_happens_after_it_was_planned() {
    let world = World::with_rows(2, 40);
    let query = world.plan("select n from t", true).await.unwrap();
    let shard = world.source.shard_ids()[0].clone();
    world.put(&shard, "{\"n\":1000}");
    let mut read = Vec::new();
    for part in query.parts.iter().rev().chain(&query.parts) {
        read.extend(texts(&world.run(part.clone()).await.unwrap()));
    }
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for row in read {
        *count.entry(row).or_default() += 1;
    }
    assert_eq!(count.len(), 40);
    assert!(count.values().all(|times| *times == 2));
    assert_eq!(world.rows("select count(*) from t").await.unwrap(), ["41"]);
    world.source.recreate();
    let error = world.run(query.parts[0].clone()).await.expect_err("another incarnation");
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition, "{error}");
}

#[tokio::test]
async fn hidden_columns_are_there_for_who_names_them() {
    let world = World::with_rows(1, 3);
    let names = |query: &PlannedQuery| query.schema.fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    assert_eq!(names(&world.plan("select * from t", false).await.unwrap()), ["n", "word"]);
    assert_eq!(
        names(&world.plan("select *, _shard_id, secret from t", false).await.unwrap()),
        ["n", "word", "_shard_id", "secret"]
    );
    assert_eq!(
        names(&world.plan("select * from t where _message_valid", false).await.unwrap()),
        ["n", "word"]
    );
    assert_eq!(
        world
            .rows("select _segment_count, n, _message_length from t where n > 0")
            .await
            .unwrap(),
        ["2|1|19", "3|2|19"]
    );
    assert_eq!(
        world
            .rows("select count(*) from t where _shard_sequence_id > 0 and _row_id like 'shardId-%'")
            .await
            .unwrap(),
        ["3"]
    );
    let first = world.rows("select sequence_number(min(_shard_sequence_id)) from t").await.unwrap();
    assert_eq!(
        world
            .rows(&format!("select n from t where _shard_sequence_id = '{}'", first[0]))
            .await
            .unwrap(),
        ["0"]
    );
    let all = world
        .plan("/*+ hide_internal_columns='false' */ select * from t", false)
        .await
        .unwrap();
    assert_eq!(all.schema.fields().len(), 2 + HiddenColumn::ALL.len());
}

#[tokio::test]
async fn bad_records_are_nulls_left_out_or_errors() {
    let world = World::with_rows(1, 2);
    let shard = world.source.shard_ids()[0].clone();
    for record in ["no json", "{\"n\":\"many\",\"word\":\"w\"}", "{\"n\":7,\"word\":\"last\"}"] {
        world.put(&shard, record);
    }
    assert_eq!(
        world.rows("select n, word from t").await.unwrap(),
        ["0|w0", "1|w1", "7|last", "NULL|NULL", "NULL|w"]
    );
    assert_eq!(world.rows("select count(*) from t where not _message_valid").await.unwrap(), ["2"]);
    let why = world.rows("select _message_error from t where word = 'w'").await.unwrap();
    assert!(why[0].contains('n') && why[0].contains("many"), "{why:?}");
    // judged on all columns, whatever is selected
    for sql in [
        "select count(*) from t",
        "select count(word) from t",
        "select count(*) from t where word is not null",
    ] {
        assert_eq!(
            world.rows(&format!("/*+ bad_records='skip' */ {sql}")).await.unwrap(),
            ["3"],
            "{sql}"
        );
    }
    let error = world
        .rows("/*+ bad_records='fail' */ select word from t where n = 0")
        .await
        .expect_err("a bad record");
    assert!(matches!(error, EngineError::BadRecord { .. }), "{error}");
}

#[tokio::test]
async fn compressed_records_are_inflated_and_damaged_ones_are_bad_records() {
    let world = World::with_rows(1, 2);
    let shard = world.source.shard_ids()[0].clone();
    // Python: gzip.compress(b'{"n":7,"word":"w7"}', mtime=0); and the same without its last bytes
    let packed = [
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0xca, 0x53, 0xb2, 0x32, 0xd7, 0x51, 0x2a, 0xcf, 0x2f, 0x4a,
        0x51, 0xb2, 0x52, 0x2a, 0x37, 0x57, 0xaa, 0x05, 0x00, 0x8e, 0x59, 0x89, 0x2f, 0x13, 0x00, 0x00, 0x00,
    ];
    world.source.put(&shard, "key", &packed).unwrap();
    world.source.put(&shard, "key", &packed[..packed.len() - 6]).unwrap();
    assert_eq!(world.rows("select * from t").await.unwrap(), ["0|w0", "1|w1", "7|w7", "NULL|NULL"]);
    assert_eq!(
        world
            .rows("select _message_length, _message_error is null from t where n = 7")
            .await
            .unwrap(),
        [format!("{}|true", packed.len())]
    );
    assert_eq!(world.rows("/*+ bad_records='skip' */ select count(*) from t").await.unwrap(), ["3"]);
    let error = world
        .rows("/*+ bad_records='fail' */ select n from t")
        .await
        .expect_err("a damaged record");
    assert!(error.to_string().contains("gzip: damaged: "), "{error}");
}

#[tokio::test]
async fn limits_and_mistakes_are_clear_errors() {
    let world = World::new(1);
    let shard = world.source.shard_ids()[0].clone();
    // A long backlog and a fresh record: the tip is found at once, the backlog is read by the statement.
    world.source.set_retention(Duration::from_secs(30 * 86_400));
    let old = world.source.clock().now_ms() - 10 * 86_400_000;
    for n in 0..200 {
        world
            .source
            .put_as(&shard, Some("key"), Some(old + n), format!("{{\"n\":{n}}}").as_bytes())
            .unwrap();
    }
    world.put(&shard, "{\"n\":200}");
    let error = world.rows("/*+ max_bytes='100' */ select n from t").await.expect_err("too much");
    assert_eq!(error.category(), ErrorCategory::ResourceExhausted, "{error}");
    assert!(error.to_string().contains("max_bytes"), "{error}");
    for (sql, category, text) in [
        ("select * from tt", ErrorCategory::NotFound, "kinesis.default.tt"),
        ("select * from other.default.t", ErrorCategory::NotFound, "other"),
        ("select missing from t", ErrorCategory::InvalidArgument, "missing"),
        ("select n / 0 from t", ErrorCategory::InvalidArgument, "zero"),
        (
            "select * from t natural join t u where _shard_id = ''",
            ErrorCategory::NotSupported,
            "NATURAL",
        ),
    ] {
        let error = world.rows(sql).await.expect_err(sql);
        assert_eq!(error.category(), category, "{sql}: {error}");
        assert!(error.to_string().to_lowercase().contains(&text.to_lowercase()), "{sql}: {error}");
    }
}

#[tokio::test]
async fn references_to_one_stream_see_the_same_rows() {
    let world = World::with_rows(2, 50);
    let shards = world.source.shard_ids();
    let query = world
        .plan(
            "select (select count(*) from t) as whole, count(*) as joined from t a join t b on a.n = b.n",
            false,
        )
        .await
        .unwrap();
    world.put(&shards[0], "{\"n\":50}");
    assert_eq!(texts(&world.run(query.parts[0].clone()).await.unwrap()), ["50|50"]);
}

/// Conditions over data and hidden columns.
fn condition() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        (0_i64..120).prop_map(|n| format!("n < {n}")),
        (0_i64..120).prop_map(|n| format!("n >= {n}")),
        (1_i64..7, 0_i64..7).prop_map(|(m, r)| format!("n % {m} = {r}")),
        (0..6).prop_map(|w| format!("word = 'w{w}'")),
        Just("word is null".to_owned()),
        Just("n is not null".to_owned()),
        (0..4).prop_map(|s| format!("_shard_id = 'shardId-00000000000{s}'")),
        (0..4).prop_map(|s| format!("_shard_id > 'shardId-00000000000{s}'")),
        (1000..1130).prop_map(|s| format!("_shard_sequence_id > '{s}'")),
        (1000..1130).prop_map(|s| format!("_shard_sequence_id <= {s}")),
        (0..40).prop_map(|c| format!("_segment_count > {c}")),
        Just("_message_valid".to_owned()),
        Just("_message_timestamp >= timestamp '2001-01-01'".to_owned()),
    ];
    leaf.prop_recursive(3, 8, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} and {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} or {b})")),
            inner.prop_map(|a| format!("(not {a})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// A limit that is never reached keeps the filter above the scan.
    #[test]
    fn a_filter_in_the_scan_equals_one_above_it(condition in condition()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::with_rows(3, 110);
            let shard = world.source.shard_ids()[1].clone();
            world.put(&shard, "{\"word\":\"w1\"}");
            world.put(&shard, "not json");
            let columns = "n, word, _shard_id, _shard_sequence_id, _segment_count, _message_valid, _message_timestamp";
            let inside = world.rows(&format!("select n, word from t where {condition}")).await.unwrap();
            let above = format!("select n, word from (select {columns} from t limit 1000000) x where {condition}");
            let above = world.rows(&above).await.unwrap();
            assert_eq!(inside, above, "{condition}");
        });
    }
}
