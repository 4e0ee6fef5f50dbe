//! Registered consumers, and subscriptions to shards.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::StalledStreamProtectionConfig;
use aws_sdk_kinesis::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_kinesis::operation::subscribe_to_shard::SubscribeToShardOutput;
use aws_sdk_kinesis::primitives::DateTime;
use aws_sdk_kinesis::types::builders::StartingPositionBuilder;
use aws_sdk_kinesis::types::{
    ConsumerStatus, Shard, ShardIteratorType, StartingPosition, SubscribeToShardEvent, SubscribeToShardEventStream,
};

use super::service::{Checked, Failure, Service, arrival, is_open, numeric, promise, promise_eq, refused, texts};

/// An event without records comes about every 5 s, so a service that has nothing to say for so long says nothing.
const PATIENCE: Duration = Duration::from_secs(12);

/// For so long after a subscription succeeded the pair of consumer and shard gets no other (SubscribeToShard).
const EXCLUSIVE: Duration = Duration::from_millis(5_200);

struct Consumer<'s> {
    service: &'s Service,
    stream: String,
    shard: Shard,
    arn: String,
}

struct Events(SubscribeToShardOutput);

impl Service {
    async fn stream_arn(&self, stream: &str) -> Checked<String> {
        Ok(self.summary(stream).await?.stream_arn)
    }

    async fn register(&self, stream_arn: &str, name: &str) -> Checked<String> {
        let reply = self
            .client
            .register_stream_consumer()
            .stream_arn(stream_arn)
            .consumer_name(name)
            .send()
            .await?;
        let consumer = reply.consumer.ok_or_else(|| Failure::Broken("no Consumer".to_owned()))?;
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let described = self
                .client
                .describe_stream_consumer()
                .consumer_arn(&consumer.consumer_arn)
                .send()
                .await?;
            let status = described.consumer_description.map(|description| description.consumer_status);
            if status == Some(ConsumerStatus::Active) {
                return Ok(consumer.consumer_arn);
            }
            promise!(Instant::now() < deadline, "{name} is still {status:?} after 30 s");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A consumer of a new stream of one shard.
    async fn consumer(&self) -> Checked<Consumer<'_>> {
        let stream = self.stream(1).await?;
        let shard = self.shards(&stream).await?.remove(0);
        let arn = self.register(&self.stream_arn(&stream).await?, "reader").await?;
        Ok(Consumer {
            service: self,
            stream,
            shard,
            arn,
        })
    }
}

fn from(kind: ShardIteratorType) -> StartingPositionBuilder {
    StartingPosition::builder().r#type(kind)
}

impl Consumer<'_> {
    /// A subscription is silent for seconds; the SDK would take that for a stall.
    fn client(&self) -> Client {
        let config = self.service.client.config().to_builder();
        Client::from_conf(config.stalled_stream_protection(StalledStreamProtectionConfig::disabled()).build())
    }

    async fn subscribe(&self, start: StartingPositionBuilder) -> Checked<Events> {
        let start = start.build().map_err(|error| Failure::Broken(error.to_string()))?;
        let request = self.client().subscribe_to_shard().consumer_arn(&self.arn).starting_position(start);
        Ok(Events(request.shard_id(self.shard.shard_id()).send().await?))
    }

    /// Subscribes when the service takes another subscription of the pair: 5 s after the last one.
    async fn subscribe_anew(&self, start: StartingPositionBuilder) -> Checked<Events> {
        tokio::time::sleep(EXCLUSIVE).await;
        self.subscribe(start).await
    }
}

impl Events {
    /// What comes next; `None` at the end.
    async fn next(&mut self) -> Checked<Option<SubscribeToShardEvent>> {
        let next = tokio::time::timeout(PATIENCE, self.0.event_stream.recv()).await;
        let next = next.map_err(|_| Failure::Broken(format!("no event within {PATIENCE:?}")))?;
        match next {
            Ok(Some(SubscribeToShardEventStream::SubscribeToShardEvent(event))) => Ok(Some(event)),
            Ok(None) => Ok(None),
            Ok(other) => Err(Failure::Broken(format!("an event of an unknown kind: {other:?}"))),
            Err(SdkError::ServiceError(error)) => Err(Failure::Broken(format!("an error event: {:?}", error.err().code()))),
            Err(error) => Err(Failure::Broken(format!("{}", DisplayErrorContext(error)))),
        }
    }

