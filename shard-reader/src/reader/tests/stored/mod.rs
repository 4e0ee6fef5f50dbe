//! Segments on disk: what was fetched once is not fetched again, and what the service no longer has is not given.

mod harm;
mod nodes;

use std::path::{Path, PathBuf};

use super::*;
use crate::{RemoteSegments, SegmentSettings, SegmentStore};

/// Processes that use one directory, one after the other.
struct Disk {
    source: MemorySource,
    directory: tempfile::TempDir,
    remote: Option<RemoteSegments>,
    memory_bytes: u64,
    page_limit: u32,
    disk_bytes: u64,
    seal_bytes: u64,
}

impl Disk {
    fn new(shards: usize) -> Self {
        Self {
            source: MemorySource::new(shards),
            directory: tempfile::tempdir().unwrap(),
            remote: None,
            memory_bytes: 1 << 30,
            page_limit: 10_000,
            disk_bytes: 1 << 30,
            seal_bytes: 16 << 20,
        }
    }

    async fn start(&self) -> Fixture {
        let settings = SegmentSettings {
            disk_bytes: self.disk_bytes,
            seal_bytes: self.seal_bytes,
            remote: self.remote.clone(),
            wall_clock: self.source.clock(),
            ..SegmentSettings::new(self.directory.path())
        };
        let config = ReaderConfig {
            segments: Some(SegmentStore::open(settings).unwrap()),
            memory_bytes: self.memory_bytes,
            page_limit: self.page_limit,
            ..quiet(&self.source)
        };
        Fixture::new(self.source.clone(), config).await
    }

    /// Every file of a stream, by its path.
    fn files(&self, suffix: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut directories = vec![self.directory.path().to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path);
                } else if path.to_str().unwrap().ends_with(suffix) {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }

    fn all(&self) -> Vec<String> {
        let shards = self.source.shard_ids();
        shards
            .iter()
            .flat_map(|shard| expected(shard, 0..self.source.log(shard).len()))
            .collect()
    }
}

