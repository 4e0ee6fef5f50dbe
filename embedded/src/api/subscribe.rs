//! `SubscribeToShard`: everything up to the first event.

use std::sync::Arc;

use super::error::{ApiError, ErrorCode};
use super::iterate::TYPES;
use super::request::SubscribeToShard;
use super::shards::no_shard;
use super::validate::{Violations, checked};
use super::{Call, Kinesis};
use crate::stream::{Occupied, parse_shard_id};
use crate::subscription::{Place, Subscription};

impl Kinesis {
    pub(super) fn subscribe(self: &Arc<Self>, call: &Call, request: &SubscribeToShard) -> Result<Subscription, ApiError> {
        let mut violations = Violations::default();
        let arn = violations.required(request.consumer_arn.as_deref(), "consumerARN");
        let shard_name = violations.required(request.shard_id.as_deref(), "shardId");
        if let Some(id) = shard_name {
            violations.name(id, "shardId");
        }
        let start = violations.required(request.starting_position.as_ref(), "startingPosition");
        let kind = start.and_then(|start| violations.one_of(start.kind.as_deref(), "startingPosition.type", TYPES));
        violations.check()?;
        let (arn, shard_name, start, kind) = (checked(arn)?, checked(shard_name)?, checked(start)?, checked(kind)?);

        let (stream, name, consumer) = self.consumer(arn)?;
        let now_ms = self.clock.now_ms();
        if !consumer.is_active(now_ms) {
            return Err(ApiError::new(
                ErrorCode::ResourceInUse,
                format!("Consumer {arn} is not ACTIVE. Current status: CREATING."),
            ));
        }
        stream.expire(now_ms)?;
        let (shard, next) = {
            let state = stream.state.read();
            self.alive(&stream, &state)?;
            let shard = parse_shard_id(shard_name).and_then(|number| state.shards.get(&number));
            let shard = shard.ok_or_else(|| no_shard(shard_name, &stream.name, self.account()))?;
            let next = self.place(kind, start.sequence_number.as_deref(), start.timestamp, now_ms, &stream, shard)?;
            (Arc::clone(shard), next)
        };
        let seat = stream
            .subscriptions
            .take(&name, consumer.created_ms, shard.number, now_ms, self.limits)
            .map_err(|occupied| match occupied {
                Occupied::InUse => ApiError::new(
                    ErrorCode::ResourceInUse,
                    format!("Another active subscription exists for this consumer: {arn} on shard {shard_name}."),
                ),
                Occupied::TooMany => ApiError::new(
                    ErrorCode::LimitExceeded,
                    format!("Rate exceeded for SubscribeToShard of {arn} on shard {shard_name}: one call a second."),
                ),
            })?;
        let place = Place { stream, shard, next };
        Ok(Subscription::new(Arc::clone(self), call, place, seat, now_ms, self.limits))
    }
}
