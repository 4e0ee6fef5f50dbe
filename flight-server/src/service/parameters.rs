//! Rows that clients bind to prepared statements.
//!
//! A handle that DoPut gave holds them. Clients that go on with the handle they had find them here, for as long as there is room.

use std::collections::{HashMap, VecDeque};
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::status;
use crate::engine::Principal;

/// Bytes of parameters that a handle, and so a ticket, holds: a FlightInfo must fit the 16 MiB that clients take.
pub(crate) const LARGEST_BOUND: usize = 1 << 20;

/// Bytes of rows that one update takes.
pub(crate) const LARGEST_UPDATE: usize = 64 << 20;

/// What is kept for clients that ignore the new handle: bytes and times in all, and for how long.
const KEPT_BYTES: usize = 16 << 20;
const KEPT_COUNT: usize = 20_000;
const KEPT_FOR: Duration = Duration::from_secs(600);

/// A handle and whose it is, hashed.
type Key = [u8; 32];

/// What was bound lately, by the handle that it was bound to.
#[derive(Debug, Default)]
pub(crate) struct BoundLately(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    by_handle: HashMap<Key, (u64, Bytes)>,
    /// Oldest first; one that was bound anew stands here twice, and only the newer place counts.
    order: VecDeque<(Instant, Key, u64)>,
    bytes: usize,
    count: u64,
}

impl BoundLately {
    /// Rows were bound to a handle, or none any more.
    pub(crate) fn bind(&self, handle: &[u8], principal: &Principal, rows: Option<&Bytes>) {
        let key = key(handle, principal);
        let mut kept = self.0.lock();
        kept.remove(&key);
        kept.forget_old(Instant::now());
        let Some(rows) = rows else { return };
        kept.count += 1;
        let count = kept.count;
        kept.bytes += rows.len();
        kept.by_handle.insert(key, (count, rows.clone()));
        kept.order.push_back((Instant::now(), key, count));
        while kept.bytes > KEPT_BYTES || kept.order.len() > KEPT_COUNT {
            kept.forget_first();
        }
    }

    /// What was bound to a handle.
    pub(crate) fn rows(&self, handle: &[u8], principal: &Principal) -> Option<Bytes> {
        let mut kept = self.0.lock();
        kept.forget_old(Instant::now());
        kept.by_handle.get(&key(handle, principal)).map(|(_, rows)| rows.clone())
    }
}

impl Kept {
    fn remove(&mut self, key: &Key) {
        if let Some((_, rows)) = self.by_handle.remove(key) {
            self.bytes -= rows.len();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key, count)) = self.order.pop_front()
            && self.by_handle.get(&key).is_some_and(|(current, _)| *current == count)
        {
            self.remove(&key);
        }
    }

    fn forget_old(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(bound, ..)| now.duration_since(*bound) >= KEPT_FOR) {
            self.forget_first();
        }
    }
}

fn key(handle: &[u8], principal: &Principal) -> Key {
    let mut hash = Sha256::new();
    hash.update((principal.0.len() as u64).to_be_bytes());
    hash.update(principal.0.as_bytes());
    hash.update(handle);
    hash.finalize().into()
}

/// Reads the rows of a DoPut, of at most so many bytes. Some clients send no schema, some an empty one: then there are none.
pub(crate) async fn read_rows<S>(messages: S, limit: usize) -> Result<Option<RecordBatch>, Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let mut bytes = 0;
    let messages = messages
        .filter(|message| std::future::ready(!matches!(message, Ok(data) if data.data_header.is_empty())))
        .map(move |message| {
            let message = message.map_err(too_large)?;
            bytes += message.data_header.len() + message.data_body.len();
            if bytes > limit {
                return Err(Status::resource_exhausted(format!(
                    "the rows of parameters are more than the {limit} bytes that there may be"
                )));
            }
            Ok(message)
        })
        .map(|message| message.map_err(|status| FlightError::Tonic(Box::new(status))));
    let read = async {
        let mut decoder = FlightDataDecoder::new(messages);
        let (mut schema, mut batches) = (None, Vec::new());
        while let Some(message) = decoder.next().await {
            match message.map_err(unreadable)?.payload {
                DecodedPayload::Schema(found) => schema = Some(found),
                DecodedPayload::RecordBatch(batch) => batches.push(batch),
                DecodedPayload::None => {}
            }
        }
        let Some(schema) = schema.filter(|schema| !schema.fields().is_empty()) else {
            return Ok(None);
        };
        let rows = concat_batches(&schema, &batches).map_err(|error| unreadable(error.into()))?;
        Ok(Some(rows).filter(|rows| rows.num_rows() > 0))
    };
    // The decoder trusts offsets and lengths that a client made up, and panics on some of them.
    let read = AssertUnwindSafe(read).catch_unwind().await;
    read.unwrap_or_else(|_| Err(Status::invalid_argument("the parameters cannot be read: the message is broken")))
}

/// tonic's word for a message above its limit is OUT_OF_RANGE.
pub(super) fn too_large(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => Status::resource_exhausted(status.message().to_owned()),
        _ => status,
    }
}

fn unreadable(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => Status::invalid_argument(format!("the parameters cannot be read: {other}")),
    }
}

/// Rows as a handle holds them.
pub(crate) fn pack(rows: &RecordBatch) -> Result<Bytes, Status> {
    let write = || -> Result<Vec<u8>, ArrowError> {
        let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
        writer.write(rows)?;
        writer.into_inner()
    };
    let bytes = write().map_err(|error| Status::invalid_argument(format!("the parameters cannot be kept: {error}")))?;
    if bytes.len() > LARGEST_BOUND {
        return Err(Status::resource_exhausted(format!(
            "the rows of parameters are {} bytes, more than the {LARGEST_BOUND} that a query takes",
            bytes.len()
        )));
    }
    Ok(bytes.into())
}

/// See [`pack`].
pub(crate) fn unpack(bytes: &[u8]) -> Result<Option<RecordBatch>, Status> {
    let read = || StreamReader::try_new(bytes, None)?.next().transpose();
    read().map_err(|error| status::internal("reading parameters that were kept", &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_bound_is_kept_for_its_handle_and_principal_for_a_while() {
        let (lately, alice) = (BoundLately::default(), Principal("alice".into()));
        let rows = |text: &'static str| Bytes::from_static(text.as_bytes());
        lately.bind(b"h", &alice, Some(&rows("1")));
        lately.bind(b"h", &alice, Some(&rows("2")));
        lately.bind(b"i", &alice, Some(&rows("3")));
        assert_eq!(lately.rows(b"h", &alice), Some(rows("2")));
        assert_eq!(lately.rows(b"h", &Principal("bob".into())), None);
        lately.bind(b"i", &alice, None);
        assert_eq!(lately.rows(b"i", &alice), None);
        tokio::time::advance(KEPT_FOR).await;
        assert_eq!(lately.rows(b"h", &alice), None);
        let kept = lately.0.lock();
        assert_eq!((kept.bytes, kept.order.len()), (0, 0));
    }

    #[tokio::test]
    async fn the_oldest_make_room() {
        let (lately, alice) = (BoundLately::default(), Principal("alice".into()));
        let rows = Bytes::from(vec![0; LARGEST_BOUND]);
        for handle in 0..20_u8 {
            lately.bind(&[handle], &alice, Some(&rows));
        }
        assert_eq!(lately.rows(&[3], &alice), None);
        assert_eq!(lately.rows(&[4], &alice), Some(rows));
        assert_eq!(lately.0.lock().bytes, KEPT_BYTES);
    }
}
