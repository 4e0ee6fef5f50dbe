//! What schema registries put before a payload.

use std::borrow::Cow;

use crate::compression::Inflater;
use crate::{Codec, Compression};

/// Confluent's header: a zero, and the id of the schema; then the payload.
pub(super) fn confluent(record: &[u8]) -> Result<(u32, &[u8]), String> {
    match record.split_first_chunk::<5>() {
        Some(([0, id @ ..], payload)) => Ok((u32::from_be_bytes(*id), payload)),
        _ => Err("no Confluent header: a zero byte and four of the schema's id".to_owned()),
    }
}

/// AWS Glue's header: a three, how the payload is compressed, and the UUID of the schema's version; then the payload.
#[derive(Debug)]
pub(super) struct Glue {
    zlib: Inflater,
}

impl Default for Glue {
    fn default() -> Self {
        Self {
            zlib: Inflater::new(Compression::Chain(vec![Codec::Zlib])),
        }
    }
}

impl Glue {
    pub(super) fn payload<'a>(&mut self, record: &'a [u8]) -> Result<(u128, Cow<'a, [u8]>), String> {
        let Some(([3, compression, id @ ..], payload)) = record.split_first_chunk::<18>() else {
            return Err("no Glue header: a byte of 3, one of the compression and 16 of the schema version's UUID".to_owned());
        };
        let payload = match compression {
            0 => Cow::Borrowed(payload),
            5 => self.zlib.inflate(payload)?,
            other => return Err(format!("a Glue header with the unknown compression {other}")),
        };
        Ok((u128::from_be_bytes(*id), payload))
    }
}
