//! `SplitShard`, `MergeShards`, `UpdateShardCount`.

use super::Kinesis;
use super::error::{ApiError, ErrorCode};
use super::request::{MergeShards, SplitShard, UpdateShardCount};
use super::response::UpdateShardCountResponse;
use super::shards::no_shard;
use super::validate::{Violations, checked};
use crate::stream::{Piece, ShardMetadata, Step, Stream, StreamMode, StreamState, parse_shard_id, plan};

impl Kinesis {
    pub(super) fn split_shard(&self, request: &SplitShard) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let id = violations.required(request.shard_to_split.as_deref(), "shardToSplit");
        let at = violations.required(request.new_starting_hash_key.as_deref(), "newStartingHashKey");
        if let Some(at) = at {
            violations.hash_key(at, "newStartingHashKey");
        }
        violations.check()?;
        let (id, at) = (checked(id)?, checked(at)?);
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        provisioned(&state)?;
        let shard = self.open_shard(&stream, &state, id)?.clone();
        self.within_shard_limit(state.metadata.open_shards().count() as i64 + 1)?;
        let (start, end) = (shard.hash_start, shard.hash_end);
        // AWS wants more than the first key plus one.
        let inside = at.parse::<u128>().ok().filter(|at| *at > start.saturating_add(1) && *at < end);
        let Some(at) = inside else {
            let (name, account) = (&stream.name, self.account());
            return Err(ApiError::invalid(format!(
                "NewStartingHashKey {at} used in SplitShard() on shard {id} in stream {name} under account {account} is not both greater than one plus the shard's StartingHashKey {start} and less than the shard's EndingHashKey {end}."
            )));
        };
        Ok(stream.reshard(&mut state, &[Step::Split { shard: shard.number, at }], self.clock.now_ms())?)
    }

    pub(super) fn merge_shards(&self, request: &MergeShards) -> Result<(), ApiError> {
        let mut violations = Violations::default();
        let id = violations.required(request.shard_to_merge.as_deref(), "shardToMerge");
        let adjacent_id = violations.required(request.adjacent_shard_to_merge.as_deref(), "adjacentShardToMerge");
        violations.check()?;
        let (id, adjacent_id) = (checked(id)?, checked(adjacent_id)?);
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        provisioned(&state)?;
        let (shard, adjacent) = (
            self.open_shard(&stream, &state, id)?,
            self.open_shard(&stream, &state, adjacent_id)?,
        );
        let follows = |left: &ShardMetadata, right: &ShardMetadata| left.hash_end.checked_add(1) == Some(right.hash_start);
        if !follows(shard, adjacent) && !follows(adjacent, shard) {
            let (name, account) = (&stream.name, self.account());
            return Err(ApiError::invalid(format!(
                "Shards {id} and {adjacent_id} in stream {name} under account {account} are not an adjacent pair of shards eligible for merging"
            )));
        }
        let step = Step::Merge {
            shard: shard.number,
            adjacent: adjacent.number,
        };
        Ok(stream.reshard(&mut state, &[step], self.clock.now_ms())?)
    }

    pub(super) fn update_shard_count(&self, request: &UpdateShardCount) -> Result<UpdateShardCountResponse, ApiError> {
        let mut violations = Violations::default();
        let target = violations.required(request.target_shard_count, "targetShardCount");
        violations.range(target, "targetShardCount", 1, i64::from(i32::MAX));
        violations.one_of(request.scaling_type.as_deref(), "scalingType", &[("UNIFORM_SCALING", ())]);
        violations.check()?;
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let mut state = stream.state.write();
        self.alive(&stream, &state)?;
        provisioned(&state)?;
        let target = self.within_shard_limit(checked(target)?)?;
        let piece = |shard: &ShardMetadata| Piece {
            number: shard.number,
            start: shard.hash_start,
            end: shard.hash_end,
        };
        let open: Vec<Piece> = state.metadata.open_shards().map(piece).collect();
        let wanted = target as usize;
        let bound = match open.len() {
            current if wanted > 2 * current => Some("up over double"),
            current if 2 * wanted < current => Some("down below half"),
            _ => None,
        };
        if let Some(bound) = bound {
            let current = open.len();
            return Err(ApiError::invalid(format!(
                "UpdateShardCount cannot scale {bound} your current open shard count. Current open shard count: {current} Target shard count: {target}"
            )));
        }
        let steps = plan(&open, state.metadata.next_shard, target);
        stream.reshard(&mut state, &steps, self.clock.now_ms())?;
        Ok(UpdateShardCountResponse {
            stream_name: stream.name.to_string(),
            current_shard_count: open.len(),
            target_shard_count: target,
            stream_arn: stream.arn.clone(),
        })
    }

    fn open_shard<'a>(&self, stream: &Stream, state: &'a StreamState, id: &str) -> Result<&'a ShardMetadata, ApiError> {
        let shard = parse_shard_id(id).and_then(|number| state.metadata.shard(number));
        let shard = shard.ok_or_else(|| no_shard(id, &stream.name, self.account()))?;
        if shard.closed.is_some() {
            let (name, account) = (&stream.name, self.account());
            return Err(ApiError::invalid(format!(
                "Shard {id} in stream {name} under account {account} has already been merged or split, and thus is not eligible for merging or splitting."
            )));
        }
        Ok(shard)
    }
}

fn provisioned(state: &StreamState) -> Result<(), ApiError> {
    match state.metadata.mode {
        StreamMode::Provisioned => Ok(()),
        StreamMode::OnDemand => Err(ApiError::new(
            ErrorCode::Validation,
            "This operation is only supported for data streams with the provisioned capacity mode.",
        )),
    }
}
