//! Damaged files, failing disks, ends that are not graceful: all of it costs speed alone.

use super::*;
use crate::SourceErrorKind;

#[tokio::test(start_paused = true)]
async fn damaged_files_are_dropped_and_their_records_read_again() {
    let mut disk = Disk::new(1);
    disk.seal_bytes = 20_000;
    disk.page_limit = 500;
    let f = disk.start().await;
    f.put(0, 6000);
    sleep(3700.0).await;
    assert_eq!(f.read_all().await, disk.all());
    f.readers.shutdown().await;
    drop(f);
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 7] = [
        ("flipped", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x40;
            std::fs::write(path, bytes).unwrap();
        }),
        ("truncated", |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 3]).unwrap();
        }),
        ("empty", |path| std::fs::write(path, b"").unwrap()),
        ("gone", |path| std::fs::remove_file(path).unwrap()),
        ("renamed to nonsense", |path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            std::fs::rename(path, path.with_file_name(format!("x{name}"))).unwrap();
        }),
        ("a name of another stretch", |path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let (from, rest) = name.split_once('_').unwrap();
            let other = format!("{:0>57}-0000000000", from.split_once('-').unwrap().0.parse::<u64>().unwrap() - 1);
            std::fs::rename(path, path.with_file_name(format!("{other}_{rest}"))).unwrap();
        }),
        ("half written", |path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path.with_file_name("tmp-x"), &bytes[..100]).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let files = disk.files(".parquet");
        assert!(files.len() >= 5, "{what}: {}", files.len());
        harm(&files[1]);
        harm(files.last().unwrap());
        let f = disk.start().await;
        assert!(disk.files("tmp-x").is_empty(), "{what}");
        assert_eq!(f.read_all().await, disk.all(), "{what}");
        let counters = f.readers.segment_counters().unwrap();
        assert_eq!(
            counters.damaged,
            if what == "half written" || what == "gone" { 0 } else { 2 },
            "{what}: {counters:?}"
        );
        f.readers.shutdown().await;
        drop(f);
        // what was read again is stored again
        let f = disk.start().await;
        let before = disk.source.calls();
        assert_eq!(f.read_all().await, disk.all(), "{what}");
        assert_eq!(disk.source.calls().read - before.read, 1, "{what}");
        f.readers.shutdown().await;
    }
}

/// Damage while the process runs: the index has seen the file, and the file has been read before.
#[tokio::test(start_paused = true)]
async fn a_file_that_goes_bad_while_it_is_in_use_is_dropped() {
    let mut disk = Disk::new(1);
    (disk.memory_bytes, disk.page_limit, disk.seal_bytes) = (1, 500, 20_000);
    let f = disk.start().await;
    f.put(0, 6000);
    sleep(3700.0).await;
    for _ in 0..2 {
        assert_eq!(f.read_all().await, disk.all());
    }
    for (number, path) in disk.files(".parquet").into_iter().enumerate() {
        match number % 3 {
            0 => std::fs::write(&path, b"").unwrap(),
            1 => std::fs::remove_file(&path).unwrap(),
            _ => {}
        }
    }
    assert_eq!(f.read_all().await, disk.all());
    assert!(f.readers.segment_counters().unwrap().damaged >= 2);
    f.readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_costs_no_answer() {
    let mut disk = Disk::new(1);
    (disk.memory_bytes, disk.page_limit) = (4000, 100);
    let f = disk.start().await;
    // where the shard's directory is to be, there is a file
    let stream = disk.files("about.json")[0].parent().unwrap().to_owned();
    std::fs::write(stream.join("shardId-000000000000"), b"in the way").unwrap();
    f.put(0, 2000);
    sleep(3700.0).await;
    for _ in 0..2 {
        assert_eq!(f.read_all().await, disk.all());
    }
    let counters = f.readers.segment_counters().unwrap();
    assert!(counters.disk_failures > 0 && counters.written == 0, "{counters:?}");
    // it is tried again
    std::fs::remove_file(stream.join("shardId-000000000000")).unwrap();
    sleep(120.0).await;
    assert_eq!(f.read_all().await, disk.all());
    sleep(120.0).await;
    assert!(f.readers.segment_counters().unwrap().written > 0);
    f.readers.shutdown().await;
}

/// A crash leaves what was written until then: at most the last minute is read again.
#[tokio::test(start_paused = true)]
async fn without_a_graceful_end_all_but_the_last_minute_is_there() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 1000);
    assert_eq!(f.read_all().await, disk.all());
    sleep(65.0).await;
    f.put(0, 10);
    assert_eq!(f.read_all().await, disk.all());
    f.readers.crash().await;
    drop(f);
    let f = disk.start().await;
    let before = disk.source.calls();
    assert_eq!(f.read_all().await, disk.all());
    assert_eq!(disk.source.calls().records - before.records, 11);
    assert_eq!(disk.source.calls().read - before.read, 1);
    f.readers.shutdown().await;
}

/// Failing calls of Kinesis do not hold up what is on disk.
#[tokio::test(start_paused = true)]
async fn what_is_stored_is_read_while_kinesis_fails() {
    let disk = Disk::new(1);
    let f = disk.start().await;
    f.put(0, 3000);
    let range = f.pin().await.shards.remove(0).range;
    assert_eq!(f.rows(&range).await.unwrap(), disk.all());
    f.readers.shutdown().await;
    drop(f);
    let f = disk.start().await;
    disk.source.fail_reads(&f.shard(0), SourceErrorKind::Throttled, 100);
    let begin = Instant::now();
    assert_eq!(f.rows(&range).await.unwrap(), disk.all());
    assert!(begin.elapsed() < Duration::from_secs(1));
    f.readers.shutdown().await;
}
