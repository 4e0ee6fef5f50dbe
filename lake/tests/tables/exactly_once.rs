//! Whatever call a process dies at: every row is in the table once.

use std::sync::Arc;
use std::time::Duration;

use lake::{LakeError, LakeFormat, LakeTable};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use shard_reader::checkpoints::IterationNumber;

use crate::faulty::{Death, Faulty};
use crate::rows::{batch, ids, mark, offload, open, schema, stream};

const FORMATS: [LakeFormat; 3] = [LakeFormat::Delta, LakeFormat::Parquet, LakeFormat::Orc];
/// Iterations that a job works off, ten rows each.
const ITERATIONS: u64 = 3;

/// What a job does from its start until it is caught up: it goes on after what is published.
async fn job(table: &dyn LakeTable) -> Result<(), LakeError> {
    loop {
        let next = table.published().await?.map_or(0, |published| published.mark.iteration.0 + 1);
        if next >= ITERATIONS {
            table.compact().await?;
            table.clean(IterationNumber(next), Duration::from_hours(1)).await?;
            return Ok(());
        }
        offload(table, next, rows_of(next)).await?;
    }
}

fn rows_of(iteration: u64) -> std::ops::Range<i64> {
    let first = i64::try_from(iteration).unwrap() * 10;
    first..first + 10
}

async fn all_rows_once(store: &Arc<dyn ObjectStore>, format: LakeFormat, when: &str) {
    let table = open(format, store);
    job(table.as_ref()).await.unwrap_or_else(|error| panic!("{when}: {error}"));
    assert_eq!(ids(table.as_ref()).await, (0..30).collect::<Vec<_>>(), "{when}");
    assert_eq!(table.published().await.unwrap().unwrap().mark, mark(ITERATIONS - 1), "{when}");
}

async fn deaths(format: LakeFormat, death: Death) {
    let calls = {
        let healthy = Faulty::new(&(Arc::new(InMemory::new()) as Arc<dyn ObjectStore>), usize::MAX, death);
        let store: Arc<dyn ObjectStore> = Arc::new(healthy.clone());
        job(open(format, &store).as_ref()).await.unwrap();
        healthy.calls()
    };
    assert!(calls > 20, "{calls} calls");
    for at in 0..calls {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let dying: Arc<dyn ObjectStore> = Arc::new(Faulty::new(&store, at, death));
        let when = format!("{format:?}, {death:?} call {at} of {calls}");
        match job(open(format, &dying).as_ref()).await {
            Ok(()) => {}
            Err(error) => {
                assert_ne!(death, Death::Busy, "{when}: {error}");
                assert!(error.kind.is_retriable(), "{when}: {error}");
            }
        }
        all_rows_once(&store, format, &when).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_when_a_process_dies() {
    deaths(LakeFormat::Delta, Death::Before).await;
    deaths(LakeFormat::Delta, Death::After).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delta_when_a_reply_is_lost() {
    deaths(LakeFormat::Delta, Death::LostReply).await;
}

/// S3 answers 409 while another call for the same name is under way, and the file may be there after it or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_name_is_tried_again() {
    for format in FORMATS {
        deaths(format, Death::Busy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_files_when_a_process_dies() {
    for format in [LakeFormat::Parquet, LakeFormat::Orc] {
        deaths(format, Death::Before).await;
        deaths(format, Death::After).await;
        deaths(format, Death::LostReply).await;
    }
}

/// Two processes take themselves for the owner of a job, each starting from what it sees.
#[tokio::test(flavor = "multi_thread")]
async fn two_owners_at_once() {
    for format in FORMATS {
        for round in 0..10 {
            let directory = tempfile::tempdir().unwrap();
            let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(directory.path()).unwrap());
            let owners: Vec<_> = (0..3).map(|_| open(format, &store)).collect();
            let ends = futures::future::join_all(owners.iter().map(|owner| job(owner.as_ref()))).await;
            for end in ends {
                if let Err(error) = end {
                    assert!(error.kind.is_retriable(), "{format:?}, round {round}: {error}");
                }
            }
            all_rows_once(&store, format, &format!("{format:?}, round {round}")).await;
        }
    }
}

/// An attempt that is made again with its rows in another order: no file of the first is changed, and whichever is published is whole.
#[tokio::test(flavor = "multi_thread")]
async fn files_are_never_overwritten() {
    for format in FORMATS {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table = open(format, &store);
        let first = table
            .write(IterationNumber(0), stream(vec![batch(0..50), batch(50..60)], schema()))
            .await
            .unwrap();
        let same = table.write(IterationNumber(0), stream(vec![batch(0..60)], schema())).await.unwrap();
        assert_eq!(first, same, "{format:?}: where batches end makes no difference");
        let other = table
            .write(IterationNumber(0), stream(vec![batch(30..60), batch(0..30)], schema()))
            .await
            .unwrap();
        let names = |files: &[lake::WrittenFile]| files.iter().map(|file| file.path.clone()).collect::<Vec<_>>();
        assert!(names(&other).iter().all(|name| !names(&first).contains(name)), "{format:?}");
        table.publish(&mark(0), &first).await.unwrap();
        assert_eq!(ids(table.as_ref()).await, (0..60).collect::<Vec<_>>(), "{format:?}");

        let cleaned = table.clean(IterationNumber(1), Duration::ZERO).await.unwrap();
        assert_eq!(cleaned.files, other.len() as u64, "{format:?}");
        assert_eq!(ids(table.as_ref()).await, (0..60).collect::<Vec<_>>(), "{format:?}");
    }
}