fn shard_of(path: &Path) -> String {
    path.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_told_from_what_is_in_memory() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 2_000);
    sleep(3700.0).await;
    let total: u64 = disk.all().iter().map(|data| data.len() as u64 + 3).sum();
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
    drop(f);
    let f = disk.start().await;
    let range = f.pin().await.shards[0].range.clone();
    let cold = f.reader.estimate(&range);
    assert!(cold.bytes_stored > total / 2, "{cold:?} of {total}");
    assert_eq!((cold.bytes_held(), cold.bytes_to_read), (total, Some(0)), "{cold:?}");
    assert_eq!(f.rows(&range).await.unwrap().len(), 2_000);
    let warm = f.reader.estimate(&range);
    assert_eq!((warm.bytes_in_memory, warm.bytes_stored), (total, 0), "{warm:?}");
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn after_a_restart_a_repeated_statement_costs_one_call_for_each_shard() {
    let disk = Disk::new(3);
    let f = disk.start().await;
    for shard in 0..3 {
        f.put(shard, 25_000);
    }
    sleep(3700.0).await;
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
    assert!(f.readers.segment_counters().unwrap().written >= 3);
    drop(f);
    for _ in 0..2 {
        let f = disk.start().await;
        let before = disk.source.calls();
        assert_eq!(f.read_all().await, disk.all());
        let after = disk.source.calls();
        assert_eq!(after.read - before.read, 3, "one for each shard");
        assert_eq!(after.records - before.records, 3, "the last record of each, which must be there");
        assert_eq!(f.read_all().await, disk.all());
        let segments = f.reader.segments();
        let stored: u64 = segments
            .iter()
            .filter(|facts| facts.storage == "disk")
            .map(|facts| facts.records)
            .sum();
        assert_eq!(stored, 75_000, "{segments:?}");
        let counters = f.readers.segment_counters().unwrap();
        assert_eq!(
            counters.loaded_bytes,
            disk.all().iter().map(|data| data.len() as u64 + 3).sum::<u64>(),
            "each part once"
        );
        f.readers.shutdown().await;
    }
    // what came meanwhile comes with that call
    for shard in disk.source.shard_ids() {
        put(&disk.source, &shard, 5);
    }
    let f = disk.start().await;
    let before = disk.source.calls();
    assert_eq!(f.read_all().await, disk.all());
    assert_eq!(disk.source.calls().read - before.read, 3);
    assert_eq!(disk.source.calls().records - before.records, 3 * 6);
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_closed_shard_that_is_stored_costs_no_call() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 3000);
    f.source.split(&f.shard(0)).unwrap();
    f.put(1, 10);
    f.put(2, 10);
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
    drop(f);
    let f = disk.start().await;
    let before = disk.source.calls();
    assert_eq!(f.read_all().await, disk.all());
    assert_eq!(disk.source.calls().read - before.read, 2, "for the children");
    f.readers.shutdown().await;
    // a mark of an end that the service knows nothing of is not believed
    drop(f);
    let [end] = disk
        .files("")
        .into_iter()
        .filter(|path| path.to_str().unwrap().contains("/end_"))
        .collect::<Vec<_>>()
        .try_into()
        .unwrap();
    let child = disk
        .files(".parquet")
        .into_iter()
        .find(|path| shard_of(path) == disk.source.shard_ids()[1].as_str())
        .unwrap();
    std::fs::copy(&end, child.parent().unwrap().join(end.file_name().unwrap())).unwrap();
    let f = disk.start().await;
    f.put(1, 10);
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_memory_has_no_room_for_is_read_from_disk() {
    let mut disk = Disk::new(2);
    (disk.memory_bytes, disk.page_limit) = (4000, 100);
    let f = disk.start().await;
    f.put(0, 2000);
    f.put(1, 2000);
    sleep(3700.0).await;
    for _ in 0..3 {
        assert_eq!(f.read_all().await, disk.all());
    }
    let counters = f.readers.counters();
    assert!(counters.evictions > 40, "{counters:?}");
    let stored = f.readers.segment_counters().unwrap();
    assert!(stored.loaded > 0 && stored.not_kept == 0, "{stored:?}");
    // the first record is asked for alone when the horizon is looked at
    assert!(counters.records_refetched <= 4, "{counters:?}");
    assert!(disk.source.calls().records <= 4004, "{:?}", disk.source.calls());
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_trickle_makes_few_files() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    for _ in 0..200 {
        f.put(0, 1);
        f.pin().await;
        sleep(61.0).await;
    }
    let files = disk.files(".parquet").len();
    assert!(files <= 9, "{files} files for 200 minutes");
    assert!(f.readers.segment_counters().unwrap().written > 150);
    f.readers.shutdown().await;
    drop(f);
    let f = disk.start().await;
    let before = disk.source.calls();
    assert_eq!(f.read_all().await, disk.all());
    assert_eq!(disk.source.calls().read - before.read, 1);
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn what_the_service_no_longer_has_is_not_given() {
    let mut disk = Disk::new(1);
    (disk.seal_bytes, disk.page_limit) = (5000, 100);
    let f = disk.start().await;
    f.put(0, 1000);
    sleep(3700.0).await;
    let range = f.pin().await.shards.remove(0).range;
    assert_eq!(f.rows(&range).await.unwrap(), disk.all());
    f.readers.shutdown().await;
    drop(f);
    // by the clock they have expired, so the service is asked, and it has them still
    sleep(86_000.0).await;
    let f = disk.start().await;
    let before = disk.source.calls();
    assert_eq!(f.read_all().await, disk.all());
    assert!(
        disk.source.calls().records - before.records >= 1000,
        "nothing past retention is taken from disk"
    );
    f.readers.shutdown().await;
    drop(f);
    // it has not
    disk.source.trim(&disk.source.shard_ids()[0], 300);
    let f = disk.start().await;
    assert_eq!(f.read_all().await, disk.all()[700..]);
    let error = f.rows(&range).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Expired);
    f.readers.shutdown().await;
}

