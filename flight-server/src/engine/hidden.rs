//! The hidden columns: what is known of a record beside its message. Selectable by name, absent from `SELECT *` and DESCRIBE.

use datafusion::arrow::datatypes::{DataType, Field, TimeUnit};

/// A column that every table over a stream has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HiddenColumn {
    /// Id of the shard.
    ShardId,
    /// Sequence number, decimal, padded with zeros to 57 digits, so that text order is numeric order.
    ShardSequenceId,
    /// Number of the user record in an aggregated record; 0 where there is no aggregation.
    SubSequence,
    /// Sequence number at which the shard starts.
    SegmentStart,
    /// Sequence number at which the shard ends; NULL while it is open.
    SegmentEnd,
    /// 1-based ordinal of the record in the statement's range of its shard.
    SegmentCount,
    /// Partition key.
    PartitionKey,
    /// Approximate arrival time, UTC, ms.
    MessageTimestamp,
    /// The record's bytes.
    Message,
    /// Their number.
    MessageLength,
    /// Whether the whole definition could be applied to the record.
    MessageValid,
    /// Why not.
    MessageError,
    /// Index of the row within its record; 0 unless a record fans out.
    RowIndex,
    /// Sortable, unique in the stream.
    RowId,
    /// Whether the hash key of a user record out of an aggregate lies in the range of the shard that holds it; true for any other record.
    HashInRange,
}

impl HiddenColumn {
    /// All of them, in the order in which they follow the data columns.
    pub const ALL: [Self; 15] = [
        Self::ShardId,
        Self::ShardSequenceId,
        Self::SubSequence,
        Self::SegmentStart,
        Self::SegmentEnd,
        Self::SegmentCount,
        Self::PartitionKey,
        Self::MessageTimestamp,
        Self::Message,
        Self::MessageLength,
        Self::MessageValid,
        Self::MessageError,
        Self::RowIndex,
        Self::RowId,
        Self::HashInRange,
    ];

    /// Name in SQL.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShardId => "_shard_id",
            Self::ShardSequenceId => "_shard_sequence_id",
            Self::SubSequence => "_sub_sequence",
            Self::SegmentStart => "_segment_start",
            Self::SegmentEnd => "_segment_end",
            Self::SegmentCount => "_segment_count",
            Self::PartitionKey => "_partition_key",
            Self::MessageTimestamp => "_message_timestamp",
            Self::Message => "_message",
            Self::MessageLength => "_message_length",
            Self::MessageValid => "_message_valid",
            Self::MessageError => "_message_error",
            Self::RowIndex => "_row_index",
            Self::RowId => "_row_id",
            Self::HashInRange => "_hash_in_range",
        }
    }

    /// The column of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|column| column.name().eq_ignore_ascii_case(name))
    }

    /// As an Arrow field. Every column is nullable, as all columns of a result are.
    pub fn field(self) -> Field {
        let data_type = match self {
            Self::ShardId
            | Self::ShardSequenceId
            | Self::SegmentStart
            | Self::SegmentEnd
            | Self::PartitionKey
            | Self::MessageError
            | Self::RowId => DataType::Utf8,
            Self::SubSequence | Self::SegmentCount | Self::MessageLength | Self::RowIndex => DataType::Int64,
            Self::MessageTimestamp => DataType::Timestamp(TimeUnit::Millisecond, None),
            Self::Message => DataType::Binary,
            Self::MessageValid | Self::HashInRange => DataType::Boolean,
        };
        Field::new(self.name(), data_type, true)
    }

    /// Whether its value depends on the verdict on the record, so that all of the definition's columns must be decoded.
    pub const fn needs_verdict(self) -> bool {
        matches!(self, Self::MessageValid | Self::MessageError)
    }
}
