//! Sequence numbers and the points between records.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::ByteArray;

/// Decimal digits of [`SequenceNumber::padded`]: the most that always fit into 24 bytes. AWS uses 56 in practice.
pub const PADDED_DIGITS: usize = 57;
const CHUNK_DIGITS: usize = 18;
const CHUNK: u64 = 1_000_000_000_000_000_000;

/// Why a text is not a sequence number or a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PositionError {
    /// Not decimal digits.
    #[error("{0:?} is not a sequence number: it must be decimal digits")]
    NotDecimal(String),
    /// More digits than 24 bytes always hold.
    #[error("sequence number {0:?} has more than {PADDED_DIGITS} digits")]
    TooWide(String),
    /// Not a position's text.
    #[error("{0:?} is not a position: expected trim_horizon, before:SEQUENCE or after:SEQUENCE:SUB")]
    NotAPosition(String),
}

/// A Kinesis sequence number as a fixed-width big-endian integer, so that `Ord` is numeric.
///
/// The API gives decimal text of varying length; it never orders as text. Numbers of up to [`PADDED_DIGITS`] digits are accepted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SequenceNumber([u8; 24]);

impl SequenceNumber {
    /// 0.
    pub const MIN: Self = Self([0; 24]);

    /// The greatest that has a text: [`PADDED_DIGITS`] nines.
    pub const MAX: Self = Self([
        0x28, 0xc8, 0x7c, 0xb5, 0xc8, 0x9a, 0x25, 0x71, 0xeb, 0xfd, 0xcb, 0x54, 0x86, 0x4a, 0xda, 0x83, 0x49, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff,
    ]);

    /// From 24 bytes, most significant first.
    pub fn from_bytes(bytes: [u8; 24]) -> Self {
        Self(bytes)
    }

    /// The 24 bytes, most significant first.
    pub fn as_bytes(&self) -> &[u8; 24] {
        &self.0
    }

    /// Decimal text with leading zeros, [`PADDED_DIGITS`] wide: orders as text as it orders as a number.
    pub fn padded(&self) -> String {
        format!("{self:0>PADDED_DIGITS$}")
    }

    fn limbs(&self) -> [u64; 3] {
        let mut limbs = [0u64; 3];
        for (limb, bytes) in limbs.iter_mut().zip(self.0.as_chunks::<8>().0) {
            *limb = u64::from_be_bytes(*bytes);
        }
        limbs
    }

    fn from_limbs(limbs: [u64; 3]) -> Self {
        let mut bytes = [0u8; 24];
        for (chunk, limb) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(limbs) {
            *chunk = limb.to_be_bytes();
        }
        Self(bytes)
    }
}

impl From<u64> for SequenceNumber {
    fn from(value: u64) -> Self {
        Self::from_limbs([0, 0, value])
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut limbs = self.limbs();
        // 24 bytes are at most 58 digits: four chunks
        let mut digits = [b'0'; CHUNK_DIGITS * 4];
        for chunk in digits.rchunks_mut(CHUNK_DIGITS) {
            let mut remainder = 0u128;
            for limb in &mut limbs {
                let value = (remainder << 64) | u128::from(*limb);
                *limb = (value / u128::from(CHUNK)) as u64;
                remainder = value % u128::from(CHUNK);
            }
            let mut rest = remainder as u64;
            for digit in chunk.iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        let first = digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len() - 1);
        let text = std::str::from_utf8(&digits[first..]).map_err(|_| fmt::Error)?;
        f.pad(text)
    }
}

impl fmt::Debug for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for SequenceNumber {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PositionError::NotDecimal(text.chars().take(160).collect()));
        }
        let digits = text.trim_start_matches('0').as_bytes();
        if digits.len() > PADDED_DIGITS {
            return Err(PositionError::TooWide(text.chars().take(160).collect()));
        }
        let mut limbs = [0u64; 3];
        let (head, chunks) = digits.split_at(digits.len() % CHUNK_DIGITS);
        for chunk in std::iter::once(head).chain(chunks.chunks(CHUNK_DIGITS)) {
            let value = chunk.iter().fold(0u64, |value, digit| value * 10 + u64::from(digit - b'0'));
            let mut carry = u128::from(value);
            for limb in limbs.iter_mut().rev() {
                let product = u128::from(*limb) * u128::from(CHUNK) + carry;
                *limb = product as u64;
                carry = product >> 64;
            }
        }
        Ok(Self::from_limbs(limbs))
    }
}

