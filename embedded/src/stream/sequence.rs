//! Sequence numbers: 56 decimal digits, like those of AWS.
//!
//! `49`, the stream's creation in ms (14 digits), a random tag of the incarnation (8), the shard's number (12), the record's counter (20).
//! So they increase within a shard by the counter, from parents to children (whose numbers are higher), are unique in a stream, and those of
//! another stream or of an earlier incarnation can be told apart.

use std::fmt::{self, Write as _};

use serde::ser::{Error as _, Serialize, Serializer};

const DIGITS: usize = 56;
const COUNTER_DIGITS: usize = 20;
const SHARD_DIGITS: usize = 12;
const PREFIX: usize = DIGITS - COUNTER_DIGITS;

/// What the sequence numbers of one shard have in common.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct SequencePrefix([u8; PREFIX]);

/// A sequence number that does not belong to the shard.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum ForeignSequence {
    /// Not a sequence number, or one of another stream or incarnation.
    OtherStream,
    /// One of another shard of the stream.
    OtherShard(u64),
}

impl SequencePrefix {
    /// `None` if a part does not fit its digits.
    pub(crate) fn new(created_ms: i64, tag: u32, shard: u32) -> Option<Self> {
        let mut text = String::with_capacity(PREFIX);
        write!(text, "49{created_ms:014}{tag:08}{shard:012}").ok()?;
        Some(Self(text.as_bytes().try_into().ok()?))
    }

    pub(crate) fn number(&self, counter: u64) -> SequenceText {
        let mut text = [b'0'; DIGITS];
        text[..PREFIX].copy_from_slice(&self.0);
        let mut rest = counter;
        for digit in text[PREFIX..].iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        SequenceText(text)
    }

    /// The counter of a sequence number of this shard.
    pub(crate) fn counter(&self, text: &str) -> Result<u64, ForeignSequence> {
        let digits = text.trim_start_matches('0').as_bytes();
        let stream = PREFIX - SHARD_DIGITS;
        if digits.len() != DIGITS || !digits.iter().all(u8::is_ascii_digit) || digits[..stream] != self.0[..stream] {
            return Err(ForeignSequence::OtherStream);
        }
        if digits[stream..PREFIX] != self.0[stream..] {
            let shard = decimal(&digits[stream..PREFIX]).ok_or(ForeignSequence::OtherStream)?;
            return Err(ForeignSequence::OtherShard(shard));
        }
        decimal(&digits[PREFIX..]).ok_or(ForeignSequence::OtherStream)
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0_u64, |value, digit| value.checked_mul(10)?.checked_add(u64::from(digit - b'0')))
}

/// A sequence number as text.
#[derive(Clone, Copy, Eq, PartialEq)]
pub(crate) struct SequenceText([u8; DIGITS]);

impl SequenceText {
    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for SequenceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|digit| f.write_char(char::from(*digit)))
    }
}

impl fmt::Debug for SequenceText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SequenceText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(std::str::from_utf8(&self.0).map_err(S::Error::custom)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_56_digits_and_read_back() {
        let prefix = SequencePrefix::new(1_732_312_345_678, 42, 7).unwrap();
        let text = prefix.number(123).to_string();
        assert_eq!(text, "49017323123456780000004200000000000700000000000000000123");
        assert_eq!(text.len(), 56);
        assert_eq!(prefix.counter(&text), Ok(123));
        assert_eq!(prefix.counter(&format!("0{text}")), Ok(123));
        assert_eq!(prefix.counter(&prefix.number(u64::MAX).to_string()), Ok(u64::MAX));
    }

    #[test]
    fn numbers_of_elsewhere_are_told_apart() {
        let prefix = SequencePrefix::new(1_732_312_345_678, 42, 7).unwrap();
        let sibling = SequencePrefix::new(1_732_312_345_678, 42, 8).unwrap();
        let earlier = SequencePrefix::new(1_732_312_345_678, 41, 7).unwrap();
        assert_eq!(prefix.counter(&sibling.number(1).to_string()), Err(ForeignSequence::OtherShard(8)));
        assert_eq!(prefix.counter(&earlier.number(1).to_string()), Err(ForeignSequence::OtherStream));
        for text in ["", "0", "12", "49x", &"9".repeat(56), &"9".repeat(57)] {
            assert_eq!(prefix.counter(text), Err(ForeignSequence::OtherStream), "{text}");
        }
    }
}
