//! The protobuf messages (`messages.proto` of awslabs/amazon-kinesis-client), derived by hand.
//!
//! Embedded messages and strings are declared as bytes, which is the same on the wire: user records are then parsed one by one where they lie, a
//! required field that is missing can be told from an empty one, and a text that is not UTF-8 does not hide the rest.

use bytes::Bytes;
use prost::Message;

/// `AggregatedRecord`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct AggregatedRecord {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    pub(super) partition_keys: Vec<Bytes>,
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub(super) explicit_hash_keys: Vec<Bytes>,
    /// Each a [`UserRecord`].
    #[prost(bytes = "bytes", repeated, tag = "3")]
    pub(super) records: Vec<Bytes>,
}

/// `Record`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct UserRecord {
    /// Required.
    #[prost(uint64, optional, tag = "1")]
    pub(super) partition_key_index: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) explicit_hash_key_index: Option<u64>,
    /// Required.
    #[prost(bytes = "bytes", optional, tag = "3")]
    pub(super) data: Option<Bytes>,
    /// Each a [`Tag`]; nobody writes them.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub(super) tags: Vec<Bytes>,
}

/// `Tag`.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Tag {
    /// Required.
    #[prost(bytes = "bytes", optional, tag = "1")]
    pub(super) key: Option<Bytes>,
    #[prost(bytes = "bytes", optional, tag = "2")]
    pub(super) value: Option<Bytes>,
}