    async fn event(&mut self) -> Checked<SubscribeToShardEvent> {
        self.next()
            .await?
            .ok_or_else(|| Failure::Broken("the subscription ends".to_owned()))
    }

    /// The texts of so many records, and the last event.
    async fn records(&mut self, count: usize) -> Checked<(Vec<String>, SubscribeToShardEvent)> {
        let mut read = Vec::new();
        loop {
            let event = self.event().await?;
            read.extend(texts(event.records()));
            if read.len() >= count {
                return Ok((read, event));
            }
        }
    }
}

async fn put(consumer: &Consumer<'_>, texts: &[&str]) -> Checked<Vec<String>> {
    let mut sequences = Vec::new();
    for text in texts {
        sequences.push(consumer.service.put(&consumer.stream, "k", text).await?);
    }
    Ok(sequences)
}

pub(super) async fn a_consumer_is_registered_listed_and_deregistered(service: &Service) -> Checked {
    let stream = service.stream(1).await?;
    let stream_arn = service.stream_arn(&stream).await?;
    promise_eq!(service.summary(&stream).await?.consumer_count().unwrap_or(0), 0, "ConsumerCount");
    let mut arns = BTreeSet::new();
    for name in ["one", "two"] {
        arns.insert(service.register(&stream_arn, name).await?);
    }
    promise_eq!(service.summary(&stream).await?.consumer_count().unwrap_or(0), 2, "ConsumerCount");
    let listed = service.client.list_stream_consumers().stream_arn(&stream_arn).send().await?;
    let listed: BTreeSet<_> = listed
        .consumers
        .unwrap_or_default()
        .into_iter()
        .map(|consumer| consumer.consumer_arn)
        .collect();
    promise_eq!(listed, arns, "the list");
    let by_name = service
        .client
        .describe_stream_consumer()
        .stream_arn(&stream_arn)
        .consumer_name("one");
    let description = by_name.send().await?.consumer_description;
    let description = description.ok_or_else(|| Failure::Broken("no ConsumerDescription".to_owned()))?;
    promise!(
        arns.contains(&description.consumer_arn),
        "{} is another one",
        description.consumer_arn
    );
    promise_eq!(description.stream_arn, stream_arn, "StreamARN");
    let again = service
        .client
        .register_stream_consumer()
        .stream_arn(&stream_arn)
        .consumer_name("one");
    refused(again.send().await, "a name that is taken", &["ResourceInUseException"])?;
    let gone = service.client.deregister_stream_consumer().consumer_arn(&description.consumer_arn);
    gone.send().await?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let described = service.client.describe_stream_consumer().consumer_arn(&description.consumer_arn);
        match described.send().await {
            Ok(_) if Instant::now() < deadline => tokio::time::sleep(Duration::from_millis(20)).await,
            other => return refused(other, "a consumer that is gone", &["ResourceNotFoundException"]),
        }
    }
}

pub(super) async fn a_stream_with_consumers_is_deleted_by_force_only(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    let delete = service.client.delete_stream().stream_name(&consumer.stream);
    let plain = delete.clone().send().await;
    refused(plain, "a stream that has consumers", &["ResourceInUseException"])?;
    delete.enforce_consumer_deletion(true).send().await?;
    service.until_gone(&consumer.stream).await
}

pub(super) async fn a_subscription_pushes_records_as_they_come(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    let mut events = consumer.subscribe(from(ShardIteratorType::Latest)).await?;
    for round in 0..3 {
        let sequences = put(&consumer, &[&format!("a{round}"), &format!("b{round}")]).await?;
        let (read, last) = events.records(2).await?;
        promise_eq!(read, [format!("a{round}"), format!("b{round}")], "what is pushed");
        promise!(
            numeric(last.continuation_sequence_number()) >= numeric(&sequences[1]),
            "{} is not yet {}",
            last.continuation_sequence_number(),
            sequences[1]
        );
        promise_eq!(last.millis_behind_latest(), 0, "MillisBehindLatest at the tip");
        let pushed = last.records().last().map(|record| record.sequence_number().to_owned());
        promise_eq!(pushed, Some(sequences[1].clone()), "the last record");
    }
    Ok(())
}

