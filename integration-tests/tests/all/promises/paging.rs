//! What one GetRecords call returns.

use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon;

use super::service::{Checked, Service, promise, promise_eq, refused, texts};

pub(super) async fn limit_cuts_pages_that_join_without_a_seam(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let records: Vec<_> = (0..100).map(|number| ("k".to_owned(), number.to_string().into_bytes())).collect();
    let placed = service.put_all(&stream, &records).await?;
    let mut next = service.iterator(&stream, &placed[0].0, TrimHorizon).await?;
    let mut read = Vec::new();
    for limit in [1, 7, 50, 42, 10] {
        let page = service.page(&next, Some(limit)).await?;
        promise!(
            page.records().len() <= limit as usize,
            "{} records with Limit {limit}",
            page.records().len()
        );
        promise!(!page.records().is_empty() || read.len() == 100, "an empty page with records ahead");
        read.extend(texts(page.records()));
        next = page.next_shard_iterator.unwrap_or_default();
    }
    promise_eq!(read, (0..100).map(|number| number.to_string()).collect::<Vec<_>>(), "all pages");
    Ok(())
}

pub(super) async fn a_page_holds_ten_thousand_records_at_most(service: &Service) -> Checked {
    let count = 10_500;
    if service.backend.capacity().records < count {
        println!(
            "not applicable to {:?}: it takes {} records in a test's time",
            service.backend,
            service.backend.capacity().records
        );
        return Ok(());
    }
    let stream = service.stream(1).await?;
    let records: Vec<_> = (0..count)
        .map(|number| (format!("k{number}"), number.to_string().into_bytes()))
        .collect();
    let placed = service.put_all(&stream, &records).await?;
    let iterator = service.iterator(&stream, &placed[0].0, TrimHorizon).await?;
    let first = service.page(&iterator, None).await?;
    promise_eq!(first.records().len(), 10_000, "records of the first page");
    let second = service.page(first.next_shard_iterator().unwrap_or_default(), None).await?;
    promise_eq!(second.records().len(), 500, "records of the second page");
    promise_eq!(texts(second.records())[0], "10000", "the second page's first record");
    Ok(())
}

pub(super) async fn a_page_holds_ten_megabytes_at_most(service: &Service) -> Checked {
    let (count, size) = (14, 900_000);
    if service.backend.capacity().bytes < count * size {
        println!(
            "not applicable to {:?}: it takes {} bytes in a test's time",
            service.backend,
            service.backend.capacity().bytes
        );
        return Ok(());
    }
    let stream = service.stream(1).await?;
    let records: Vec<_> = (0..count).map(|number| (format!("k{number}"), vec![number as u8; size])).collect();
    let placed = service.put_batches(&stream, &records, 5).await?;
    let mut next = Some(service.iterator(&stream, &placed[0].0, TrimHorizon).await?);
    let mut read = Vec::new();
    while let Some(iterator) = next.filter(|_| read.len() < count) {
        let page = service.page(&iterator, None).await?;
        let bytes: usize = page.records().iter().map(|record| record.data().as_ref().len()).sum();
        promise!(bytes <= 10 << 20, "a page of {bytes} bytes");
        promise!(!page.records().is_empty(), "an empty page with records ahead");
        read.extend(page.records().iter().map(|record| record.data().as_ref()[0]));
        next = page.next_shard_iterator;
    }
    promise_eq!(read, (0..count as u8).collect::<Vec<_>>(), "all pages");
    Ok(())
}

pub(super) async fn a_limit_beyond_ten_thousand_is_refused(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let shard = service.shards(&stream).await?.remove(0).shard_id;
    let iterator = service.iterator(&stream, &shard, TrimHorizon).await?;
    for limit in [10_001, 0] {
        let answer = service.client.get_records().shard_iterator(&iterator).limit(limit).send().await;
        refused(
            answer,
            &format!("Limit {limit}"),
            &["ValidationException", "InvalidArgumentException"],
        )?;
    }
    promise_eq!(
        service.page(&iterator, Some(10_000)).await?.records().len(),
        0,
        "records with Limit 10,000"
    );
    Ok(())
}

pub(super) async fn an_empty_shard_answers_empty_pages_at_its_tip(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let shard = service.shards(&stream).await?.remove(0).shard_id;
    let mut iterator = service.iterator(&stream, &shard, TrimHorizon).await?;
    for _ in 0..3 {
        let page = service.page(&iterator, None).await?;
        promise_eq!(page.records().len(), 0, "records");
        promise_eq!(page.millis_behind_latest(), Some(0), "MillisBehindLatest");
        promise!(page.next_shard_iterator().is_some(), "an open shard's page without a next iterator");
        iterator = page.next_shard_iterator.unwrap_or_default();
    }
    service.put(&stream, "k", "first").await?;
    promise_eq!(texts(&service.drain(iterator).await?), ["first"], "what comes later");
    Ok(())
}

pub(super) async fn millis_behind_latest_tells_a_lag(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let shard = service.shards(&stream).await?.remove(0).shard_id;
    for number in 0..3 {
        service.put(&stream, "k", &number.to_string()).await?;
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    let iterator = service.iterator(&stream, &shard, TrimHorizon).await?;
    let first = service.page(&iterator, Some(1)).await?;
    let behind = first.millis_behind_latest().unwrap_or(-1);
    promise!(
        (40..60_000).contains(&behind),
        "MillisBehindLatest {behind} with two records ahead, put 60 ms apart"
    );
    let rest = service.page(first.next_shard_iterator().unwrap_or_default(), None).await?;
    promise_eq!(texts(rest.records()), ["1", "2"], "the rest");
    promise_eq!(rest.millis_behind_latest(), Some(0), "MillisBehindLatest at the tip");
    Ok(())
}
