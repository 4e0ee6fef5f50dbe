//! What others find in a table.

use std::sync::Arc;
use std::time::Duration;

use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use integration_tests::environment::scratch_directory;
use integration_tests::server::run_lake_script;
use integration_tests::stand_in::StandIn;
use lake::{LakeFormat, LakeSpec, LakeTable, Mark};
use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use shard_reader::checkpoints::{Ends, IterationNumber};

use super::rows::{batch, schema};

const FORMATS: [LakeFormat; 3] = [LakeFormat::Delta, LakeFormat::Parquet, LakeFormat::Orc];
/// Rows of an iteration; the script reckons with as many.
const ROWS: i64 = 500;

/// Where tables are: a store, and how others are told of it.
struct Place {
    store: Arc<dyn ObjectStore>,
    /// URL, without the table's name.
    url: String,
    /// Empty for a directory.
    endpoint: String,
}

impl Place {
    fn table(&self, format: LakeFormat, late: bool) -> Arc<dyn LakeTable> {
        let name = name(format);
        let spec = LakeSpec {
            location: format!("{}/{name}", self.url),
            format,
            schema: schema(format != LakeFormat::Orc, late),
            partitioned_by: vec!["day".into()],
            job: "nightly".parse().unwrap(),
            target_file_bytes: 1 << 20,
        };
        lake::open(&spec, Arc::clone(&self.store), Path::from(name)).unwrap()
    }

    async fn offload(&self, format: LakeFormat, iteration: u64, late: bool) {
        let table = self.table(format, late);
        let first = i64::try_from(iteration).unwrap() * ROWS;
        let rows = batch(first..first + ROWS, format != LakeFormat::Orc, late);
        let rows = RecordBatchStreamAdapter::new(rows.schema(), futures::stream::iter([Ok(rows)]));
        let files = table.write(IterationNumber(iteration), Box::pin(rows)).await.unwrap();
        let mark = Mark {
            iteration: IterationNumber(iteration),
            stream: "arn:aws:kinesis:us-east-1:000000000000:stream/log".into(),
            created_ms: None,
            ends: Ends::default(),
        };
        assert!(!table.publish(&mark, &files).await.unwrap().already);
    }
}

fn name(format: LakeFormat) -> &'static str {
    match format {
        LakeFormat::Delta => "delta",
        LakeFormat::Parquet => "parquet",
        LakeFormat::Orc => "orc",
    }
}

/// Three iterations, a column that comes with the third, and files that were put together after the second; others read the same after each step.
async fn others_read_the_same(place: &Place) {
    for format in FORMATS {
        for (iteration, late) in [(0, false), (1, false), (2, true)] {
            place.offload(format, iteration, late).await;
            let rows = ((iteration + 1) * ROWS as u64).to_string();
            run_lake_script("lake_readers.py", &[name(format), &place.url, &place.endpoint, &rows]).unwrap();
            if iteration == 1 {
                let table = place.table(format, late);
                let compacted = table.compact().await.unwrap();
                assert_eq!((compacted.removed, compacted.added), (10, 5), "{format:?}");
                run_lake_script("lake_readers.py", &[name(format), &place.url, &place.endpoint, &rows]).unwrap();
                table.clean(IterationNumber(2), Duration::ZERO).await.unwrap();
                run_lake_script("lake_readers.py", &[name(format), &place.url, &place.endpoint, &rows]).unwrap();
            }
        }
    }
    // Somebody else appends to the Delta table and cleans it, and the job goes on.
    run_lake_script("lake_writers.py", &[&place.url, &place.endpoint]).unwrap();
    let table = place.table(LakeFormat::Delta, true);
    assert_eq!(table.published().await.unwrap().unwrap().mark.iteration, IterationNumber(2));
    place.offload(LakeFormat::Delta, 3, true).await;
    let rows = (4 * ROWS).to_string();
    run_lake_script("lake_readers.py", &["delta", &place.url, &place.endpoint, &rows]).unwrap();
}

async fn in_object_storage(service: StandIn) {
    let storage = service.start_storage("lake").unwrap();
    let store = AmazonS3Builder::new()
        .with_bucket_name("lake")
        .with_region("us-east-1")
        .with_endpoint(&storage.endpoint)
        .with_allow_http(true)
        .with_access_key_id("test")
        .with_secret_access_key("test")
        .build()
        .unwrap();
    let prefix = Path::from("of/all-tables");
    let place = Place {
        store: Arc::new(object_store::prefix::PrefixStore::new(store, prefix)),
        url: "s3://lake/of/all-tables".into(),
        endpoint: storage.endpoint.clone(),
    };
    others_read_the_same(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_read_what_lies_in_a_directory() {
    let directory = scratch_directory("lake").unwrap();
    let place = Place {
        store: Arc::new(LocalFileSystem::new_with_prefix(&directory).unwrap()),
        url: format!("file://{}", directory.display()),
        endpoint: String::new(),
    };
    others_read_the_same(&place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_read_what_lies_in_moto() {
    in_object_storage(StandIn::Moto).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_read_what_lies_in_ministack() {
    in_object_storage(StandIn::Ministack).await;
}