/// A service that loses records before their time (the retention was decreased for a while): found out when reading on begins.
#[tokio::test(start_paused = true)]
async fn records_that_are_gone_before_their_time_are_given_no_more_once_that_is_known() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 1000);
    sleep(3700.0).await;
    let range = f.pin().await.shards.remove(0).range;
    assert_eq!(f.rows(&range).await.unwrap(), disk.all());
    f.readers.shutdown().await;
    drop(f);
    disk.source.trim(&disk.source.shard_ids()[0], 0);
    put(&disk.source, &disk.source.shard_ids()[0], 10);
    for _ in 0..2 {
        let f = disk.start().await;
        assert_eq!(f.read_all().await, disk.all()[1000..]);
        assert_eq!(f.rows(&range).await.unwrap_err().kind, ReadErrorKind::Expired);
        f.readers.shutdown().await;
    }
    assert_eq!(disk.files(".parquet").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_created_anew_has_nothing_of_the_old_one() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 100);
    assert_eq!(f.read_all().await.len(), 100);
    f.readers.shutdown().await;
    drop(f);
    let old = disk.files(".parquet");
    disk.source.recreate();
    put(&disk.source, &disk.source.shard_ids()[0], 7);
    let f = disk.start().await;
    assert_eq!(f.read_all().await, disk.all());
    assert!(!old[0].exists(), "the old incarnation is deleted");
    // and again, while the process runs
    disk.source.recreate();
    put(&disk.source, &disk.source.shard_ids()[0], 3);
    sleep(31.0).await;
    let again = f
        .readers
        .stream("memory", Arc::new(f.source.clone()) as Arc<dyn ShardSource>, "stream")
        .await
        .unwrap();
    let pins = again.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap().shards;
    assert_eq!(rows(&mut again.scan(pins[0].range.clone(), meter())).await.unwrap(), disk.all());
    f.readers.shutdown().await;
    assert_eq!(disk.files(".parquet").len(), 1);
    assert_eq!(disk.files("about.json").len(), 1);
    // the same stream from elsewhere is another one
    let settings = SegmentSettings {
        wall_clock: disk.source.clock(),
        ..SegmentSettings::new(disk.directory.path())
    };
    drop((f, again));
    let config = ReaderConfig {
        segments: Some(SegmentStore::open(settings).unwrap()),
        ..quiet(&disk.source)
    };
    let readers = Readers::new(config);
    let source: Arc<dyn ShardSource> = Arc::new(disk.source.clone());
    let before = disk.source.calls();
    let elsewhere = readers.stream("elsewhere", source, "stream").await.unwrap();
    let pins = elsewhere.pin(&latest(ScanStart::TrimHorizon).await).await.unwrap().shards;
    assert_eq!(rows(&mut elsewhere.scan(pins[0].range.clone(), meter())).await.unwrap(), disk.all());
    assert_eq!(
        disk.source.calls().records - before.records,
        3,
        "nothing of the other source's was taken"
    );
    readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn the_disk_budget_is_kept_and_the_answers_are_right() {
    let mut disk = Disk::new(2);
    (disk.memory_bytes, disk.page_limit, disk.seal_bytes, disk.disk_bytes) = (1, 200, 4000, 40_000);
    let f = disk.start().await;
    f.put(0, 5000);
    f.put(1, 5000);
    sleep(3700.0).await;
    for _ in 0..2 {
        assert_eq!(f.read_all().await, disk.all());
    }
    let counters = f.readers.segment_counters().unwrap();
    assert!(counters.deleted > 5, "{counters:?}");
    f.readers.shutdown().await;
    let counters = f.readers.segment_counters().unwrap();
    let there: Vec<u64> = disk.files(".parquet").iter().map(|path| path.metadata().unwrap().len()).collect();
    assert!(there.iter().sum::<u64>() <= 40_000, "{counters:?}");
    assert_eq!((counters.files, counters.disk_bytes), (there.len() as u64, there.iter().sum()));
    drop(f);
    // also at the start
    disk.disk_bytes = 10_000;
    let f = disk.start().await;
    assert!(f.readers.segment_counters().unwrap().disk_bytes <= 10_000);
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_directory_belongs_to_one_process() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    let error = SegmentStore::open(SegmentSettings::new(disk.directory.path())).unwrap_err();
    assert!(matches!(error, crate::SegmentStoreError::InUse(_)), "{error}");
    f.readers.shutdown().await;
    drop(f);
    assert!(SegmentStore::open(SegmentSettings::new(disk.directory.path())).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_nobody_used_for_longer_than_it_is_kept_is_deleted_and_nothing_else() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 10);
    f.read_all().await;
    f.readers.shutdown().await;
    drop(f);
    let foreign = disk.directory.path().join("somebody's");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("file"), b"x").unwrap();
    let about = std::fs::File::options().write(true).open(&disk.files("about.json")[0]).unwrap();
    let now = std::time::SystemTime::now();
    about.set_modified(now - Duration::from_secs(23 * 3600)).unwrap();
    disk.start().await.readers.shutdown().await;
    assert_eq!(disk.files(".parquet").len(), 1);
    let about = std::fs::File::options().write(true).open(&disk.files("about.json")[0]).unwrap();
    about.set_modified(now - Duration::from_secs(25 * 3600)).unwrap();
    SegmentStore::open(SegmentSettings::new(disk.directory.path())).unwrap();
    assert!(disk.files(".parquet").is_empty() && disk.files("about.json").is_empty());
    assert!(foreign.join("file").exists());
}

#[tokio::test(start_paused = true)]
async fn a_tail_that_is_far_behind_is_not_read_through_before_a_statement_is_planned() {
    let mut disk = Disk::new(1);
    disk.page_limit = 100;
    let f = disk.start().await;
    f.put(0, 500);
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
    drop(f);
    sleep(100.0).await;
    put(&disk.source, &disk.source.shard_ids()[0], 10_000);
    sleep(7200.0).await;
    put(&disk.source, &disk.source.shard_ids()[0], 10);
    let f = disk.start().await;
    let before = disk.source.calls();
    let range = f.pin().await.shards.remove(0).range;
    assert!(disk.source.calls().read - before.read <= 3, "{:?} {before:?}", disk.source.calls());
    assert_eq!(f.rows(&range).await.unwrap(), disk.all());
    assert!(disk.source.calls().records - before.records <= 10_120);
    f.readers.shutdown().await;
}
