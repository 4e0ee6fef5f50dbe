//! `GetRecords`.

use super::error::{ApiError, ErrorCode};
use super::request::GetRecords;
use super::response::ChildShard;
use super::validate::{Violations, checked};
use super::{Call, Kinesis};
use crate::log::PageRequest;
use crate::stream::{ShardIterator, shard_id};
use crate::wire::{PageHead, PageWriter};

const RECORDS: i64 = 10_000;
/// Bytes of data and keys in a page.
const PAGE_BYTES: u64 = 10 << 20;

impl Kinesis {
    pub(super) fn get_records(&self, call: &Call, request: &GetRecords) -> Result<Vec<u8>, ApiError> {
        let mut violations = Violations::default();
        let text = violations.required(request.shard_iterator.as_deref(), "shardIterator");
        violations.range(request.limit, "limit", 1, RECORDS);
        violations.check()?;
        let iterator = ShardIterator::decode(checked(text)?).ok_or_else(|| ApiError::invalid("Invalid ShardIterator."))?;
        let now_ms = self.clock.now_ms();
        let age_ms = now_ms.saturating_sub(iterator.issued_ms);
        if age_ms > self.iterator_ttl_ms {
            return Err(expired(age_ms, self.iterator_ttl_ms));
        }
        let stream = self.named(Some(&iterator.stream), request.stream_arn.as_deref())?;
        let gone = || {
            let (id, name, account) = (shard_id(iterator.shard), &iterator.stream, self.account());
            ApiError::not_found(format!("Shard {id} in stream {name} under account {account} does not exist"))
        };
        if (stream.created_ms, stream.tag) != (iterator.created_ms, iterator.tag) {
            return Err(gone());
        }
        stream.expire(now_ms)?;

        // Chosen under the stream's lock, so that a page that reaches the end of a closed shard knows it; read and written after it.
        let (shard, selection, ended, children) = {
            let state = stream.state.read();
            self.alive(&stream, &state)?;
            let shard = state.shards.get(&iterator.shard).ok_or_else(gone)?;
            if self.limits && !shard.limiter.lock().get(now_ms) {
                return Err(ApiError::new(
                    ErrorCode::ProvisionedThroughputExceeded,
                    self.exceeded(&stream, shard),
                ));
            }
            let records = if call.bend.empty {
                0
            } else {
                usize::try_from(request.limit.unwrap_or(RECORDS)).unwrap_or(0)
            };
            let horizon_ms = now_ms - state.metadata.retention_ms();
            let selection = shard.log.select(PageRequest {
                next: iterator.next,
                horizon_ms,
                records,
                bytes: PAGE_BYTES,
            })?;
            let closed = state.metadata.shard(iterator.shard).is_some_and(|shard| shard.closed.is_some());
            let ended = closed && selection.waiting_since_ms.is_none() && !call.bend.empty;
            let children = ended.then(|| state.children(iterator.shard).map(ChildShard::of).collect::<Vec<_>>());
            (std::sync::Arc::clone(shard), selection, ended, children)
        };

        let payload: u64 = selection.entries.iter().map(crate::log::Entry::payload).sum();
        let mut page = PageWriter::new(call.protocol, selection.entries.len(), payload);
        selection.read(|record| {
            page.record(
                shard.sequence_number(record.entry.counter).as_bytes(),
                record.entry.arrival_ms,
                record.key,
                record.data,
            );
        })?;
        if self.limits {
            shard
                .limiter
                .lock()
                .served(now_ms, payload, selection.cut_by_size || payload >= PAGE_BYTES);
        }
        self.count_records(call.operation, &stream, &shard.id, selection.entries.len() as u64, payload);
        let head = PageHead {
            next_shard_iterator: (!ended).then(|| self.iterator(&stream, iterator.shard, selection.next, now_ms)),
            millis_behind_latest: selection
                .waiting_since_ms
                .map_or(0, |since_ms| u64::try_from(now_ms - since_ms).unwrap_or(0).max(1)),
            child_shards: children,
        };
        page.finish(&head).map_err(ApiError::defect)
    }
}

pub(crate) fn expired(age_ms: i64, ttl_ms: i64) -> ApiError {
    ApiError::new(
        ErrorCode::ExpiredIterator,
        format!("Iterator expired. The iterator was created {age_ms} ms ago, which exceeds the limit of {ttl_ms} ms."),
    )
}
