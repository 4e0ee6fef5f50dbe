//! The response of `GetRecords`, and the events of `SubscribeToShard`, written straight from the log's bytes: no record becomes a value of its own.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::{Protocol, cbor};
use crate::stream::SequenceText;

/// Everything of a response of `GetRecords` but its records.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct PageHead<C: Serialize> {
    /// `None` is written as null: the shard has ended.
    pub(crate) next_shard_iterator: Option<String>,
    pub(crate) millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) child_shards: Option<Vec<C>>,
}

/// Everything of an event but its records.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct EventHead<C: Serialize> {
    /// Absent: the shard has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) continuation_sequence_number: Option<SequenceText>,
    pub(crate) millis_behind_latest: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) child_shards: Option<Vec<C>>,
}

/// Writes one response or event.
#[derive(Debug)]
pub(crate) struct PageWriter {
    protocol: Protocol,
    out: Vec<u8>,
    records: usize,
    /// Whether base64 did not fit the room made for it.
    overrun: bool,
}

/// Names, quotes and numbers of a record, roundly.
const RECORD_OVERHEAD: usize = 170;

impl PageWriter {
    /// A writer for `records` records of `payload` bytes of keys and data together.
    pub(crate) fn new(protocol: Protocol, records: usize, payload: u64) -> Self {
        let payload = usize::try_from(payload).unwrap_or(0);
        let mut out = Vec::with_capacity(1_024 + records * RECORD_OVERHEAD + payload / 3 * 4);
        match protocol {
            Protocol::Json => out.extend_from_slice(b"{\"Records\":["),
            Protocol::Cbor => {
                // The head follows the records and its length is not known yet: a map of indefinite length.
                out.push(cbor::MAP << 5 | 31);
                cbor::text(&mut out, b"Records");
                cbor::head(&mut out, cbor::ARRAY, records as u64);
            }
        }
        Self {
            protocol,
            out,
            records: 0,
            overrun: false,
        }
    }

    /// Adds a record. The key is UTF-8, as it came in.
    pub(crate) fn record(&mut self, sequence: &[u8], arrival_ms: i64, key: &[u8], data: &[u8]) {
        let out = &mut self.out;
        match self.protocol {
            Protocol::Json => {
                out.extend_from_slice(if self.records == 0 {
                    b"{\"SequenceNumber\":\""
                } else {
                    b",{\"SequenceNumber\":\""
                });
                out.extend_from_slice(sequence);
                out.extend_from_slice(b"\",\"ApproximateArrivalTimestamp\":");
                json_seconds(out, arrival_ms);
                out.extend_from_slice(b",\"Data\":\"");
                self.overrun |= !json_base64(out, data);
                out.extend_from_slice(b"\",\"PartitionKey\":\"");
                json_text(out, key);
                out.extend_from_slice(b"\"}");
            }
            Protocol::Cbor => {
                cbor::head(out, cbor::MAP, 4);
                cbor::text(out, b"SequenceNumber");
                cbor::text(out, sequence);
                cbor::text(out, b"ApproximateArrivalTimestamp");
                cbor::head(out, cbor::TAG, 1);
                cbor::head(out, cbor::UNSIGNED, arrival_ms.max(0).unsigned_abs());
                cbor::text(out, b"Data");
                cbor::bytes(out, data);
                cbor::text(out, b"PartitionKey");
                cbor::text(out, key);
            }
        }
        self.records += 1;
    }

    /// The whole response or event: the records, and the members of a [`PageHead`] or an [`EventHead`].
    pub(crate) fn finish<H: Serialize>(mut self, head: &H) -> Result<Vec<u8>, String> {
        if self.overrun {
            return Err("base64 is longer than its length".to_owned());
        }
        // The members of the head go on in the object that the records began: without the brace or, in CBOR, without the one byte that heads
        // a map of so few.
        let rest = self.protocol.encode(head)?;
        match self.protocol {
            Protocol::Json => {
                self.out.extend_from_slice(b"],");
                self.out.extend_from_slice(&rest[1..]);
            }
            Protocol::Cbor => {
                self.out.extend_from_slice(&rest[1..]);
                self.out.push(0xff);
            }
        }
        Ok(self.out)
    }
}

/// Seconds with three decimals.
fn json_seconds(out: &mut Vec<u8>, millis: i64) {
    let millis = millis.max(0);
    let (mut seconds, fraction) = (millis / 1_000, millis % 1_000);
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (seconds % 10) as u8;
        seconds /= 10;
        if seconds == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    let digit = |place: i64| b'0' + (fraction / place % 10) as u8;
    out.extend_from_slice(&[b'.', digit(100), digit(10), digit(1)]);
}

/// False if the text does not fill the room that its length asks for.
fn json_base64(out: &mut Vec<u8>, data: &[u8]) -> bool {
    let start = out.len();
    out.resize(start + data.len().div_ceil(3) * 4, 0);
    let room = &mut out[start..];
    let len = room.len();
    STANDARD.encode_slice(data, room) == Ok(len)
}

fn json_text(out: &mut Vec<u8>, text: &[u8]) {
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            0..0x20 => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => out.push(byte),
        }
    }
}
