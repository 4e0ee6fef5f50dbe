//! What is refused before anything is stored.

use aws_sdk_kinesis::primitives::Blob;

use super::service::{Checked, Service, entry, promise_eq, refused};

const INVALID: &[&str] = &["ValidationException", "InvalidArgumentException"];

async fn nothing_was_stored(service: &Service, stream: &str) -> Checked {
    for shard in service.shards(stream).await? {
        promise_eq!(
            service.read_all(stream, shard.shard_id()).await?.len(),
            0,
            "records of {}",
            shard.shard_id()
        );
    }
    Ok(())
}

pub(super) async fn more_than_500_records_are_refused(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let entries = (0..501).map(|number| entry(&number.to_string(), b"x")).collect();
    let answer = service
        .client
        .put_records()
        .stream_name(&stream)
        .set_records(Some(entries))
        .send()
        .await;
    refused(answer.map(|answer| answer.records.len()), "501 records", INVALID)?;
    nothing_was_stored(service, &stream).await
}

pub(super) async fn a_record_beyond_one_mebibyte_is_refused(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let put = service
        .client
        .put_record()
        .stream_name(&stream)
        .partition_key("k")
        .data(Blob::new(vec![7; (1 << 20) + 1]));
    refused(put.send().await, "a record of 1 MiB and a byte", INVALID)?;
    nothing_was_stored(service, &stream).await
}

pub(super) async fn partition_keys_have_1_to_256_characters(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    for key in [String::new(), "x".repeat(257)] {
        let put = service
            .client
            .put_record()
            .stream_name(&stream)
            .partition_key(&key)
            .data(Blob::new("x"));
        refused(put.send().await, &format!("a partition key of {} characters", key.len()), INVALID)?;
    }
    nothing_was_stored(service, &stream).await
}

pub(super) async fn an_explicit_hash_key_is_a_128_bit_number(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    for key in ["340282366920938463463374607431768211456", "-1", "ten"] {
        let put = service
            .client
            .put_record()
            .stream_name(&stream)
            .partition_key("k")
            .explicit_hash_key(key)
            .data(Blob::new("x"));
        refused(put.send().await, &format!("explicit hash key {key}"), INVALID)?;
    }
    nothing_was_stored(service, &stream).await
}

pub(super) async fn an_empty_batch_is_refused(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    refused(
        service
            .client
            .put_records()
            .stream_name(&stream)
            .set_records(Some(Vec::new()))
            .send()
            .await,
        "no records",
        INVALID,
    )
}
