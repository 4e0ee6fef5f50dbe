//! Known deviations of test services from what Kinesis promises, by name.

/// One deviation.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Deviation {
    /// A stream cannot be created on demand, or the shard count is wanted all the same.
    OnDemandRefused,
    /// A stream created on demand has one shard instead of four.
    OnDemandOneShard,
    /// Some calls take a stream's name but not its ARN.
    ArnRefused,
    /// Sequence numbers are not numbers of 56 digits.
    ShortSequenceNumbers,
    /// Arrival times are cut to whole seconds, so AT_TIMESTAMP is off by up to a second.
    ArrivalInWholeSeconds,
    /// AT_TIMESTAMP later than the last record reads the whole shard.
    TimestampAfterLastReadsAll,
    /// MillisBehindLatest is 0 however far behind the reader is.
    NeverBehind,
    /// A page may hold more than 10 MiB.
    NoPageByteCap,
    /// A Limit beyond 10,000 is accepted.
    LimitUnchecked,
    /// An iterator that is none is answered with something else than InvalidArgumentException.
    BadIteratorOtherError,
    /// ListShards ignores its ShardFilter.
    ShardFilterIgnored,
    /// The ShardFilters by time list shards that were closed by then.
    TimeFilterListsClosed,
    /// ListShards refuses the ShardFilters by time.
    TimeShardFilterRefused,
    /// The NextToken of ListShards does not lead to the next page.
    NextTokenBroken,
    /// A shard that was split or merged disappears with its records.
    ClosedShardsDeleted,
    /// The shards that UpdateShardCount makes do not name their parents.
    UpdateWithoutLineage,
    /// UpdateShardCount accepts more than twice the shards.
    UpdateBeyondDouble,
    /// The last page of a closed shard does not name the children.
    NoChildShards,
    /// PutRecords accepts more than 500 records.
    BatchCountUnchecked,
    /// PutRecords accepts no records.
    EmptyBatchAccepted,
    /// An explicit hash key that is no 128-bit number is accepted, or answered with an internal error.
    ExplicitHashKeyUnchecked,
    /// Shards whose ranges do not touch can be merged.
    MergeUnchecked,
    /// SubscribeToShard is not answered.
    NoSubscriptions,
    /// SubscribeToShard reads its starting position only as far as its type, and begins at the trim horizon.
    SubscriptionsStartAtHorizon,
    /// Consumer and shard have as many subscriptions at once as are asked for.
    SubscriptionsNotExclusive,
    /// A subscription that is refused is given, and ends with an error event.
    SubscriptionsRefusedByEvent,
    /// The continuation of an idle subscription stays where it is.
    IdleContinuationStands,
    /// The subscription of a shard that ends does not tell so, or not with the children.
    SubscriptionEndUntold,
    /// A stream that has consumers is deleted without EnforceConsumerDeletion, or it is gone although that was refused.
    DeletesWithConsumers,
    /// DescribeStreamConsumer does not name the stream.
    ConsumerWithoutStream,
    /// Arrival times are kept finer than milliseconds, so AT_TIMESTAMP at a reported time may pass its record by.
    ArrivalBelowMilliseconds,
    /// MillisBehindLatest is rounded down to 0 while records of the same millisecond wait.
    DistanceRoundedToZero,
}

impl Deviation {
    /// Whether it shows whenever it is looked for. The others depend on the millisecond at which the service does something.
    pub const fn is_certain(self) -> bool {
        !matches!(
            self,
            Self::TimeFilterListsClosed
                | Self::SubscriptionEndUntold
                | Self::DeletesWithConsumers
                | Self::ArrivalBelowMilliseconds
                | Self::DistanceRoundedToZero
        )
    }
}
