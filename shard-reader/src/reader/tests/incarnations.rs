use super::*;

async fn stream(f: &Fixture) -> Arc<StreamReader> {
    let source: Arc<dyn ShardSource> = Arc::new(f.source.clone());
    f.readers.stream("memory", source, "stream").await.unwrap()
}

/// What a statement does: a reader that has ended is asked for anew.
async fn read_all(f: &Fixture) -> Result<Vec<String>, ReadError> {
    let request = latest(ScanStart::TrimHorizon).await;
    let mut reader = stream(f).await;
    let snapshot = match reader.pin(&request).await {
        Err(error) if error.kind == ReadErrorKind::Recreated => {
            reader = stream(f).await;
            reader.pin(&request).await?
        }
        pinned => pinned?,
    };
    let mut all = Vec::new();
    for pin in snapshot.shards {
        all.extend(rows(&mut reader.scan(pin.range, meter())).await?);
    }
    Ok(all)
}

#[tokio::test(start_paused = true)]
async fn a_statement_never_reads_the_stream_that_was_there_before() {
    for more in [0, 3] {
        let f = Fixture::with_shards(2).await;
        f.put(0, 10);
        assert_eq!(f.read_all().await.len(), 10);
        // within the age of its description
        f.source.recreate();
        if more > 0 {
            put(&f.source, &f.shard(0), more);
        }
        assert_eq!(read_all(&f).await.unwrap(), expected(&f.shard(0), 0..more));
        assert_eq!(f.readers.streams().len(), 1);
        assert_ne!(f.readers.streams()[0].identity(), f.reader.identity());
    }
}

#[tokio::test(start_paused = true)]
async fn followers_of_the_old_stream_end_and_name_both() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    let snapshot = f.pin().await;
    let mut scan = f.reader.follow(snapshot.shards.clone(), meter());
    for _ in 0..1 {
        scan.next().await.unwrap();
    }
    f.source.recreate();
    put(&f.source, &f.shard(0), 5);
    let error = loop {
        match scan.next().await {
            Ok(Followed::Rows { slice, .. }) => panic!("{:?}", texts(&slice)),
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ReadErrorKind::Recreated, "{error}");
    assert!(
        error.message.contains("2026-01-01T00:00:00.000Z") && error.message.contains("2026-01-01T00:01:00.000Z"),
        "{error}"
    );
    // a range of the old one, too
    let error = f.rows(&snapshot.shards[0].range).await;
    assert!(error.as_ref().is_err_and(|error| error.kind == ReadErrorKind::Recreated) || error.is_ok_and(|rows| rows.len() == 5));
}

#[tokio::test(start_paused = true)]
async fn a_bounded_scan_of_the_old_stream_ends_too() {
    let source = MemorySource::new(1);
    let config = ReaderConfig {
        page_limit: 10,
        ..quiet(&source)
    };
    let f = Fixture::new(source, config).await;
    f.put(0, 100);
    sleep(7200.0).await;
    f.put(0, 1);
    let range = f.pin().await.shards.remove(0).range;
    let mut scan = f.reader.scan(range, meter());
    scan.next().await.unwrap();
    f.source.recreate();
    let error = loop {
        match scan.next().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("it ended as if all were well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind, ReadErrorKind::Recreated, "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_stream_is_not_found() {
    let f = Fixture::with_shards(1).await;
    f.put(0, 5);
    let snapshot = f.pin().await;
    let mut scan = f.reader.follow(snapshot.shards, meter());
    scan.next().await.unwrap();
    f.source.delete();
    let error = scan.next().await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::NotFound, "{error}");
    let source: Arc<dyn ShardSource> = Arc::new(f.source.clone());
    let error = f.readers.stream("memory", source, "stream").await.unwrap_err();
    assert_eq!(error.kind, ReadErrorKind::NotFound, "{error}");
    // and its name is free
    f.source.recreate();
    put(&f.source, &f.shard(0), 2);
    assert_eq!(read_all(&f).await.unwrap(), expected(&f.shard(0), 0..2));
}
