//! Writers and a reader at the same time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_kinesis::types::ShardIteratorType::TrimHorizon;
use tokio::task::JoinSet;

use super::service::{Checked, Failure, Service, entry, numeric, promise, promise_eq, text};

const WRITERS: usize = 4;
const SHARDS: i32 = 2;

pub(super) async fn four_writers_and_a_tailing_reader_agree(service: &Service) -> Checked {
    let per_writer = service.backend.capacity().records / WRITERS;
    let stream = service.stream(SHARDS).await?;
    let finished = Arc::new(AtomicUsize::new(0));
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (client, stream, finished) = (service.client.clone(), stream.clone(), Arc::clone(&finished));
        writers.spawn(async move {
            let numbers: Vec<usize> = (0..per_writer).collect();
            for batch in numbers.chunks(200) {
                let entries = batch
                    .iter()
                    .map(|number| entry(&format!("{writer}-{}", number % 50), format!("{writer}/{number}").as_bytes()));
                let answer = client
                    .put_records()
                    .stream_name(&stream)
                    .set_records(Some(entries.collect()))
                    .send()
                    .await?;
                promise_eq!(answer.failed_record_count().unwrap_or(0), 0, "FailedRecordCount without limits");
            }
            finished.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Failure>(())
        });
    }

    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut places: Vec<(String, Option<String>)> = Vec::new();
    for shard in service.shards(&stream).await? {
        places.push((service.iterator(&stream, shard.shard_id(), TrimHorizon).await?, None));
    }
    loop {
        // What was acknowledged before a page was asked for must be in it or in an earlier one, so the last round is one asked for after the writers' end.
        let last = finished.load(Ordering::SeqCst) == WRITERS || writers.is_empty();
        let mut read = 0;
        for (iterator, before) in &mut places {
            let page = service.page(iterator, None).await?;
            for record in page.records() {
                let sequence = record.sequence_number().to_owned();
                promise!(
                    before.as_deref().is_none_or(|before| numeric(before) < numeric(&sequence)),
                    "{before:?} was read before {sequence}"
                );
                *before = Some(sequence);
                *seen.entry(text(record)).or_default() += 1;
            }
            read += page.records().len();
            *iterator = page
                .next_shard_iterator
                .ok_or_else(|| Failure::Broken("an open shard ended".to_owned()))?;
        }
        if last && read == 0 {
            break;
        }
        if read == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        while let Some(writer) = writers.try_join_next() {
            writer.map_err(|error| Failure::Service(error.to_string()))??;
        }
    }
    while let Some(writer) = writers.join_next().await {
        writer.map_err(|error| Failure::Service(error.to_string()))??;
    }
    let lost = WRITERS * per_writer - seen.len();
    let doubled = seen.values().filter(|times| **times > 1).count();
    promise_eq!((lost, doubled), (0, 0), "records lost and doubled, of {}", WRITERS * per_writer);
    Ok(())
}
