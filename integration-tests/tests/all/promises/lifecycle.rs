//! Streams come and go.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_kinesis::primitives::Blob;
use aws_sdk_kinesis::types::{ShardIteratorType, StreamMode, StreamModeDetails};

use super::service::{Checked, Failure, Service, promise, promise_eq, refused, texts};

const NOT_FOUND: &[&str] = &["ResourceNotFoundException"];
const INVALID: &[&str] = &["InvalidArgumentException", "ValidationException"];

pub(super) async fn a_stream_is_created_described_listed_and_deleted(service: &Service) -> Checked {
    let stream = service.stream(2).await?;
    let summary = service.summary(&stream).await?;
    promise_eq!(summary.stream_name(), stream, "StreamName");
    promise!(
        summary.stream_arn().ends_with(&format!(":stream/{stream}")),
        "StreamARN {}",
        summary.stream_arn()
    );
    promise_eq!(summary.open_shard_count(), 2, "OpenShardCount");
    promise_eq!(summary.retention_period_hours(), 24, "RetentionPeriodHours");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let created = summary.stream_creation_timestamp().secs();
    promise!(
        created.abs_diff(now as i64) < 300,
        "StreamCreationTimestamp {created}, and now is {now}"
    );
    promise_eq!(service.shards(&stream).await?.len(), 2, "shards");

    let mut names = Vec::new();
    loop {
        let page = service
            .client
            .list_streams()
            .set_exclusive_start_stream_name(names.last().cloned())
            .send()
            .await?;
        promise!(
            !page.has_more_streams() || !page.stream_names().is_empty(),
            "HasMoreStreams with an empty page"
        );
        names.extend(page.stream_names().iter().cloned());
        if !page.has_more_streams() {
            break;
        }
    }
    promise!(names.contains(&stream), "ListStreams does not list {stream}");

    service.client.delete_stream().stream_name(&stream).send().await?;
    service.until_gone(&stream).await
}

pub(super) async fn a_name_is_taken_once(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let again = service.client.create_stream().stream_name(&stream).shard_count(1).send().await;
    refused(again, "a second stream of the same name", &["ResourceInUseException"])?;
    service.put(&stream, "k", "before").await?;
    service.client.delete_stream().stream_name(&stream).send().await?;
    service.until_gone(&stream).await?;
    service.client.create_stream().stream_name(&stream).shard_count(1).send().await?;
    service.until_active(&stream).await?;
    let shard = service.shards(&stream).await?.remove(0);
    promise_eq!(
        texts(&service.read_all(&stream, shard.shard_id()).await?),
        Vec::<String>::new(),
        "records of the stream before"
    );
    Ok(())
}

pub(super) async fn an_unknown_stream_is_not_found(service: &Service) -> Checked {
    let client = &service.client;
    let name = "there-is-none";
    refused(
        client.describe_stream_summary().stream_name(name).send().await,
        "DescribeStreamSummary",
        NOT_FOUND,
    )?;
    refused(client.list_shards().stream_name(name).send().await, "ListShards", NOT_FOUND)?;
    refused(
        client
            .put_record()
            .stream_name(name)
            .partition_key("k")
            .data(Blob::new("d"))
            .send()
            .await,
        "PutRecord",
        NOT_FOUND,
    )?;
    refused(client.delete_stream().stream_name(name).send().await, "DeleteStream", NOT_FOUND)?;
    let iterator = client.get_shard_iterator().stream_name(name).shard_id("shardId-000000000000");
    refused(
        iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await,
        "GetShardIterator",
        NOT_FOUND,
    )
}

pub(super) async fn a_stream_on_demand_has_four_shards(service: &Service) -> Checked {
    let stream = service.stream_name();
    let mode = StreamModeDetails::builder().stream_mode(StreamMode::OnDemand).build().unwrap();
    service
        .client
        .create_stream()
        .stream_name(&stream)
        .stream_mode_details(mode)
        .send()
        .await?;
    let summary = service.until_active(&stream).await?;
    promise_eq!(
        summary.stream_mode_details().map(StreamModeDetails::stream_mode),
        Some(&StreamMode::OnDemand),
        "StreamMode"
    );
    promise_eq!(summary.open_shard_count(), 4, "OpenShardCount");
    Ok(())
}

pub(super) async fn retention_goes_up_and_down_within_its_bounds(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let increase = |hours| {
        service
            .client
            .increase_stream_retention_period()
            .stream_name(&stream)
            .retention_period_hours(hours)
            .send()
    };
    let decrease = |hours| {
        service
            .client
            .decrease_stream_retention_period()
            .stream_name(&stream)
            .retention_period_hours(hours)
            .send()
    };
    increase(48).await?;
    promise_eq!(
        service.until_active(&stream).await?.retention_period_hours(),
        48,
        "after the increase"
    );
    refused(increase(36).await, "an increase from 48 to 36 hours", INVALID)?;
    refused(increase(8761).await, "8,761 hours", INVALID)?;
    decrease(24).await?;
    promise_eq!(
        service.until_active(&stream).await?.retention_period_hours(),
        24,
        "after the decrease"
    );
    refused(decrease(23).await, "23 hours", INVALID)
}

pub(super) async fn an_arn_names_a_stream_in_every_call(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let arn = service.summary(&stream).await?.stream_arn;
    let client = &service.client;
    let summary = client.describe_stream_summary().stream_arn(&arn).send().await?;
    promise_eq!(
        summary.stream_description_summary().map(|summary| summary.stream_name()),
        Some(stream.as_str()),
        "DescribeStreamSummary"
    );
    let shards = client.list_shards().stream_arn(&arn).send().await?;
    promise_eq!(shards.shards().len(), 1, "ListShards");
    client
        .put_record()
        .stream_arn(&arn)
        .partition_key("k")
        .data(Blob::new("one"))
        .send()
        .await?;
    let entries = Some(vec![super::service::entry("k", b"two")]);
    client.put_records().stream_arn(&arn).set_records(entries).send().await?;
    let iterator = client.get_shard_iterator().stream_arn(&arn).shard_id(shards.shards()[0].shard_id());
    let iterator = iterator
        .shard_iterator_type(ShardIteratorType::TrimHorizon)
        .send()
        .await?
        .shard_iterator;
    let iterator = iterator.ok_or_else(|| Failure::Broken("no ShardIterator".to_owned()))?;
    let page = client.get_records().stream_arn(&arn).shard_iterator(iterator).send().await?;
    promise_eq!(texts(page.records()), ["one", "two"], "GetRecords");
    Ok(())
}
