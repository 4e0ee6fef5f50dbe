//! The wire: JSON 1.1 and CBOR 1.1 bodies.

mod blob;
mod cbor;
mod events;
mod page;
#[cfg(test)]
mod tests;
mod timestamp;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use blob::Blob;
pub(crate) use events::{error_event, initial_response, records_event};
pub(crate) use page::{EventHead, PageHead, PageWriter};
pub(crate) use timestamp::Timestamp;

/// The encoding of a request and its response.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Protocol {
    /// Blobs are base64, timestamps seconds with a fraction.
    Json,
    /// As the Java SDKs send: blobs are byte strings, timestamps tagged (1) milliseconds.
    Cbor,
}

impl Protocol {
    /// By content type; parameters such as a charset do not matter.
    pub(crate) fn of(content_type: &str) -> Option<Self> {
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-amz-json-1.1" | "application/json" => Some(Self::Json),
            "application/x-amz-cbor-1.1" => Some(Self::Cbor),
            _ => None,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/x-amz-json-1.1",
            Self::Cbor => "application/x-amz-cbor-1.1",
        }
    }

    /// The message says what does not fit, for the caller.
    pub(crate) fn decode<T: DeserializeOwned>(self, body: &[u8]) -> Result<T, String> {
        match self {
            Self::Json if body.is_empty() => serde_json::from_slice(b"{}").map_err(|error| error.to_string()),
            Self::Json => serde_json::from_slice(body).map_err(|error| error.to_string()),
            Self::Cbor if body.is_empty() => ciborium::from_reader(&[0xa0_u8][..]).map_err(|error| error.to_string()),
            Self::Cbor => ciborium::from_reader(body).map_err(|error| error.to_string()),
        }
    }

    /// The message says why the value cannot be encoded: a defect of this service.
    pub(crate) fn encode<T: Serialize>(self, value: &T) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        match self {
            Self::Json => serde_json::to_writer(&mut body, value).map_err(|error| error.to_string())?,
            Self::Cbor => ciborium::into_writer(value, &mut body).map_err(|error| error.to_string())?,
        }
        Ok(body)
    }
}
