//! `PutRecord` and `PutRecords`.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::error::{ApiError, ErrorCode};
use super::request::{PutEntry, PutRecord, PutRecords};
use super::response::{PutRecordResponse, PutRecordsResponse, PutResult};
use super::validate::{Violations, checked};
use super::{Call, Kinesis};
use crate::operation::Operation;
use crate::stream::{HASH_MAX, Shard, Stream, StreamState, hash_of_key};

const RECORDS: usize = 500;
/// Bytes of data and keys in a `PutRecords`.
const REQUEST_BYTES: usize = 10 << 20;

/// A record that passed validation.
struct Incoming {
    key: String,
    data: Vec<u8>,
    hash: u128,
}

impl Incoming {
    fn bytes(&self) -> u64 {
        (self.key.len() + self.data.len()) as u64
    }
}

impl Kinesis {
    pub(super) fn put_record(&self, request: PutRecord) -> Result<PutRecordResponse, ApiError> {
        let entry = PutEntry {
            data: request.data,
            partition_key: request.partition_key,
            explicit_hash_key: request.explicit_hash_key,
        };
        let mut violations = Violations::default();
        check_entry(&entry, "", &mut violations);
        violations.check()?;
        let record = incoming(entry)?;
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        check_sizes(&state, std::slice::from_ref(&record), |_| "data".to_owned())?;
        if let Some(previous) = &request.sequence_number_for_ordering {
            self.check_ordering(&stream, &state, previous)?;
        }
        let shard = state
            .route(record.hash)
            .ok_or_else(|| ApiError::defect("a stream without open shards"))?;
        let now_ms = self.clock.now_ms();
        if self.limits && !shard.limiter.lock().put(now_ms, record.bytes()) {
            return Err(ApiError::new(
                ErrorCode::ProvisionedThroughputExceeded,
                self.exceeded(&stream, shard),
            ));
        }
        let horizon_ms = now_ms - state.metadata.retention_ms();
        let counter = shard
            .log
            .append(now_ms, horizon_ms, std::iter::once((record.key.as_str(), record.data.as_slice())))?;
        self.count_records(Operation::PutRecord, &stream, &shard.id, 1, record.bytes());
        Ok(PutRecordResponse {
            shard_id: shard.id.to_string(),
            sequence_number: shard.sequence_number(counter),
        })
    }

    /// Records of one caller are in order anyway, since every shard numbers them as they come; what is left to do is to refuse a number that was
    /// never given out here.
    fn check_ordering(&self, stream: &Stream, state: &StreamState, previous: &str) -> Result<(), ApiError> {
        let known = state
            .shards
            .values()
            .any(|shard| shard.sequence.counter(previous).is_ok_and(|counter| counter < shard.log.tip()));
        if known {
            return Ok(());
        }
        let (name, account) = (&stream.name, self.account());
        let message =
            format!("ExclusiveMinimumSequenceNumber {previous} used in PutRecord on stream {name} under account {account} is invalid.");
        Err(ApiError::invalid(message))
    }

    pub(super) fn put_records(&self, call: &Call, request: PutRecords) -> Result<PutRecordsResponse, ApiError> {
        let mut violations = Violations::default();
        let entries = violations.required(request.records, "records");
        match entries.as_ref().map(Vec::len) {
            Some(0) => violations.add("[]", "records", "Member must have length greater than or equal to 1"),
            Some(count) if count > RECORDS => {
                violations.add(
                    "[...]",
                    "records",
                    format_args!("Member must have length less than or equal to {RECORDS}"),
                );
            }
            _ => {}
        }
        for (index, entry) in entries.iter().flatten().enumerate().take(RECORDS) {
            let valid = entry.partition_key.as_ref().is_some_and(|key| (1..=256).contains(&key.len()));
            let simple = valid && entry.explicit_hash_key.is_none() && entry.data.is_some();
            if !simple {
                check_entry(entry, &format!("records.{}.member.", index + 1), &mut violations);
            }
        }
        violations.check()?;
        let records = checked(entries)?
            .into_iter()
            .map(incoming)
            .collect::<Result<Vec<Incoming>, ApiError>>()?;
        if records.iter().map(|record| record.key.len() + record.data.len()).sum::<usize>() > REQUEST_BYTES {
            return Err(ApiError::invalid("Records size exceeds 10 MB limit"));
        }
        let stream = self.named(request.stream_name.as_deref(), request.stream_arn.as_deref())?;
        let state = stream.state.read();
        self.alive(&stream, &state)?;
        check_sizes(&state, &records, |index| format!("records.{}.member.data", index + 1))?;
        self.store(call, &stream, &state, &records)
    }

