use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::{MemorySource, PutFate, ShardSource, SourceErrorKind};

fn writer(memory: &MemorySource) -> Writer {
    let source: Arc<dyn ShardSource> = Arc::new(memory.clone());
    Writer::new(&source, "s", WriterOptions::default()).unwrap()
}

fn contents(memory: &MemorySource) -> Vec<String> {
    let shards = memory.shard_ids();
    let logs = shards.iter().flat_map(|shard| memory.log(shard));
    logs.map(|(_, data)| String::from_utf8(data).unwrap()).collect()
}

fn numbered(range: std::ops::Range<usize>) -> impl Iterator<Item = OutgoingRecord> {
    range.map(|number| OutgoingRecord::new(format!("k{}", number % 10), number.to_string()))
}

#[tokio::test(start_paused = true)]
async fn everything_arrives_once_and_in_order_of_each_key() {
    let memory = MemorySource::new(4);
    // a third of each of the first calls is throttled, some calls fail before they reach the stream
    memory.script_puts([
        PutFate::Refuse { every: 3 },
        PutFate::Fail(SourceErrorKind::Unavailable),
        PutFate::Fail(SourceErrorKind::Throttled),
    ]);
    let mut writer = writer(&memory);
    for record in numbered(0..5000) {
        writer.push(record).await.unwrap();
    }
    let totals = writer.finish().await.unwrap();
    assert_eq!(totals.acknowledged, 5000);
    // 0..10, 10..100, 100..1000 and 1000..5000 have 10, 180, 2700 and 16000 digits; keys have two characters
    assert_eq!(totals.bytes, 10 + 180 + 2700 + 16000 + 2 * 5000);
    assert!(totals.retried > 0);
    let mut arrived: Vec<usize> = contents(&memory).iter().map(|text| text.parse().unwrap()).collect();
    arrived.sort_unstable();
    assert_eq!(arrived, (0..5000).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_key_keeps_its_order_when_calls_fail() {
    let memory = MemorySource::new(2);
    memory.script_puts(std::iter::repeat_n(PutFate::Fail(SourceErrorKind::Throttled), 7));
    let mut writer = writer(&memory);
    for record in numbered(0..6000) {
        writer.push(record).await.unwrap();
    }
    writer.finish().await.unwrap();
    let mut by_key: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for number in contents(&memory).iter().map(|text| text.parse::<usize>().unwrap()) {
        by_key.entry(number % 10).or_default().push(number);
    }
    assert_eq!(by_key.len(), 10);
    for (key, numbers) in by_key {
        assert!(numbers.is_sorted(), "key {key}: {numbers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn unordered_records_make_full_calls() {
    let memory = MemorySource::new(1);
    let mut writer = writer(&memory);
    for record in numbered(0..2001) {
        writer.push_unordered(record).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap().acknowledged, 2001);
    assert_eq!(memory.put_calls(), 5, "500, 500, 500, 500 and 1");
}

#[tokio::test(start_paused = true)]
async fn a_lost_reply_doubles_records_and_loses_none() {
    let memory = MemorySource::new(1);
    memory.script_puts([PutFate::Lost]);
    let mut writer = writer(&memory);
    for record in numbered(0..10) {
        writer.push_unordered(record).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap().acknowledged, 10);
    assert_eq!(contents(&memory).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_failure_says_how_many_were_acknowledged() {
    let memory = MemorySource::new(1);
    memory.script_puts([PutFate::Taken, PutFate::Fail(SourceErrorKind::Denied)]);
    let mut writer = writer(&memory);
    for record in numbered(0..1000) {
        writer.push_unordered(record).await.unwrap();
    }
    let error = writer.finish().await.unwrap_err();
    assert_eq!(
        (error.kind, error.totals.acknowledged, error.totals.uncertain),
        (SourceErrorKind::Denied, 500, 0)
    );
    assert_eq!(contents(&memory).len(), 500);
    assert!(error.to_string().contains("500 records were acknowledged before"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_what_is_uncertain_is_said() {
    let memory = MemorySource::new(1);
    memory.script_puts(std::iter::repeat_n(PutFate::Fail(SourceErrorKind::Unavailable), 10_000));
    let mut writer = writer(&memory);
    let began = tokio::time::Instant::now();
    for record in numbered(0..7) {
        writer.push_unordered(record).await.unwrap();
    }
    let error = writer.finish().await.unwrap_err();
    assert_eq!(
        (error.kind, error.totals.acknowledged, error.totals.uncertain),
        (SourceErrorKind::Unavailable, 0, 7)
    );
    let seconds = began.elapsed();
    assert!(
        (Duration::from_secs(50)..=Duration::from_secs(60)).contains(&seconds),
        "{seconds:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn records_that_can_never_be_written_are_named() {
    for (record, said) in [
        (
            OutgoingRecord::new("", "x"),
            "record 3: a partition key has 1 to 256 characters, and this one has 0",
        ),
        (
            OutgoingRecord::new("é".repeat(257), "x"),
            "record 3: a partition key has 1 to 256 characters, and this one has 257",
        ),
        (
            OutgoingRecord::new("k", vec![0; 10 << 20]),
            "record 3: it has 10485761 bytes, and no record has more than 10485760",
        ),
    ] {
        let memory = MemorySource::new(1);
        let mut writer = writer(&memory);
        for fine in numbered(0..2) {
            writer.push(fine).await.unwrap();
        }
        let error = writer.push(record).await.unwrap_err();
        assert_eq!(error.kind, SourceErrorKind::Invalid);
        assert!(error.to_string().contains(said), "{error}");
    }
    let memory = MemorySource::new(1);
    let mut writer = writer(&memory);
    writer.push(OutgoingRecord::new("é".repeat(256), "x")).await.unwrap();
    assert_eq!(writer.finish().await.unwrap().acknowledged, 1);
}

#[tokio::test(start_paused = true)]
async fn calls_stay_within_their_bytes() {
    let memory = MemorySource::new(1);
    let mut writer = writer(&memory);
    for _ in 0..5 {
        writer.push_unordered(OutgoingRecord::new("k", vec![b'x'; 3 << 20])).await.unwrap();
    }
    assert_eq!(writer.finish().await.unwrap().acknowledged, 5);
    assert_eq!(memory.put_calls(), 5);
}

/// Tags, and where their records are.
#[derive(Debug, Default)]
struct Told(parking_lot::Mutex<Vec<(u64, Acknowledgement)>>);

impl Receipts for Told {
    fn acknowledged(&self, record: &OutgoingRecord, at: Acknowledgement) {
        self.0.lock().push((record.tag, at));
    }
}

#[tokio::test(start_paused = true)]
async fn each_record_is_told_with_its_place_and_aggregates_count_their_records() {
    let memory = MemorySource::new(3);
    memory.script_puts([PutFate::Refuse { every: 2 }, PutFate::Fail(SourceErrorKind::Throttled)]);
    let source: Arc<dyn ShardSource> = Arc::new(memory.clone());
    let told = Arc::new(Told::default());
    let receipts: Arc<dyn Receipts> = Arc::<Told>::clone(&told);
    let mut writer = Writer::with_receipts(&source, "s", WriterOptions::default(), Some(&receipts)).unwrap();
    for number in 0..1200_u32 {
        let record = OutgoingRecord {
            user_records: number % 3,
            tag: u64::from(number),
            ..OutgoingRecord::new(number.to_string(), number.to_string())
        };
        writer.push_unordered(record).await.unwrap();
    }
    assert!(writer.held() > 0, "the last records are not sent");
    // of 0..1200 a third each counts 0, 1 and 2
    assert_eq!(writer.finish().await.unwrap().acknowledged, 1200);
    let told = told.0.lock();
    let mut found: Vec<u64> = told
        .iter()
        .map(|(tag, at)| {
            let log = memory.log(&at.shard);
            let (_, data) = log.iter().find(|(sequence, _)| *sequence == at.sequence).unwrap();
            assert_eq!(String::from_utf8(data.clone()).unwrap(), tag.to_string());
            *tag
        })
        .collect();
    found.sort_unstable();
    assert_eq!(found, (0..1200).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn what_is_flushed_is_sent_and_no_longer_held() {
    let memory = MemorySource::new(1);
    let mut writer = writer(&memory);
    for record in numbered(0..10) {
        writer.push(record).await.unwrap();
    }
    assert_eq!(
        (writer.held(), memory.put_calls()),
        (10 * 3, 0),
        "keys of two characters, texts of one"
    );
    writer.flush().await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), async {
        while writer.totals().acknowledged < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await
    .unwrap();
    assert_eq!(writer.held(), 0);
    assert_eq!(writer.abandon().await.acknowledged, 10);
}
