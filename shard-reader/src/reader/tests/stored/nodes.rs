//! Object storage that nodes share.

use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};

use super::*;

#[tokio::test(start_paused = true)]
async fn nodes_share_what_one_of_them_has_read() {
    let mut a = Disk::new(2);
    a.remote = Some(RemoteSegments::new(Arc::new(InMemory::new()), "some/prefix".into()));
    a.seal_bytes = 50_000;
    a.page_limit = 500;
    let node = a.start().await;
    node.put(0, 5000);
    node.put(1, 5000);
    a.source.split(&node.shard(1)).unwrap();
    sleep(3700.0).await;
    assert_eq!(node.read_all().await, a.all());
    node.readers.shutdown().await;
    let uploaded = node.readers.segment_counters().unwrap();
    assert!(uploaded.uploaded > 2 && uploaded.store_failures == 0, "{uploaded:?}");
    drop(node);

    let b = Disk {
        directory: tempfile::tempdir().unwrap(),
        source: a.source.clone(),
        remote: a.remote.clone(),
        ..Disk::new(1)
    };
    let node = b.start().await;
    let before = b.source.calls();
    assert_eq!(node.read_all().await, a.all());
    let (calls, open) = (b.source.calls(), 3);
    assert_eq!(
        calls.read - before.read,
        open,
        "one for each shard that is open; the closed one is stored whole"
    );
    assert_eq!(calls.records - before.records, 1, "the last record of the one that has some");
    let counters = node.readers.segment_counters().unwrap();
    assert_eq!(counters.fetched, uploaded.uploaded, "{counters:?}");
    node.readers.shutdown().await;
    drop(node);
    // fetched files are the node's own now
    let alone = Disk { remote: None, ..b };
    let node = alone.start().await;
    assert_eq!(node.read_all().await, a.all());
    assert_eq!(node.readers.segment_counters().unwrap().fetched, 0);
    node.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn object_storage_that_fails_costs_no_answer() {
    let store = Arc::new(InMemory::new());
    let mut disk = Disk::new(1);
    disk.remote = Some(RemoteSegments::new(Arc::<InMemory>::clone(&store), "p".into()));
    let node = disk.start().await;
    node.put(0, 3000);
    assert_eq!(node.read_all().await, disk.all());
    node.readers.shutdown().await;
    drop(node);
    // every object is damaged
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    for object in &objects {
        if object.size > 0 {
            store.put(&object.location, "no Parquet".into()).await.unwrap();
        }
    }
    assert!(objects.iter().any(|object| object.size > 0));
    let other = Disk {
        directory: tempfile::tempdir().unwrap(),
        source: disk.source.clone(),
        remote: disk.remote.clone(),
        ..Disk::new(1)
    };
    let node = other.start().await;
    assert_eq!(node.read_all().await, disk.all());
    let counters = node.readers.segment_counters().unwrap();
    assert!(
        counters.damaged == 1 && counters.fetched == 0 && counters.store_failures >= 1,
        "{counters:?}"
    );
    node.readers.shutdown().await;
}
