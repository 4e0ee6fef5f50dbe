//! Requests, as AWS defines them. Members that this service has no use for are ignored, as AWS ignores unknown ones.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::operation::Operation;
use crate::stream::{ShardIterator, shard_id};
use crate::wire::{Blob, Protocol, Timestamp};

macro_rules! request {
    ($(#[$doc:meta])* $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(rename_all = "PascalCase", default)]
        pub(crate) struct $name {
            pub(crate) stream_name: Option<String>,
            #[serde(rename = "StreamARN")]
            pub(crate) stream_arn: Option<String>,
            $(pub(crate) $field: $type,)*
        }
    };
}

request!(CreateStream { shard_count: Option<i64>, stream_mode_details: Option<StreamModeDetails>, tags: Option<BTreeMap<String, String>> });
request!(
    /// `DeleteStream`, `DescribeStreamSummary`.
    OnStream {}
);
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
request!(UpdateStreamMode { stream_mode_details: Option<StreamModeDetails> });
request!(ChangeRetention { retention_period_hours: Option<i64> });
request!(AddTags { tags: Option<BTreeMap<String, String>> });
request!(ListTags { exclusive_start_tag_key: Option<String>, limit: Option<i64> });
request!(RemoveTags { tag_keys: Option<Vec<String>> });

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
    DeleteStream(OnStream),
    DescribeStream(DescribeStream),
    DescribeStreamSummary(OnStream),
    GetRecords(GetRecords),
    GetShardIterator(GetShardIterator),
    IncreaseStreamRetentionPeriod(ChangeRetention),
    ListShards(ListShards),
    ListStreams(ListStreams),
    ListTagsForStream(ListTags),
    MergeShards(MergeShards),
    PutRecord(PutRecord),
    PutRecords(PutRecords),
    RemoveTagsFromStream(RemoveTags),
    SplitShard(SplitShard),
    UpdateShardCount(UpdateShardCount),
    UpdateStreamMode(UpdateStreamMode),
}

macro_rules! for_each_operation {
    ($self:expr, $request:ident => $use:expr) => {
        match $self {
            Request::AddTagsToStream($request) => $use,
            Request::CreateStream($request) => $use,
            Request::DecreaseStreamRetentionPeriod($request) | Request::IncreaseStreamRetentionPeriod($request) => $use,
            Request::DeleteStream($request) | Request::DescribeStreamSummary($request) => $use,
            Request::DescribeStream($request) => $use,
            Request::GetRecords($request) => $use,
            Request::GetShardIterator($request) => $use,
            Request::ListShards($request) => $use,
            Request::ListStreams($request) => $use,
            Request::ListTagsForStream($request) => $use,
            Request::MergeShards($request) => $use,
            Request::PutRecord($request) => $use,
            Request::PutRecords($request) => $use,
            Request::RemoveTagsFromStream($request) => $use,
            Request::SplitShard($request) => $use,
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
            DescribeStream,
            DescribeStreamSummary,
            GetRecords,
            GetShardIterator,
            IncreaseStreamRetentionPeriod,
            ListShards,
            ListStreams,
            ListTagsForStream,
            MergeShards,
            PutRecord,
            PutRecords,
            RemoveTagsFromStream,
            SplitShard,
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
        let stream = for_each_operation!(self, request => match (&request.stream_name, &request.stream_arn) {
            (Some(name), _) => Some(name.clone()),
            (None, Some(arn)) => arn.rsplit_once('/').map(|(_, name)| name.to_owned()),
            (None, None) => None,
        });
        let shard = match self {
            Self::GetShardIterator(request) => request.shard_id.clone(),
            Self::SplitShard(request) => request.shard_to_split.clone(),
            Self::MergeShards(request) => request.shard_to_merge.clone(),
            _ => None,
        };
        (stream, shard)
    }
}
