//! Events of a subscription. Frames are taken apart by hand: lengths, headers and checksums as the event stream encoding of AWS says.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

use crate::connection::Connection;

/// A frame of an event stream.
#[derive(Debug)]
pub(crate) struct Frame {
    headers: Vec<(String, String)>,
    pub(crate) payload: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap())
}

/// Takes the first frame off the buffer, if it is whole.
fn take_frame(buffer: &mut Vec<u8>) -> Option<Frame> {
    let length = buffer.get(..4).map(|bytes| u32_at(bytes, 0) as usize)?;
    if buffer.len() < length {
        return None;
    }
    let frame: Vec<u8> = buffer.drain(..length).collect();
    let headers_end = 12 + u32_at(&frame, 4) as usize;
    assert_eq!(u32_at(&frame, 8), crc32fast::hash(&frame[..8]), "checksum of the prelude");
    assert_eq!(
        u32_at(&frame, length - 4),
        crc32fast::hash(&frame[..length - 4]),
        "checksum of the frame"
    );
    let mut headers = Vec::new();
    let mut at = 12;
    let string = |at: usize, length: usize| String::from_utf8(frame[at..at + length].to_vec()).unwrap();
    while at < headers_end {
        let name_length = usize::from(frame[at]);
        let name = string(at + 1, name_length);
        at += 1 + name_length;
        assert_eq!(frame[at], 7, "type of {name}: a string");
        let value_length = usize::from(u16::from_be_bytes([frame[at + 1], frame[at + 2]]));
        headers.push((name, string(at + 3, value_length)));
        at += 3 + value_length;
    }
    Some(Frame {
        headers,
        payload: frame[headers_end..length - 4].to_vec(),
    })
}

impl Frame {
    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(header, _)| header == name);
        &found.unwrap_or_else(|| panic!("no {name} in {:?}", self.headers)).1
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

/// The frames of a subscription under way, with the connection they come by.
pub(crate) struct Events {
    pub(crate) body: Incoming,
    pub(crate) buffer: Vec<u8>,
    _connection: Option<Connection>,
}

impl Events {
    pub(crate) fn new(body: Incoming, connection: Option<Connection>) -> Self {
        Self {
            body,
            buffer: Vec::new(),
            _connection: connection,
        }
    }

    /// `None` at the end; panics where the connection is cut.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        self.try_frame().await.unwrap()
    }

    pub(crate) async fn try_frame(&mut self) -> Result<Option<Frame>, hyper::Error> {
        loop {
            if let Some(frame) = take_frame(&mut self.buffer) {
                return Ok(Some(frame));
            }
            match self.body.frame().await {
                None => {
                    assert!(self.buffer.is_empty(), "a torn frame at the end");
                    return Ok(None);
                }
                Some(bytes) => self.buffer.extend_from_slice(&bytes?.into_data().unwrap()),
            }
        }
    }

    pub(crate) async fn event(&mut self) -> Value {
        let frame = self.frame().await.expect("an event");
        assert_eq!(
            (frame.header(":message-type"), frame.header(":event-type")),
            ("event", "SubscribeToShardEvent")
        );
        frame.json()
    }

    pub(crate) async fn error(&mut self) -> (String, Value) {
        let frame = self.frame().await.expect("an error event");
        assert_eq!(frame.header(":message-type"), "exception");
        let found = (frame.header(":exception-type").to_owned(), frame.json());
        assert!(self.frame().await.is_none(), "an error is the last event");
        found
    }
}
