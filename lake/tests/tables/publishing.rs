//! Rows become visible with their mark, once.

use std::sync::Arc;

use futures::TryStreamExt;
use lake::LakeFormat;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use shard_reader::checkpoints::IterationNumber;

use crate::rows::{batch, ids, ids_of, mark, offload, open, query, schema, stream};

const FORMATS: [LakeFormat; 3] = [LakeFormat::Delta, LakeFormat::Parquet, LakeFormat::Orc];

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_become_visible_with_their_mark() {
    for format in FORMATS {
        let store = memory();
        let table = open(format, &store);
        assert!(table.published().await.unwrap().is_none(), "{format:?}");

        let files = table
            .write(IterationNumber(0), stream(vec![batch(0..100)], schema()))
            .await
            .unwrap();
        assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 100);
        assert_eq!(files.len(), 3, "a file a day");
        assert!(table.published().await.unwrap().is_none(), "{format:?}");

        let published = table.publish(&mark(0), &files).await.unwrap();
        assert!(!published.already);
        assert_eq!(published.mark, mark(0));
        assert_eq!(ids(table.as_ref()).await, (0..100).collect::<Vec<_>>());

        offload(table.as_ref(), 1, 100..250).await.unwrap();
        let reopened = open(format, &store);
        assert_eq!(reopened.published().await.unwrap().unwrap().mark, mark(1));
        assert_eq!(ids(reopened.as_ref()).await, (0..250).collect::<Vec<_>>());

        let before = reopened.snapshot(Some(published.version)).await.unwrap();
        assert_eq!(before.mark, Some(mark(0)));
        assert_eq!(ids_of(&before).await, (0..100).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iteration_is_published_once() {
    for format in FORMATS {
        let store = memory();
        let table = open(format, &store);
        offload(table.as_ref(), 0, 0..10).await.unwrap();
        offload(table.as_ref(), 1, 10..20).await.unwrap();
        for iteration in [1, 0] {
            let again = offload(open(format, &store).as_ref(), iteration, 0..20).await.unwrap();
            assert!(again.already, "{format:?}");
            assert_eq!(again.mark, mark(1), "the newest");
        }
        assert_eq!(ids(table.as_ref()).await, (0..20).collect::<Vec<_>>());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_iteration_without_rows_is_published_too() {
    for format in FORMATS {
        let table = open(format, &memory());
        let files = table.write(IterationNumber(0), stream(vec![], schema())).await.unwrap();
        assert!(files.is_empty());
        table.publish(&mark(0), &files).await.unwrap();
        assert_eq!(table.published().await.unwrap().unwrap().mark, mark(0));
        assert_eq!(ids(table.as_ref()).await, Vec::<i64>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_filters() {
    for format in FORMATS {
        let table = open(format, &memory());
        offload(table.as_ref(), 0, 0..30).await.unwrap();
        let snapshot = table.snapshot(None).await.unwrap();
        let answer = query(
            &snapshot,
            "select count(*) as n, count(host) as hosts, min(id) as first from t where day = '2024-01-02' and id > 4",
        )
        .await;
        // 7, 10, 13 .. 28; 7 and 28 have no host.
        assert_eq!(
            answer,
            "+---+-------+-------+\n\
             | n | hosts | first |\n\
             +---+-------+-------+\n\
             | 8 | 6     | 7     |\n\
             +---+-------+-------+"
        );
    }
}

/// The log is cleaned of the commits that a checkpoint of it replaces, and with them of what they say about positions.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_outlives_its_commit() {
    let store = memory();
    let table = open(LakeFormat::Delta, &store);
    for iteration in 0..22 {
        let first = i64::try_from(iteration).unwrap();
        offload(table.as_ref(), iteration, first..first + 1).await.unwrap();
    }
    let logs = Path::from("table/_delta_log");
    let files: Vec<ObjectMeta> = store.list(Some(&logs)).try_collect().await.unwrap();
    let version = |file: &ObjectMeta| {
        file.location
            .filename()
            .unwrap()
            .get(..20)
            .and_then(|digits| digits.parse::<u64>().ok())
    };
    let is = |file: &&ObjectMeta, extension: &str| file.location.as_ref().ends_with(extension);
    let checkpoint = files
        .iter()
        .filter(|file| is(file, ".checkpoint.parquet"))
        .filter_map(version)
        .max();
    let checkpoint = checkpoint.expect("22 commits make a checkpoint");
    for file in files.iter().filter(|file| is(file, ".json")) {
        if version(file).is_some_and(|version| version <= checkpoint) {
            store.delete(&file.location).await.unwrap();
        }
    }
    let reopened = open(LakeFormat::Delta, &store);
    assert_eq!(reopened.published().await.unwrap().unwrap().mark, mark(21));
    assert_eq!(ids(reopened.as_ref()).await, (0..22).collect::<Vec<_>>());
    let earlier = reopened.snapshot(Some(checkpoint)).await.unwrap();
    assert_eq!(earlier.mark, Some(mark(checkpoint - 1)), "version 0 made the table");

    // Another owner was about to publish the same iteration with another mark, and came second.
    let rival = Path::from("table/_shardflight/nightly/marks/00000000000000000021-0123456789abcdef.json");
    let mut other = mark(21);
    other.ends.as_of_ms = None;
    store.put(&rival, serde_json::to_vec(&other).unwrap().into()).await.unwrap();
    assert_eq!(reopened.published().await.unwrap().unwrap().mark, mark(21));
}