/// Text for people; the 24 bytes where nobody reads it: a ticket may hold the positions of ten thousand shards.
impl Serialize for SequenceNumber {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            ByteArray::new(self.0).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for SequenceNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
        } else {
            ByteArray::deserialize(deserializer).map(|bytes| Self(bytes.into_array()))
        }
    }
}

/// A point between records of one shard. A record `s` lies between `Before(s)` and `After(s, last sub)`.
///
/// Aggregates have positions inside them: `After(s, n)` is the point after their user record `n`; any other record has the one sub-sequence 0. So
/// `After(s, 0)` lies after record `s` only if that is known to be no aggregate; [`Position::after_record`] does always.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Position {
    /// Before every record the shard still holds.
    TrimHorizon,
    /// Just before the record.
    Before(SequenceNumber),
    /// Just after user record `.1` of record `.0`.
    After(SequenceNumber, u32),
}

impl Position {
    /// After the whole record, whatever it holds.
    pub const fn after_record(sequence: SequenceNumber) -> Self {
        Self::After(sequence, u32::MAX)
    }

    /// Whether whole records up to this point are all there is up to `end`.
    pub(crate) fn completes(self, end: Self) -> bool {
        self >= end || matches!(self, Self::After(sequence, _) if end == Self::after_record(sequence))
    }

    /// The record named, if any.
    pub fn sequence(&self) -> Option<SequenceNumber> {
        match self {
            Self::TrimHorizon => None,
            Self::Before(sequence) | Self::After(sequence, _) => Some(*sequence),
        }
    }

    fn key(&self) -> (Option<SequenceNumber>, u64) {
        match self {
            Self::TrimHorizon => (None, 0),
            Self::Before(sequence) => (Some(*sequence), 0),
            Self::After(sequence, sub) => (Some(*sequence), u64::from(*sub) + 1),
        }
    }
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TrimHorizon => f.write_str("trim_horizon"),
            Self::Before(sequence) => write!(f, "before:{sequence}"),
            Self::After(sequence, sub) => write!(f, "after:{sequence}:{sub}"),
        }
    }
}

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let bad = || PositionError::NotAPosition(text.chars().take(160).collect());
        if text == "trim_horizon" {
            return Ok(Self::TrimHorizon);
        }
        if let Some(sequence) = text.strip_prefix("before:") {
            return Ok(Self::Before(sequence.parse()?));
        }
        let (sequence, sub) = text.strip_prefix("after:").and_then(|rest| rest.split_once(':')).ok_or_else(bad)?;
        Ok(Self::After(sequence.parse()?, sub.parse().map_err(|_| bad())?))
    }
}

/// A position where nobody reads it.
#[derive(Serialize, Deserialize)]
enum Packed {
    #[serde(rename = "h")]
    TrimHorizon,
    #[serde(rename = "b")]
    Before(SequenceNumber),
    #[serde(rename = "a")]
    After(SequenceNumber, u32),
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.collect_str(self);
        }
        let packed = match *self {
            Self::TrimHorizon => Packed::TrimHorizon,
            Self::Before(sequence) => Packed::Before(sequence),
            Self::After(sequence, sub) => Packed::After(sequence, sub),
        };
        packed.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            return String::deserialize(deserializer)?.parse().map_err(D::Error::custom);
        }
        Ok(match Packed::deserialize(deserializer)? {
            Packed::TrimHorizon => Self::TrimHorizon,
            Packed::Before(sequence) => Self::Before(sequence),
            Packed::After(sequence, sub) => Self::After(sequence, sub),
        })
    }
}

#[cfg(test)]
mod tests;
