//! The frames of an event stream (`application/vnd.amazon.eventstream`), as the SDKs read them.

use aws_smithy_eventstream::frame::write_message_to;
use aws_smithy_types::event_stream::{Header, HeaderValue, Message};
use hyper::body::Bytes;

use super::Protocol;

/// The first frame: the members of the response beside its events, of which there are none.
pub(crate) fn initial_response(protocol: Protocol) -> Result<Bytes, String> {
    let nothing: [(&str, &str); 0] = [];
    let body = protocol.encode(&std::collections::BTreeMap::from(nothing))?;
    event(protocol, "initial-response", body)
}

/// A `SubscribeToShardEvent`.
pub(crate) fn records_event(protocol: Protocol, body: Vec<u8>) -> Result<Bytes, String> {
    event(protocol, "SubscribeToShardEvent", body)
}

/// An error as the last event.
pub(crate) fn error_event(protocol: Protocol, name: &'static str, body: Vec<u8>) -> Result<Bytes, String> {
    frame(protocol, "exception", (":exception-type", name), body)
}

fn event(protocol: Protocol, name: &'static str, body: Vec<u8>) -> Result<Bytes, String> {
    frame(protocol, "event", (":event-type", name), body)
}

fn frame(protocol: Protocol, kind: &'static str, (header, name): (&'static str, &'static str), body: Vec<u8>) -> Result<Bytes, String> {
    let text = |text: &'static str| HeaderValue::String(text.into());
    let message = Message::new(body)
        .add_header(Header::new(header, text(name)))
        .add_header(Header::new(":content-type", text(protocol.content_type())))
        .add_header(Header::new(":message-type", text(kind)));
    let mut out = Vec::with_capacity(message.payload().len() + 256);
    write_message_to(&message, &mut out).map_err(|error| error.to_string())?;
    Ok(out.into())
}
