//! AWS's list prices, in dollars, for one region, as of a date. Other regions have others; agreements too.

/// Where they stand.
pub(super) const SOURCE: &str = "https://aws.amazon.com/kinesis/data-streams/pricing/";
/// When they stood there.
pub(super) const AS_OF: &str = "end of 2024";
/// For which region.
pub(super) const REGION: &str = "us-east-1";

/// A shard for an hour, provisioned.
pub(super) const SHARD_HOUR: f64 = 0.015;
/// A shard for an hour with more than 24 hours of retention, beside the above.
pub(super) const EXTENDED_SHARD_HOUR: f64 = 0.020;
/// A stream for an hour, on demand.
pub(super) const ON_DEMAND_STREAM_HOUR: f64 = 0.040;
/// A shard for an hour and consumer of enhanced fan-out, provisioned.
pub(super) const FAN_OUT_SHARD_HOUR: f64 = 0.015;
/// A GB (2^30 bytes) read by enhanced fan-out, provisioned.
pub(super) const FAN_OUT_GB: f64 = 0.013;
/// A GB (2^30 bytes) read by enhanced fan-out, on demand.
pub(super) const ON_DEMAND_FAN_OUT_GB: f64 = 0.050;