/// Each of the five, and each time from the same records.
pub(super) async fn a_subscription_starts_where_it_is_told(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    let sequences = put(&consumer, &["0", "1"]).await?;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    put(&consumer, &["2", "3"]).await?;
    let all = service.read_all(&consumer.stream, consumer.shard.shard_id()).await?;
    let third = arrival(&all[2])?;
    let cases = [
        ("TRIM_HORIZON", from(ShardIteratorType::TrimHorizon), 0),
        (
            "AT_SEQUENCE_NUMBER",
            from(ShardIteratorType::AtSequenceNumber).sequence_number(&sequences[1]),
            1,
        ),
        (
            "AFTER_SEQUENCE_NUMBER",
            from(ShardIteratorType::AfterSequenceNumber).sequence_number(&sequences[1]),
            2,
        ),
        (
            "AT_TIMESTAMP",
            // records of one moment, to the resolution of any service
            from(ShardIteratorType::AtTimestamp).timestamp(DateTime::from_millis(third - 50)),
            2,
        ),
    ];
    for (name, start, first) in cases {
        let mut events = consumer.subscribe_anew(start).await?;
        let (read, _) = events.records(4 - first).await?;
        promise_eq!(read, (first..4).map(|number| number.to_string()).collect::<Vec<_>>(), "from {name}");
    }
    let mut events = consumer.subscribe_anew(from(ShardIteratorType::Latest)).await?;
    put(&consumer, &["4"]).await?;
    promise_eq!(events.records(1).await?.0, ["4"], "from LATEST");
    Ok(())
}

pub(super) async fn a_subscription_goes_on_after_its_continuation(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    put(&consumer, &["0", "1"]).await?;
    let mut events = consumer.subscribe(from(ShardIteratorType::TrimHorizon)).await?;
    let (_, last) = events.records(2).await?;
    drop(events);
    put(&consumer, &["2"]).await?;
    let after = from(ShardIteratorType::AfterSequenceNumber).sequence_number(last.continuation_sequence_number());
    promise_eq!(
        consumer.subscribe_anew(after).await?.records(1).await?.0,
        ["2"],
        "after the continuation"
    );
    Ok(())
}

/// A shard where nothing happens is heard of all the same, and what comes later follows its continuation.
pub(super) async fn an_idle_subscription_beats_and_advances(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    let sequence = put(&consumer, &["0"]).await?.remove(0);
    let mut events = consumer.subscribe(from(ShardIteratorType::TrimHorizon)).await?;
    events.records(1).await?;
    let beat = events.event().await?;
    promise!(beat.records().is_empty(), "records where none were put");
    promise!(
        numeric(beat.continuation_sequence_number()) > numeric(&sequence),
        "{} is not beyond {sequence}",
        beat.continuation_sequence_number()
    );
    drop(events);
    put(&consumer, &["1"]).await?;
    let after = from(ShardIteratorType::AfterSequenceNumber).sequence_number(beat.continuation_sequence_number());
    promise_eq!(
        consumer.subscribe_anew(after).await?.records(1).await?.0,
        ["1"],
        "after the continuation"
    );
    Ok(())
}

pub(super) async fn the_end_of_a_shard_ends_its_subscription_and_names_its_children(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    put(&consumer, &["0"]).await?;
    let mut events = consumer.subscribe(from(ShardIteratorType::TrimHorizon)).await?;
    events.records(1).await?;
    super::resharding::split(service, &consumer.stream, &consumer.shard).await?;
    let children: BTreeSet<String> = service
        .shards(&consumer.stream)
        .await?
        .into_iter()
        .filter(is_open)
        .map(|shard| shard.shard_id)
        .collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let event = events.event().await?;
        if event.continuation_sequence_number().is_empty() {
            let named: BTreeSet<String> = event.child_shards().iter().map(|child| child.shard_id.clone()).collect();
            promise_eq!(named, children, "ChildShards");
            promise!(events.next().await?.is_none(), "it goes on after the end of the shard");
            return Ok(());
        }
        promise!(Instant::now() < deadline, "no end within {PATIENCE:?}");
    }
}

pub(super) async fn consumer_and_shard_have_one_subscription(service: &Service) -> Checked {
    let consumer = service.consumer().await?;
    let mut events = consumer.subscribe(from(ShardIteratorType::Latest)).await?;
    match consumer.subscribe(from(ShardIteratorType::Latest)).await {
        Ok(_) => promise!(false, "a second subscription is given at once"),
        Err(Failure::Broken(why)) => promise!(why.contains("ResourceInUseException"), "the second is refused otherwise: {why}"),
        Err(other) => return Err(other),
    }
    put(&consumer, &["0"]).await?;
    promise_eq!(events.records(1).await?.0, ["0"], "what the first still gets");
    Ok(())
}
