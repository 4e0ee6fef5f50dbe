//! Requests, as AWS defines them. Members that this service has no use for are ignored, as AWS ignores unknown ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::consumers::parse_arn;
use crate::operation::Operation;
use crate::stream::{ShardIterator, shard_id};
use crate::wire::{Blob, Protocol, Timestamp};

macro_rules! request {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub(crate) struct $name {
            pub(crate) stream_name: Option<String>,
            #[serde(rename = "StreamARN")]
            pub(crate) stream_arn: Option<String>,
            $($(#[$attribute])* pub(crate) $field: $type,)*
        }
    };
}

request!(CreateStream { shard_count: Option<i64>, stream_mode_details: Option<StreamModeDetails>, tags: Option<BTreeMap<String, String>> });
request!(
    /// `DescribeStreamSummary`.
    OnStream {}
);
request!(DeleteStream { enforce_consumer_deletion: Option<bool> });
request!(DescribeStream { limit: Option<i64>, exclusive_start_shard_id: Option<String> });
request!(ListStreams { limit: Option<i64>, exclusive_start_stream_name: Option<String>, next_token: Option<String> });
request!(ListShards {
    next_token: Option<String>,
    exclusive_start_shard_id: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Timestamp>,
    shard_filter: Option<ShardFilter>,
});
request!(PutRecord {
    data: Option<Blob>,
    partition_key: Option<String>,
    explicit_hash_key: Option<String>,
    sequence_number_for_ordering: Option<String>,
});
request!(PutRecords { records: Option<Vec<PutEntry>> });
request!(GetShardIterator {
    shard_id: Option<String>,
    shard_iterator_type: Option<String>,
    starting_sequence_number: Option<String>,
    timestamp: Option<Timestamp>,
});
request!(GetRecords { shard_iterator: Option<String>, limit: Option<i64> });
request!(SplitShard { shard_to_split: Option<String>, new_starting_hash_key: Option<String> });
request!(MergeShards { shard_to_merge: Option<String>, adjacent_shard_to_merge: Option<String> });
request!(UpdateShardCount { target_shard_count: Option<i64>, scaling_type: Option<String> });
request!(UpdateMaxRecordSize {
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size: Option<i64>,
});
request!(UpdateStreamMode { stream_mode_details: Option<StreamModeDetails> });
request!(ChangeRetention { retention_period_hours: Option<i64> });
request!(AddTags { tags: Option<BTreeMap<String, String>> });
request!(ListTags { exclusive_start_tag_key: Option<String>, limit: Option<i64> });
request!(RemoveTags { tag_keys: Option<Vec<String>> });

request!(RegisterStreamConsumer { consumer_name: Option<String> });
request!(ListStreamConsumers {
    next_token: Option<String>,
    max_results: Option<i64>,
    stream_creation_timestamp: Option<Timestamp>,
});
request!(
    /// `DeregisterStreamConsumer`, `DescribeStreamConsumer`.
    OnConsumer {
        consumer_name: Option<String>,
        #[serde(rename = "ConsumerARN")]
        consumer_arn: Option<String>,
    }
);
request!(SubscribeToShard {
    #[serde(rename = "ConsumerARN")]
    consumer_arn: Option<String>,
    shard_id: Option<String>,
    starting_position: Option<StartingPosition>,
});

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StartingPosition {
    #[serde(rename = "Type")]
    pub(crate) kind: Option<String>,
    pub(crate) sequence_number: Option<String>,
    pub(crate) timestamp: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct StreamModeDetails {
    pub(crate) stream_mode: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct ShardFilter {
    #[serde(rename = "Type")]
    pub(crate) kind: Option<String>,
    pub(crate) shard_id: Option<String>,
    pub(crate) timestamp: Option<Timestamp>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct PutEntry {
    pub(crate) data: Option<Blob>,
    pub(crate) partition_key: Option<String>,
    pub(crate) explicit_hash_key: Option<String>,
}

/// A request of any operation.
#[derive(Debug)]
pub(crate) enum Request {
    AddTagsToStream(AddTags),
    CreateStream(CreateStream),
    DecreaseStreamRetentionPeriod(ChangeRetention),
    DeleteStream(DeleteStream),
    DeregisterStreamConsumer(OnConsumer),
    DescribeStream(DescribeStream),
    DescribeStreamConsumer(OnConsumer),
    DescribeStreamSummary(OnStream),
    GetRecords(GetRecords),
    GetShardIterator(GetShardIterator),
    IncreaseStreamRetentionPeriod(ChangeRetention),
    ListShards(ListShards),
    ListStreamConsumers(ListStreamConsumers),
    ListStreams(ListStreams),
    ListTagsForStream(ListTags),
    MergeShards(MergeShards),
    PutRecord(PutRecord),
    PutRecords(PutRecords),
    RegisterStreamConsumer(RegisterStreamConsumer),
    RemoveTagsFromStream(RemoveTags),
    SplitShard(SplitShard),
    SubscribeToShard(SubscribeToShard),
    UpdateMaxRecordSize(UpdateMaxRecordSize),
    UpdateShardCount(UpdateShardCount),
    UpdateStreamMode(UpdateStreamMode),
}

macro_rules! for_each_operation {
    ($self:expr, $request:ident => $use:expr) => {
        match $self {
            Request::AddTagsToStream($request) => $use,
            Request::CreateStream($request) => $use,
            Request::DecreaseStreamRetentionPeriod($request) | Request::IncreaseStreamRetentionPeriod($request) => $use,
            Request::DeleteStream($request) => $use,
            Request::DescribeStreamSummary($request) => $use,
            Request::DeregisterStreamConsumer($request) | Request::DescribeStreamConsumer($request) => $use,
            Request::DescribeStream($request) => $use,
            Request::GetRecords($request) => $use,
            Request::GetShardIterator($request) => $use,
            Request::ListShards($request) => $use,
            Request::ListStreamConsumers($request) => $use,
            Request::ListStreams($request) => $use,
            Request::ListTagsForStream($request) => $use,
            Request::MergeShards($request) => $use,
            Request::PutRecord($request) => $use,
            Request::PutRecords($request) => $use,
            Request::RegisterStreamConsumer($request) => $use,
            Request::RemoveTagsFromStream($request) => $use,
            Request::SplitShard($request) => $use,
            Request::SubscribeToShard($request) => $use,
            Request::UpdateMaxRecordSize($request) => $use,
            Request::UpdateShardCount($request) => $use,
            Request::UpdateStreamMode($request) => $use,
        }
    };
}

macro_rules! decode_each {
    ($operation:expr, $protocol:expr, $body:expr, $($name:ident),+ $(,)?) => {
        match $operation {
            $(Operation::$name => $protocol.decode($body).map(Request::$name),)+
        }
    };
}

impl Request {
    /// The message says what does not fit.
    pub(crate) fn decode(operation: Operation, protocol: Protocol, body: &[u8]) -> Result<Self, String> {
        decode_each!(
            operation,
            protocol,
            body,
            AddTagsToStream,
            CreateStream,
            DecreaseStreamRetentionPeriod,
            DeleteStream,
            DeregisterStreamConsumer,
            DescribeStream,
            DescribeStreamConsumer,
            DescribeStreamSummary,
            GetRecords,
            GetShardIterator,
            IncreaseStreamRetentionPeriod,
            ListShards,
            ListStreamConsumers,
            ListStreams,
            ListTagsForStream,
            MergeShards,
            PutRecord,
            PutRecords,
            RegisterStreamConsumer,
            RemoveTagsFromStream,
            SplitShard,
            SubscribeToShard,
            UpdateMaxRecordSize,
            UpdateShardCount,
            UpdateStreamMode,
        )
    }

    /// The names of the stream and the shard that the request is about, as far as it says.
    pub(crate) fn target(&self) -> (Option<String>, Option<String>) {
        if let Self::GetRecords(request) = self
            && let Some(iterator) = request.shard_iterator.as_deref().and_then(ShardIterator::decode)
        {
            return (Some(iterator.stream), Some(shard_id(iterator.shard)));
        }
        let consumer_arn = match self {
            Self::DeregisterStreamConsumer(request) | Self::DescribeStreamConsumer(request) => request.consumer_arn.as_deref(),
            Self::SubscribeToShard(request) => request.consumer_arn.as_deref(),
            _ => None,
        };
        let of_consumer = consumer_arn.and_then(parse_arn).map(|(stream, _)| stream.to_owned());
        let stream = for_each_operation!(self, request => match (&request.stream_name, of_consumer.as_ref().or(request.stream_arn.as_ref())) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(arn)) => arn.rsplit_once('/').map(|(_, name)| name.to_owned()),
            (None, None) => None,
        });
        let shard = match self {
            Self::GetShardIterator(request) => request.shard_id.clone(),
            Self::SplitShard(request) => request.shard_to_split.clone(),
            Self::MergeShards(request) => request.shard_to_merge.clone(),
            Self::SubscribeToShard(request) => request.shard_id.clone(),
            _ => None,
        };
        (stream, shard)
    }
}
