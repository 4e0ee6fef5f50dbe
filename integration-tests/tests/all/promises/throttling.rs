//! PutRecords under a shard's write limit: some entries fail, and the answer says which.

use std::collections::BTreeSet;

use integration_tests::backends::Backend;

use super::service::{Checked, Service, entry, promise, promise_eq, texts};

/// A shard takes 1,000 records a second; a burst of 2,000 is refused in part, entry by entry, and exactly the acknowledged ones are there.
async fn a_burst_is_refused_in_part(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let mut acknowledged = BTreeSet::new();
    let mut refused = 0;
    for batch in 0..4 {
        let numbers: Vec<usize> = (batch * 500..(batch + 1) * 500).collect();
        let entries = numbers
            .iter()
            .map(|number| entry(&format!("k{number}"), number.to_string().as_bytes()))
            .collect();
        let answer = service
            .client
            .put_records()
            .stream_name(&stream)
            .set_records(Some(entries))
            .send()
            .await?;
        promise_eq!(answer.records().len(), 500, "entries of the answer");
        let mut failed = 0;
        for (number, result) in numbers.iter().zip(answer.records()) {
            match (result.sequence_number(), result.error_code()) {
                (Some(_), None) => {
                    acknowledged.insert(number.to_string());
                }
                (None, Some("ProvisionedThroughputExceededException")) => {
                    promise!(result.error_message().is_some(), "a failed entry without a message");
                    failed += 1;
                }
                _ => promise!(false, "an entry that is neither acknowledged nor throttled: {result:?}"),
            }
        }
        promise_eq!(
            answer.failed_record_count().unwrap_or(0),
            failed,
            "FailedRecordCount, and the failed entries"
        );
        refused += failed;
    }
    promise!(refused > 0, "2,000 records at once are all acknowledged");
    promise!(
        acknowledged.len() >= 900,
        "only {} of 2,000 records are acknowledged",
        acknowledged.len()
    );
    let shard = service.shards(&stream).await?.remove(0);
    let read = texts(&service.read_all(&stream, shard.shard_id()).await?);
    promise_eq!(read.len(), acknowledged.len(), "records read, and acknowledged");
    promise_eq!(read.into_iter().collect::<BTreeSet<_>>(), acknowledged, "records read");
    Ok(())
}

#[test]
fn embedded_with_limits() {
    super::examine(Backend::EmbeddedLimited, "a_burst_is_refused_in_part", &[], |service| {
        Box::pin(a_burst_is_refused_in_part(service))
    });
}

#[test]
fn ferrokinesis_with_limits() {
    super::examine(Backend::FerrokinesisLimited, "a_burst_is_refused_in_part", &[], |service| {
        Box::pin(a_burst_is_refused_in_part(service))
    });
}
