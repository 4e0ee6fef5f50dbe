//! Responses, as AWS defines them.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::stream::{SequenceText, ShardMetadata, StreamMode, shard_id};
use crate::wire::Timestamp;

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct HashKeyRange {
    starting_hash_key: String,
    ending_hash_key: String,
}

impl HashKeyRange {
    fn of(shard: &ShardMetadata) -> Self {
        Self {
            starting_hash_key: shard.hash_start.to_string(),
            ending_hash_key: shard.hash_end.to_string(),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct SequenceNumberRange {
    pub(crate) starting_sequence_number: SequenceText,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ending_sequence_number: Option<SequenceText>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ShardDescription {
    shard_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent_shard_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    adjacent_parent_shard_id: Option<String>,
    hash_key_range: HashKeyRange,
    sequence_number_range: SequenceNumberRange,
}

impl ShardDescription {
    pub(crate) fn new(shard: &ShardMetadata, sequence_number_range: SequenceNumberRange) -> Self {
        Self {
            shard_id: shard_id(shard.number),
            parent_shard_id: shard.parent.map(shard_id),
            adjacent_parent_shard_id: shard.adjacent_parent.map(shard_id),
            hash_key_range: HashKeyRange::of(shard),
            sequence_number_range,
        }
    }
}

/// A child as `GetRecords` shows it at the end of its parent.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ChildShard {
    shard_id: String,
    parent_shards: Vec<String>,
    hash_key_range: HashKeyRange,
}

impl ChildShard {
    pub(crate) fn of(shard: &ShardMetadata) -> Self {
        Self {
            shard_id: shard_id(shard.number),
            parent_shards: [shard.parent, shard.adjacent_parent].into_iter().flatten().map(shard_id).collect(),
            hash_key_range: HashKeyRange::of(shard),
        }
    }
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListShardsResponse {
    pub(crate) shards: Vec<ShardDescription>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamModeBody {
    pub(crate) stream_mode: StreamMode,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EnhancedMonitoring {
    pub(crate) shard_level_metrics: [&'static str; 0],
}

/// What `DescribeStream` and `DescribeStreamSummary` both say.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamFacts {
    pub(crate) stream_name: String,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
    pub(crate) stream_status: &'static str,
    pub(crate) stream_mode_details: StreamModeBody,
    pub(crate) retention_period_hours: u32,
    pub(crate) stream_creation_timestamp: Timestamp,
    pub(crate) enhanced_monitoring: [EnhancedMonitoring; 1],
    pub(crate) encryption_type: &'static str,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeStreamResponse {
    pub(crate) stream_description: StreamDescription,
}

macro_rules! with_stream_facts {
    ($name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Debug, Serialize)]
        #[serde(rename_all = "PascalCase")]
        pub(crate) struct $name {
            #[serde(flatten)]
            pub(crate) facts: StreamFacts,
            $($(#[$attribute])* pub(crate) $field: $type,)+
        }
    };
}

with_stream_facts!(StreamDescription { shards: Vec<ShardDescription>, has_more_shards: bool });
with_stream_facts!(StreamDescriptionSummary {
    open_shard_count: usize,
    consumer_count: usize,
    #[serde(rename = "MaxRecordSizeInKiB")]
    max_record_size: u32,
});

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeStreamSummaryResponse {
    pub(crate) stream_description_summary: StreamDescriptionSummary,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct StreamSummary {
    pub(crate) stream_name: String,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
    pub(crate) stream_status: &'static str,
    pub(crate) stream_mode_details: StreamModeBody,
    pub(crate) stream_creation_timestamp: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListStreamsResponse {
    pub(crate) stream_names: Vec<String>,
    pub(crate) stream_summaries: Vec<StreamSummary>,
    pub(crate) has_more_streams: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutRecordResponse {
    pub(crate) shard_id: String,
    pub(crate) sequence_number: SequenceText,
}

/// One entry's result: either the first two or the last two.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutResult {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sequence_number: Option<SequenceText>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shared_text")]
    pub(crate) shard_id: Option<Arc<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error_message: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PutRecordsResponse {
    pub(crate) failed_record_count: usize,
    pub(crate) records: Vec<PutResult>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct GetShardIteratorResponse {
    pub(crate) shard_iterator: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct UpdateShardCountResponse {
    pub(crate) stream_name: String,
    pub(crate) current_shard_count: usize,
    pub(crate) target_shard_count: u32,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Tag {
    pub(crate) key: String,
    pub(crate) value: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListTagsResponse {
    pub(crate) tags: Vec<Tag>,
    pub(crate) has_more_tags: bool,
}

/// A registered consumer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Consumer {
    pub(crate) consumer_name: String,
    #[serde(rename = "ConsumerARN")]
    pub(crate) consumer_arn: String,
    pub(crate) consumer_status: &'static str,
    pub(crate) consumer_creation_timestamp: Timestamp,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct RegisterStreamConsumerResponse {
    pub(crate) consumer: Consumer,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ConsumerDescription {
    #[serde(flatten)]
    pub(crate) consumer: Consumer,
    #[serde(rename = "StreamARN")]
    pub(crate) stream_arn: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct DescribeStreamConsumerResponse {
    pub(crate) consumer_description: ConsumerDescription,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ListStreamConsumersResponse {
    pub(crate) consumers: Vec<Consumer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next_token: Option<String>,
}

fn shared_text<S: Serializer>(text: &Option<Arc<str>>, serializer: S) -> Result<S::Ok, S::Error> {
    text.as_deref().serialize(serializer)
}
