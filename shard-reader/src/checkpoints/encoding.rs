//! Positions of thousands of shards in few bytes: CBOR, in which a sequence number is 24 bytes, and zstd, whose checksum tells what was damaged.

use std::io::{Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::store::{CheckpointError, CheckpointErrorKind};

/// What is stored inflates to no more than that; 10,000 shards are about 2 MB.
const MOST_BYTES: u64 = 256 << 20;

/// An iteration or a base as bytes.
pub(super) fn pack<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, CheckpointError> {
    let invalid =
        |error: &dyn std::fmt::Display| CheckpointError::new(CheckpointErrorKind::Invalid, format!("{what} cannot be stored: {error}"));
    let mut plain = Vec::new();
    ciborium::into_writer(value, &mut plain).map_err(|error| invalid(&error))?;
    let packed = || {
        let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
        encoder.include_checksum(true)?;
        encoder.write_all(&plain)?;
        encoder.finish()
    };
    packed().map_err(|error: std::io::Error| invalid(&error))
}

/// What [`pack`] made.
///
/// # Errors
/// `Corrupt`, if it did not.
pub(super) fn unpack<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, CheckpointError> {
    let corrupt = |error: &dyn std::fmt::Display| {
        CheckpointError::new(
            CheckpointErrorKind::Corrupt,
            format!("{what}: what is stored cannot be read: {error}"),
        )
    };
    let mut plain = Vec::new();
    zstd::Decoder::new(bytes)
        .and_then(|decoder| decoder.take(MOST_BYTES).read_to_end(&mut plain))
        .map_err(|error| corrupt(&error))?;
    ciborium::from_reader(plain.as_slice()).map_err(|error| corrupt(&error))
}

/// What people may want to read as it lies there: heads and runs.
pub(super) fn to_json<T: Serialize>(what: &str, value: &T) -> Result<String, CheckpointError> {
    serde_json::to_string(value)
        .map_err(|error| CheckpointError::new(CheckpointErrorKind::Invalid, format!("{what} cannot be stored: {error}")).because(error))
}

/// What [`to_json`] made.
///
/// # Errors
/// `Corrupt`, if it did not.
pub(super) fn from_json<T: DeserializeOwned>(what: &str, text: &[u8]) -> Result<T, CheckpointError> {
    serde_json::from_slice(text).map_err(|error| {
        CheckpointError::new(
            CheckpointErrorKind::Corrupt,
            format!("{what}: what is stored cannot be read: {error}"),
        )
        .because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoints::{Ends, ShardEnd};
    use crate::{Position, SequenceNumber, ShardId};

    #[test]
    fn what_was_damaged_is_not_read_as_something_else() {
        let end = ShardEnd {
            position: Position::after_record(SequenceNumber::from(77)),
            closed_ms: None,
        };
        let ends = Ends {
            as_of_ms: Some(5),
            retention_ms: 86_400_000,
            shards: (0..50).map(|shard| (ShardId::from(format!("shardId-{shard:012}")), end)).collect(),
        };
        let bytes = pack("ends", &ends).unwrap();
        assert_eq!(unpack::<Ends>("ends", &bytes).unwrap(), ends);
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            // a few bits of the frame's header mean nothing
            if let Ok(read) = unpack::<Ends>("ends", &damaged) {
                assert_eq!(read, ends, "byte {at}");
            }
            let cut = unpack::<Ends>("ends", &bytes[..at]);
            assert_eq!(cut.unwrap_err().kind, CheckpointErrorKind::Corrupt, "cut at {at}");
        }
    }
}
