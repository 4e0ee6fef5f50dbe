//! Shard iterators: positions with an age, opaque to callers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// What an iterator says. Reading one twice gives the same page, as long as the records exist.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct ShardIterator {
    pub(crate) stream: String,
    /// The incarnation it was given out for.
    pub(crate) created_ms: i64,
    pub(crate) tag: u32,
    pub(crate) shard: u32,
    /// The smallest counter that it reads.
    pub(crate) next: u64,
    pub(crate) issued_ms: i64,
}

const VERSION: u8 = 1;
const FIXED: usize = 1 + 8 + 4 + 4 + 8 + 8;

impl ShardIterator {
    pub(crate) fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(4 + FIXED + self.stream.len());
        bytes.extend_from_slice(&[0; 4]);
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.created_ms.to_be_bytes());
        bytes.extend_from_slice(&self.tag.to_be_bytes());
        bytes.extend_from_slice(&self.shard.to_be_bytes());
        bytes.extend_from_slice(&self.next.to_be_bytes());
        bytes.extend_from_slice(&self.issued_ms.to_be_bytes());
        bytes.extend_from_slice(self.stream.as_bytes());
        let crc = crc32fast::hash(&bytes[4..]);
        bytes[..4].copy_from_slice(&crc.to_be_bytes());
        STANDARD.encode(bytes)
    }

    /// `None` for anything that [`encode`](Self::encode) did not make.
    pub(crate) fn decode(text: &str) -> Option<Self> {
        let bytes = STANDARD.decode(text).ok()?;
        let (crc, rest) = bytes.split_first_chunk::<4>()?;
        if u32::from_be_bytes(*crc) != crc32fast::hash(rest) {
            return None;
        }
        let (version, rest) = rest.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (created_ms, rest) = rest.split_first_chunk::<8>()?;
        let (tag, rest) = rest.split_first_chunk::<4>()?;
        let (shard, rest) = rest.split_first_chunk::<4>()?;
        let (next, rest) = rest.split_first_chunk::<8>()?;
        let (issued_ms, rest) = rest.split_first_chunk::<8>()?;
        Some(Self {
            stream: String::from_utf8(rest.to_vec()).ok()?,
            created_ms: i64::from_be_bytes(*created_ms),
            tag: u32::from_be_bytes(*tag),
            shard: u32::from_be_bytes(*shard),
            next: u64::from_be_bytes(*next),
            issued_ms: i64::from_be_bytes(*issued_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iterators_read_back_and_tampering_shows() {
        let iterator = ShardIterator {
            stream: "orders".into(),
            created_ms: 12,
            tag: 3,
            shard: 4,
            next: u64::MAX,
            issued_ms: -5,
        };
        let text = iterator.encode();
        assert_eq!(ShardIterator::decode(&text), Some(iterator));
        let mut bytes = STANDARD.decode(&text).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert_eq!(ShardIterator::decode(&STANDARD.encode(&bytes)), None);
            bytes[at] ^= 1;
        }
        for text in ["", "x", "AAAA", "not base64!"] {
            assert_eq!(ShardIterator::decode(text), None);
        }
    }
}
