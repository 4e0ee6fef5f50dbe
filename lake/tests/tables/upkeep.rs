//! Compaction and cleaning, with others at work.

use std::sync::Arc;
use std::time::Duration;

use lake::LakeFormat;
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use shard_reader::checkpoints::IterationNumber;

use crate::rows::{batch, ids, ids_of, mark, offload, open, schema, stream};

const FORMATS: [LakeFormat; 3] = [LakeFormat::Delta, LakeFormat::Parquet, LakeFormat::Orc];

#[tokio::test(flavor = "multi_thread")]
async fn small_files_are_put_together() {
    for format in FORMATS {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table = open(format, &store);
        for iteration in 0..5 {
            let first = i64::try_from(iteration).unwrap() * 20;
            offload(table.as_ref(), iteration, first..first + 20).await.unwrap();
        }
        let before = table.snapshot(None).await.unwrap();
        assert_eq!(before.files, 15, "{format:?}");
        let compacted = table.compact().await.unwrap();
        assert_eq!((compacted.removed, compacted.added), (15, 3), "{format:?}");
        let after = table.snapshot(None).await.unwrap();
        assert_eq!(after.files, 3, "{format:?}");
        assert_eq!(after.mark, Some(mark(4)), "{format:?}");
        assert_eq!(ids_of(&after).await, (0..100).collect::<Vec<_>>(), "{format:?}");
        assert_eq!(
            ids_of(&before).await,
            (0..100).collect::<Vec<_>>(),
            "{format:?}: the files are there still"
        );

        let kept = table.clean(IterationNumber(5), Duration::from_hours(1)).await.unwrap();
        assert_eq!(kept.files, 0, "{format:?}: snapshots of the last hour read them");
        let cleaned = table.clean(IterationNumber(5), Duration::ZERO).await.unwrap();
        assert_eq!(cleaned.files, 15, "{format:?}");
        assert_eq!(ids(table.as_ref()).await, (0..100).collect::<Vec<_>>(), "{format:?}");
        assert_eq!(table.compact().await.unwrap().added, 0, "{format:?}: nothing is left to do");
        offload(table.as_ref(), 5, 100..110).await.unwrap();
        assert_eq!(ids(table.as_ref()).await, (0..110).collect::<Vec<_>>(), "{format:?}");
    }
}

/// A writer has written files and not published them: they are there when it does, however old they are.
#[tokio::test(flavor = "multi_thread")]
async fn cleaning_leaves_an_open_iteration_alone() {
    for format in FORMATS {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let table = open(format, &store);
        offload(table.as_ref(), 0, 0..10).await.unwrap();
        let files = table
            .write(IterationNumber(1), stream(vec![batch(10..20)], schema()))
            .await
            .unwrap();
        // Even where the caller errs about what is open.
        for open in [1, 2, 9] {
            assert_eq!(
                table.clean(IterationNumber(open), Duration::ZERO).await.unwrap().files,
                0,
                "{format:?}"
            );
        }
        table.publish(&mark(1), &files).await.unwrap();
        assert_eq!(ids(table.as_ref()).await, (0..20).collect::<Vec<_>>(), "{format:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn compaction_and_cleaning_race_with_a_writer() {
    for format in FORMATS {
        let directory = tempfile::tempdir().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(LocalFileSystem::new_with_prefix(directory.path()).unwrap());
        let (writer, keeper) = (open(format, &store), open(format, &store));
        offload(writer.as_ref(), 0, 0..10).await.unwrap();
        let write = async {
            for iteration in 1..25 {
                let first = i64::try_from(iteration).unwrap() * 10;
                loop {
                    match offload(writer.as_ref(), iteration, first..first + 10).await {
                        Ok(_) => break,
                        Err(error) => assert!(error.kind.is_retriable(), "{format:?}: {error}"),
                    }
                }
            }
        };
        let keep = async {
            loop {
                let iteration = keeper.published().await.unwrap().unwrap().mark.iteration;
                if let Err(error) = keeper.compact().await {
                    assert!(error.kind.is_retriable(), "{format:?}: {error}");
                }
                keeper.clean(iteration.next(), Duration::ZERO).await.unwrap();
            }
        };
        tokio::select! {
            () = write => {}
            () = keep => {}
        }
        assert_eq!(ids(writer.as_ref()).await, (0..250).collect::<Vec<_>>(), "{format:?}");
        keeper.compact().await.unwrap();
        keeper.clean(IterationNumber(25), Duration::ZERO).await.unwrap();
        assert_eq!(ids(writer.as_ref()).await, (0..250).collect::<Vec<_>>(), "{format:?}");
    }
}