    /// One append per shard, in the order of the entries.
    fn store(&self, call: &Call, stream: &Stream, state: &StreamState, records: &[Incoming]) -> Result<PutRecordsResponse, ApiError> {
        let now_ms = self.clock.now_ms();
        let horizon_ms = now_ms - state.metadata.retention_ms();
        let mut results = vec![PutResult::default(); records.len()];
        let mut by_shard: BTreeMap<u32, (&Arc<Shard>, Vec<usize>)> = BTreeMap::new();
        for (index, record) in records.iter().enumerate() {
            let shard = state
                .route(record.hash)
                .ok_or_else(|| ApiError::defect("a stream without open shards"))?;
            let bent = call.bend.fail_every.is_some_and(|every| index % every.max(1) == 0);
            if bent || (self.limits && !shard.limiter.lock().put(now_ms, record.bytes())) {
                results[index].error_code = Some(ErrorCode::ProvisionedThroughputExceeded.name());
                results[index].error_message = Some(self.exceeded(stream, shard));
            } else {
                by_shard.entry(shard.number).or_insert_with(|| (shard, Vec::new())).1.push(index);
            }
        }
        for (shard, indices) in by_shard.values() {
            let batch = indices
                .iter()
                .map(|index| (records[*index].key.as_str(), records[*index].data.as_slice()));
            match shard.log.append(now_ms, horizon_ms, batch) {
                Ok(first) => {
                    for (counter, index) in (first..).zip(indices) {
                        results[*index].sequence_number = Some(shard.sequence_number(counter));
                        results[*index].shard_id = Some(Arc::clone(&shard.id));
                    }
                    let bytes = indices.iter().map(|index| records[*index].bytes()).sum();
                    self.count_records(Operation::PutRecords, stream, &shard.id, indices.len() as u64, bytes);
                }
                // The other shards' records may be stored already, so this is a matter of these entries.
                Err(error) => {
                    let error = ApiError::from(error);
                    for index in indices {
                        results[*index].error_code = Some(error.code.name());
                        results[*index].error_message = Some(error.message.clone());
                    }
                }
            }
        }
        let failed_record_count = results.iter().filter(|result| result.error_code.is_some()).count();
        Ok(PutRecordsResponse {
            failed_record_count,
            records: results,
        })
    }

    pub(super) fn exceeded(&self, stream: &Stream, shard: &Shard) -> String {
        format!(
            "Rate exceeded for shard {} in stream {} under account {}.",
            shard.id,
            stream.name,
            self.account()
        )
    }
}

fn check_entry(entry: &PutEntry, at: &str, violations: &mut Violations) {
    if entry.data.is_none() {
        violations.missing(format_args!("{at}data"));
    }
    match &entry.partition_key {
        None => violations.missing(format_args!("{at}partitionKey")),
        Some(key) => violations.length(key, format_args!("{at}partitionKey"), 1, 256),
    }
    if let Some(hash) = &entry.explicit_hash_key {
        violations.hash_key(hash, format_args!("{at}explicitHashKey"));
    }
}

/// How large a record may be is the stream's.
fn check_sizes(state: &StreamState, records: &[Incoming], member: impl Fn(usize) -> String) -> Result<(), ApiError> {
    let most = state.metadata.max_record_bytes();
    let mut violations = Violations::default();
    for (index, _) in records.iter().enumerate().filter(|(_, record)| record.data.len() > most) {
        let constraint = format_args!("Member must have length less than or equal to {most}");
        violations.add("[...]", member(index), constraint);
    }
    violations.check()
}

fn incoming(entry: PutEntry) -> Result<Incoming, ApiError> {
    let key = checked(entry.partition_key)?;
    let hash = match &entry.explicit_hash_key {
        None => hash_of_key(&key),
        // 39 digits may say more than 2^128 - 1.
        Some(text) => text.parse().map_err(|_| {
            ApiError::invalid(format!(
                "Invalid ExplicitHashKey. ExplicitHashKey must be in the range: [0, {HASH_MAX}]. Specified value was {text}"
            ))
        })?,
    };
    Ok(Incoming {
        key,
        data: checked(entry.data)?.0,
        hash,
    })
}
