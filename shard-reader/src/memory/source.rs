//! A memory stream as a source.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::faults::{MillisBehind, ReadFate};
use super::{MemorySource, Stream};
use crate::{
    Cursor, FULL_PAGE_BYTES, FanOut, OpenAt, Page, RecordSink, ShardId, ShardInfo, ShardSource, SourceError, SourceErrorKind,
    StreamDescription, StreamIdentity,
};

/// As on AWS: a reply holds so much at most.
const PAGE_BYTES: usize = 10 << 20;
/// As on AWS.
const CURSOR_LIFE: Duration = Duration::from_secs(300);

impl Stream {
    fn check(&self, stream: &str) -> Result<(), SourceError> {
        if self.deleted {
            Err(SourceError::new(SourceErrorKind::NotFound, format!("stream {stream} not found")))
        } else {
            Ok(())
        }
    }

    /// The age of the oldest record that is not handed out yet.
    pub(super) fn true_distance(&self, shard: &super::MemoryShard, next: usize) -> u64 {
        shard.records.get(next).map_or(0, |record| {
            let arrival = record.arrival_ms.unwrap_or_else(|| self.now_ms());
            u64::try_from(self.now_ms() - arrival).unwrap_or(0).max(1)
        })
    }

    fn millis_behind(&self, shard: &super::MemoryShard, next: usize) -> Option<u64> {
        match self.faults.millis_behind {
            MillisBehind::True => Some(self.true_distance(shard, next)),
            MillisBehind::AlwaysZero => Some(0),
            MillisBehind::Stuck(millis) => Some(millis),
            MillisBehind::Absent => None,
            MillisBehind::BetweenRecords => {
                let arrival = |index: usize| shard.records.get(index).and_then(|record| record.arrival_ms).unwrap_or(0);
                let last = shard.records.len().saturating_sub(1);
                Some(u64::try_from(arrival(last) - arrival(next.saturating_sub(1))).unwrap_or(0))
            }
        }
    }
}

#[async_trait]
impl ShardSource for MemorySource {
    async fn describe(&self, stream: &str) -> Result<StreamDescription, SourceError> {
        let mut memory = self.stream.lock();
        memory.calls.describe += 1;
        memory.check(stream)?;
        Ok(StreamDescription {
            identity: StreamIdentity {
                arn: Arc::from(format!("arn:aws:kinesis:local:0:stream/{stream}")),
                created_ms: memory.created,
            },
            name: Arc::from(stream),
            status: "ACTIVE".into(),
            retention: Duration::from_millis(memory.retention_ms),
            on_demand: false,
        })
    }

    fn fan_out(&self) -> Option<&dyn FanOut> {
        Some(self)
    }

    fn writing(&self) -> Option<&dyn RecordSink> {
        Some(self)
    }

    async fn list_shards(&self, stream: &str) -> Result<Vec<ShardInfo>, SourceError> {
        let delay = self.stream.lock().faults.delay();
        tokio::time::sleep(delay).await;
        let mut memory = self.stream.lock();
        memory.calls.list += 1;
        memory.check(stream)?;
        let mut infos: Vec<ShardInfo> = memory.shards.values().map(|shard| shard.info.clone()).collect();
        if memory.orphans {
            for info in &mut infos {
                (info.parent, info.adjacent_parent) = (None, None);
            }
        }
        Ok(infos)
    }

    async fn open(&self, stream: &str, shard: &ShardId, at: OpenAt) -> Result<Cursor, SourceError> {
        let issued_at = Instant::now();
        let delay = self.stream.lock().faults.delay();
        tokio::time::sleep(delay).await;
        let mut memory = self.stream.lock();
        memory.calls.open += 1;
        memory.check(stream)?;
        if memory.faults.open_fails() {
            return Err(SourceError::new(SourceErrorKind::Unavailable, "connection reset"));
        }
        if memory.faults.refuses_future && matches!(at, OpenAt::Timestamp(time) if time > memory.now_ms()) {
            return Err(SourceError::new(SourceErrorKind::Invalid, "the timestamp lies in the future"));
        }
        let found = memory
            .shards
            .get(shard)
            .ok_or_else(|| SourceError::new(SourceErrorKind::NotFound, format!("shard {shard} not found")))?;
        Ok(Cursor {
            token: format!("{}/{}", memory.created, found.index_of(at)),
            issued_at,
        })
    }

    async fn read(&self, stream: &str, shard: &ShardId, cursor: &Cursor, limit: u32) -> Result<Page, SourceError> {
        let requested_at = Instant::now();
        let (before, after) = {
            let mut memory = self.stream.lock();
            (memory.faults.delay(), memory.faults.delay())
        };
        tokio::time::sleep(before).await;
        let page = self.stream.lock().read(stream, shard, cursor, limit, requested_at);
        tokio::time::sleep(after).await;
        page
    }
}

impl Stream {
    fn read(&mut self, stream: &str, shard: &ShardId, cursor: &Cursor, limit: u32, requested_at: Instant) -> Result<Page, SourceError> {
        self.calls.read += 1;
        self.check(stream)?;
        let index = cursor
            .token
            .split_once('/')
            .and_then(|(_, index)| index.parse().ok())
            .unwrap_or_default();
        let fate = self.faults.read_fate(shard, index);
        if let ReadFate::Fail(kind) = fate {
            return Err(SourceError::new(kind, format!("scripted: {kind:?}")));
        }
        let expired = || SourceError::new(SourceErrorKind::ExpiredIterator, "the iterator has expired");
        if cursor.issued_at.elapsed() > CURSOR_LIFE {
            return Err(expired());
        }
        let (created, index) = cursor.token.split_once('/').ok_or_else(expired)?;
        let index: usize = index.parse().map_err(|_| expired())?;
        if created != self.created.to_string() {
            return Err(SourceError::new(SourceErrorKind::Invalid, "the iterator is of another stream"));
        }
        let found = self
            .shards
            .get(shard)
            .ok_or_else(|| SourceError::new(SourceErrorKind::NotFound, format!("shard {shard} not found")))?;
        let whole = limit as usize;
        let (records, next) = match fate {
            ReadFate::Empty(_) => found.page(index, 0, usize::MAX),
            ReadFate::Short(part) => {
                let there = found.records.len().saturating_sub(index.max(found.first)).min(whole);
                found.page(index, ((there as f64 * part) as usize).max(1), usize::MAX)
            }
            _ => found.page(index, whole, PAGE_BYTES),
        };
        if fate == ReadFate::Lost {
            return Err(SourceError::new(SourceErrorKind::Unavailable, "the reply was lost"));
        }
        let at_end = found.info.ending_sequence.is_some() && next >= found.records.len() && !matches!(fate, ReadFate::Empty(_));
        let ended = at_end && (!self.faults.late_end || records.is_empty());
        let wire_bytes = records.wire_bytes(0..records.len());
        let page = Page {
            full: records.len() >= whole || wire_bytes >= FULL_PAGE_BYTES,
            next: (!ended).then(|| Cursor {
                token: format!("{}/{next}", self.created),
                issued_at: requested_at,
            }),
            millis_behind: self
                .millis_behind(found, next)
                .map(|behind| if let ReadFate::Empty(more) = fate { behind + more } else { behind }),
            children: if ended { found.children.clone() } else { Vec::new() },
            requested_at,
            wire_bytes,
            records,
        };
        self.calls.records += page.records.len() as u64;
        Ok(page)
    }
}
