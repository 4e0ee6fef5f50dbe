use super::*;

#[tokio::test(start_paused = true)]
async fn records_acknowledged_into_new_children_are_in_the_snapshot() {
    for late_end in [false, true] {
        let f = Fixture::with_shards(2).await;
        f.source.set_late_end(late_end);
        f.put(0, 10);
        f.read_all().await;
        // the parent's last records and the children's first, and a merge on top
        f.put(0, 3);
        let [left, right] = f.source.split(&f.shard(0)).unwrap();
        put(&f.source, &left, 4);
        put(&f.source, &right, 5);
        let merged = f.source.merge(&right, &f.shard(1)).unwrap();
        put(&f.source, &merged, 6);
        let snapshot = f.pin().await;
        assert_eq!(
            snapshot.shards.iter().map(|pin| pin.range.shard.clone()).collect::<Vec<_>>(),
            f.source.shard_ids()
        );
        let mut all = expected(&f.shard(0), 0..13);
        all.extend(expected(&left, 0..4));
        all.extend(expected(&right, 0..5));
        all.extend(expected(&merged, 0..6));
        let mut seen = Vec::new();
        for pin in &snapshot.shards {
            seen.extend(f.rows(&pin.range).await.unwrap());
        }
        assert_eq!(seen, all, "late end: {late_end}");
        // a closed shard that is held costs nothing
        f.pin().await;
        let reads = f.source.calls().read;
        f.pin().await;
        assert_eq!(f.source.calls().read, reads + 2);
        assert_eq!(f.reader.shards().iter().filter(|shard| shard.state == "closed").count(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_list_an_ending_shard_alone_shows_its_children() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            list_shards_on_pin: false,
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 10);
    f.read_all().await;
    let [left, right] = f.source.split(&f.shard(0)).unwrap();
    put(&f.source, &left, 4);
    let [first, _] = f.source.split(&right).unwrap();
    put(&f.source, &first, 2);
    let mut all = expected(&f.shard(0), 0..10);
    all.extend(expected(&left, 0..4));
    all.extend(expected(&first, 0..2));
    assert_eq!(f.read_all().await, all);
    assert_eq!(f.source.calls().describe, 1);
}

#[tokio::test(start_paused = true)]
async fn a_cold_closed_shard_is_bounded_without_looking_for_its_last_record() {
    let source = MemorySource::new(1);
    let f = Fixture::new(
        source.clone(),
        ReaderConfig {
            page_limit: 10,
            ..quiet(&source)
        },
    )
    .await;
    f.put(0, 500);
    f.source.split(&f.shard(0)).unwrap();
    sleep(7200.0).await;
    let request = latest(ScanStart::Latest).await;
    f.reader.pin(&request).await.unwrap();
    let calls = f.source.calls();
    assert_eq!(calls.records, 0);
    let snapshot = f.pin().await;
    assert_eq!(snapshot.shards[0].tip, TipKind::Closed);
    assert!(f.source.calls().records <= 10);
    assert_eq!(f.rows(&snapshot.shards[0].range).await.unwrap(), expected(&f.shard(0), 0..500));
    // read whole, it costs nothing more
    let calls = f.source.calls();
    let pin = f
        .reader
        .pin(&PinRequest {
            freshness: Freshness::Cached,
            ..latest(ScanStart::TrimHorizon).await
        })
        .await
        .unwrap()
        .shards
        .remove(0);
    assert_eq!(f.rows(&pin.range).await.unwrap().len(), 500);
    assert_eq!(f.source.calls(), calls);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_the_service_dropped_is_no_error() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    f.read_all().await;
    let [left, _] = f.source.split(&f.shard(0)).unwrap();
    let parent = f.shard(0);
    put(&f.source, &left, 2);
    f.pin().await;
    f.source.trim(&parent, 0);
    f.source.remove_shard(&parent);
    sleep(26.0 * 3600.0).await;
    assert_eq!(f.read_all().await, expected(&left, 0..2));
    assert_eq!(f.reader.shards().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn many_shards_are_pinned_each_once() {
    let f = Fixture::with_shards(1200).await;
    for shard in f.source.shard_ids() {
        put(&f.source, &shard, 1);
    }
    let snapshot = f.pin().await;
    assert_eq!(snapshot.shards.len(), 1200);
    assert!(snapshot.shards.is_sorted_by(|a, b| a.range.shard < b.range.shard));
    let reads = f.source.calls().read;
    assert_eq!(reads, 1200);
    f.pin().await;
    assert_eq!(f.source.calls().read, 2400);
    f.readers.shutdown().await;
    assert!(f.reader.shards().iter().all(|shard| !shard.running));
}

#[tokio::test(start_paused = true)]
async fn an_ending_number_that_a_record_exceeds_is_an_error() {
    // a service whose bound is wrong would otherwise cost rows silently
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    f.source.split(&f.shard(0)).unwrap();
    f.reader.pin(&latest(ScanStart::Latest).await).await.unwrap();
    let shard = f.reader.context().shard(&f.shard(0));
    shard.info.lock().ending_sequence = Some(sequence_at(&f.source, &f.shard(0), 2));
    let range = ShardRange {
        shard: f.shard(0),
        start: before(&f.source, &f.shard(0), 0),
        end: after(&f.source, &f.shard(0), 2),
    };
    let error = f.rows(&range).await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::Internal, "{error}");
}
