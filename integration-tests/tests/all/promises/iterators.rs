//! Where reading starts: the five kinds of iterators.

use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType::{AfterSequenceNumber, AtSequenceNumber, Latest, TrimHorizon};

use super::service::{Checked, Service, arrival, promise, promise_eq, refused, texts};

/// A stream of one shard with `count` records "0", "1", ... put some milliseconds apart; gives (stream, shard, sequence numbers).
async fn numbered(service: &Service, count: usize) -> Checked<(String, String, Vec<String>)> {
    let stream = service.stream(1).await?;
    let shard = service.shards(&stream).await?.remove(0).shard_id;
    let mut sequences = Vec::new();
    for number in 0..count {
        if number > 0 {
            tokio::time::sleep(Duration::from_millis(15)).await;
        }
        sequences.push(service.put(&stream, "k", &number.to_string()).await?);
    }
    Ok((stream, shard, sequences))
}

pub(super) async fn trim_horizon_starts_at_the_first_record(service: &Service) -> Checked {
    let (stream, shard, _) = numbered(service, 3).await?;
    let iterator = service.iterator(&stream, &shard, TrimHorizon).await?;
    promise_eq!(texts(&service.drain(iterator).await?), ["0", "1", "2"], "records");
    Ok(())
}

pub(super) async fn latest_starts_after_the_last_record(service: &Service) -> Checked {
    let (stream, shard, _) = numbered(service, 2).await?;
    let iterator = service.iterator(&stream, &shard, Latest).await?;
    let page = service.page(&iterator, None).await?;
    promise_eq!(texts(page.records()), Vec::<String>::new(), "records before anything new");
    service.put(&stream, "k", "new").await?;
    promise_eq!(texts(&service.drain(iterator).await?), ["new"], "records after");
    promise!(page.next_shard_iterator.is_some(), "an open shard's page without a next iterator");
    promise_eq!(
        texts(&service.drain(page.next_shard_iterator.unwrap_or_default()).await?),
        ["new"],
        "records after the next iterator"
    );
    Ok(())
}

pub(super) async fn at_sequence_number_includes_the_record(service: &Service) -> Checked {
    let (stream, shard, sequences) = numbered(service, 4).await?;
    for (number, expected) in [(0, 4), (2, 2), (3, 1)] {
        let iterator = service.iterator_at(&stream, &shard, AtSequenceNumber, &sequences[number]).await?;
        let read = texts(&service.drain(iterator).await?);
        promise_eq!(
            read,
            (4 - expected..4).map(|number| number.to_string()).collect::<Vec<_>>(),
            "records at {number}"
        );
    }
    Ok(())
}

pub(super) async fn after_sequence_number_excludes_the_record(service: &Service) -> Checked {
    let (stream, shard, sequences) = numbered(service, 4).await?;
    for (number, expected) in [(0, 3), (2, 1), (3, 0)] {
        let iterator = service
            .iterator_at(&stream, &shard, AfterSequenceNumber, &sequences[number])
            .await?;
        let read = texts(&service.drain(iterator).await?);
        promise_eq!(
            read,
            (4 - expected..4).map(|number| number.to_string()).collect::<Vec<_>>(),
            "records after {number}"
        );
    }
    Ok(())
}

pub(super) async fn at_timestamp_is_exact_to_the_millisecond(service: &Service) -> Checked {
    let (stream, shard, _) = numbered(service, 4).await?;
    let records = service.read_all(&stream, &shard).await?;
    promise_eq!(records.len(), 4, "records");
    for (number, record) in records.iter().enumerate() {
        let time = arrival(record)?;
        let rest = |from: usize| (from..4).map(|number| number.to_string()).collect::<Vec<_>>();
        let at = service.iterator_at_time(&stream, &shard, time).await?;
        promise_eq!(texts(&service.drain(at).await?), rest(number), "records at the time of {number}");
        let later = service.iterator_at_time(&stream, &shard, time + 1).await?;
        promise_eq!(
            texts(&service.drain(later).await?),
            rest(number + 1),
            "records a millisecond after {number}"
        );
    }
    Ok(())
}

pub(super) async fn at_timestamp_before_the_first_record_starts_there(service: &Service) -> Checked {
    let (stream, shard, _) = numbered(service, 2).await?;
    let records = service.read_all(&stream, &shard).await?;
    let hour_before = arrival(&records[0])? - 3_600_000;
    let iterator = service.iterator_at_time(&stream, &shard, hour_before).await?;
    promise_eq!(texts(&service.drain(iterator).await?), ["0", "1"], "records");
    Ok(())
}

pub(super) async fn at_timestamp_after_the_last_record_finds_nothing(service: &Service) -> Checked {
    let (stream, shard, _) = numbered(service, 2).await?;
    let records = service.read_all(&stream, &shard).await?;
    let last = arrival(&records[1])?;
    // A time in the future would be another question.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    let iterator = service.iterator_at_time(&stream, &shard, last + 1050).await?;
    let page = service.page(&iterator, None).await?;
    promise_eq!(texts(page.records()), Vec::<String>::new(), "records");
    service.put(&stream, "k", "new").await?;
    promise_eq!(
        texts(&service.drain(page.next_shard_iterator.unwrap_or_default()).await?),
        ["new"],
        "what comes later"
    );
    Ok(())
}

pub(super) async fn an_iterator_gives_the_same_page_again(service: &Service) -> Checked {
    let (stream, shard, _) = numbered(service, 5).await?;
    let first = service.iterator(&stream, &shard, TrimHorizon).await?;
    let page = service.page(&first, Some(2)).await?;
    let second = page.next_shard_iterator.unwrap_or_default();
    for _ in 0..3 {
        promise_eq!(texts(service.page(&first, Some(2)).await?.records()), ["0", "1"], "the first page");
        promise_eq!(
            texts(service.page(&second, Some(2)).await?.records()),
            ["2", "3"],
            "the second page"
        );
    }
    Ok(())
}

pub(super) async fn an_iterator_that_is_none_is_refused(service: &Service) -> Checked {
    service.stream(1).await?;
    let answer = service.client.get_records().shard_iterator("QUJDREVGR0g=").send().await;
    refused(answer, "an invented iterator", &["InvalidArgumentException"])
}

pub(super) async fn an_iterator_of_an_unknown_shard_is_not_found(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let iterator = service
        .client
        .get_shard_iterator()
        .stream_name(&stream)
        .shard_id("shardId-000000000077");
    refused(
        iterator.shard_iterator_type(TrimHorizon).send().await,
        "shard 77 of one",
        &["ResourceNotFoundException"],
    )
}
