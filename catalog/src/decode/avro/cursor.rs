//! Avro's encoding of values without parts.

use std::fmt;

/// Why bytes are no datum of a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Broken {
    /// The datum goes on where the record ends.
    End,
    /// A number of more than 64 bits.
    Varint,
    /// A length, count or index below zero or too large.
    Length(i64),
    /// A union has no such branch.
    Branch(i64),
    /// An enum has no such symbol.
    Symbol(i64),
    /// A boolean that is neither 0 nor 1.
    Boolean(u8),
    /// Records in records beyond what is followed.
    Depth,
    /// Masses of values that take no bytes.
    Empty,
    /// A block of an array or map is not as long as it says.
    Block,
    /// More names and symbols than a record may come to.
    Names,
    /// Something follows.
    Rest(usize),
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End => f.write_str("it ends within a value"),
            Self::Varint => f.write_str("a number of more than 64 bits"),
            Self::Length(length) => write!(f, "a length of {length}"),
            Self::Branch(index) => write!(f, "a union has no branch {index}"),
            Self::Symbol(index) => write!(f, "an enum has no symbol {index}"),
            Self::Boolean(byte) => write!(f, "a boolean of {byte}"),
            Self::Depth => write!(f, "values in more than {MOST_DEPTH} others"),
            Self::Empty => f.write_str("masses of values that take no bytes"),
            Self::Names => write!(f, "more than {} MiB of names and symbols", MOST_NAMES >> 20),
            Self::Block => f.write_str("a block is not as long as it says"),
            Self::Rest(bytes) => write!(f, "{bytes} bytes follow the datum"),
        }
    }
}

/// Values that one may be inside of.
pub(super) const MOST_DEPTH: usize = 64;
/// Values of arrays that take no bytes, in one datum: five bytes can say any number of them.
const MOST_EMPTY: usize = 1 << 16;
/// Bytes of names of fields and symbols of enums that one datum may stand for: a byte can stand for any symbol.
const MOST_NAMES: usize = 256 << 20;
/// Values with parts for each byte: a schema can say any number of records in records that take none.
const STEPS_A_BYTE: usize = 64;

/// Bytes that are being read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    depth: usize,
    empty: usize,
    /// Values with parts that there may still be.
    steps: usize,
    /// Bytes of names and symbols likewise.
    names: usize,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self::at(bytes, 0)
    }

    pub(super) fn at(bytes: &'a [u8], at: usize) -> Self {
        Self {
            bytes,
            at,
            depth: 0,
            empty: 0,
            steps: STEPS_A_BYTE * (bytes.len() + MOST_EMPTY / STEPS_A_BYTE),
            names: MOST_NAMES,
        }
    }

    /// Other bytes of the same record, which share its bounds.
    pub(super) fn within<'b>(&self, bytes: &'b [u8]) -> Cursor<'b> {
        Cursor {
            bytes,
            at: 0,
            depth: self.depth,
            empty: self.empty,
            steps: self.steps + STEPS_A_BYTE * bytes.len(),
            names: self.names,
        }
    }

    /// Counts what was read of the record's other bytes.
    pub(super) fn after(&mut self, other: &Cursor<'_>) {
        (self.empty, self.steps, self.names) = (other.empty, other.steps, other.names);
    }

    /// The same bytes, from there.
    #[cfg(test)]
    pub(super) fn again(&self, at: usize) -> Self {
        Self::at(self.bytes, at)
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline(always)]
    pub(super) fn byte(&mut self) -> Result<u8, Broken> {
        let byte = *self.bytes.get(self.at).ok_or(Broken::End)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline(always)]
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Broken> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..count)).ok_or(Broken::End)?;
        self.at += count;
        Ok(bytes)
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Broken> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk()).ok_or(Broken::End)?;
        self.at += N;
        Ok(*bytes)
    }

    /// A zigzag number: a length, a branch or another that most often is small.
    #[inline(always)]
    pub(super) fn long(&mut self) -> Result<i64, Broken> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(unzigzag(u64::from(*byte)))
            }
            _ => self.number(),
        }
    }

    /// A zigzag number of any size.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<i64, Broken> {
        // Of eight bytes at once: the bits of all to the first without its highest bit.
        let (word, ends) = self.eight();
        if ends == 0 {
            return self.long_of_many();
        }
        self.at += ends.trailing_zeros() as usize / 8 + 1;
        Ok(unzigzag(sevens(word & (ends ^ ends.wrapping_sub(1)))))
    }

    /// Goes over a number.
    #[inline(always)]
    pub(super) fn pass_number(&mut self) -> Result<(), Broken> {
        let (_, ends) = self.eight();
        if ends == 0 {
            return self.long_of_many().map(drop);
        }
        self.at += ends.trailing_zeros() as usize / 8 + 1;
        Ok(())
    }

    /// The next eight bytes, and of those that end a number the highest bit; none if there are fewer.
    #[inline(always)]
    fn eight(&self) -> (u64, u64) {
        let eight = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        eight.map_or((0, 0), |eight| {
            let word = u64::from_le_bytes(*eight);
            (word, !word & 0x8080_8080_8080_8080)
        })
    }

    /// A number that does not end within eight bytes, or is within eight bytes of the end.
    #[inline(never)]
    fn long_of_many(&mut self) -> Result<i64, Broken> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let (mut value, mut shift) = (0_u64, 0);
        for (length, byte) in rest.iter().enumerate() {
            // The tenth byte has room for one bit.
            if shift == 63 && *byte > 1 {
                return Err(Broken::Varint);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                self.at += length + 1;
                return Ok(unzigzag(value));
            }
            shift += 7;
        }
        Err(Broken::End)
    }

    /// A number that an `int` holds.
    #[inline(always)]
    pub(super) fn int(&mut self) -> Result<i32, Broken> {
        i32::try_from(self.number()?).map_err(|_| Broken::Varint)
    }

    #[inline(always)]
    pub(super) fn boolean(&mut self) -> Result<bool, Broken> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Broken::Boolean(other)),
        }
    }

    /// Bytes after their length.
    #[inline(always)]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Broken> {
        let length = self.long()?;
        self.take(usize::try_from(length).map_err(|_| Broken::Length(length))?)
    }

    /// The index of one of so many branches or symbols.
    #[inline(always)]
    pub(super) fn index(&mut self, count: usize, broken: fn(i64) -> Broken) -> Result<usize, Broken> {
        let index = self.long()?;
        usize::try_from(index)
            .ok()
            .filter(|index| *index < count)
            .ok_or_else(|| broken(index))
    }

    /// The number of items in the next block of an array or map, and where it ends if it says so; `None` after the last.
    #[inline]
    pub(super) fn block(&mut self, empty_items: bool) -> Result<Option<(usize, Option<usize>)>, Broken> {
        let count = self.long()?;
        if count == 0 {
            return Ok(None);
        }
        let items = usize::try_from(count.unsigned_abs()).map_err(|_| Broken::Length(count))?;
        let end = match count < 0 {
            true => {
                let size = self.long()?;
                let size = usize::try_from(size)
                    .ok()
                    .filter(|size| *size <= self.rest())
                    .ok_or(Broken::Length(size))?;
                Some(self.at + size)
            }
            false => None,
        };
        self.expect(items, empty_items)?;
        Ok(Some((items, end)))
    }

    /// Refuses more items than there can be.
    pub(super) fn expect(&mut self, items: usize, empty_items: bool) -> Result<(), Broken> {
        if empty_items {
            self.empty = self.empty.saturating_add(items);
            if self.empty > MOST_EMPTY { Err(Broken::Empty) } else { Ok(()) }
        } else if items > self.rest() {
            Err(Broken::End)
        } else {
            Ok(())
        }
    }

    pub(super) fn block_ends(&self, end: Option<usize>) -> Result<(), Broken> {
        if end.is_none_or(|end| end == self.at) {
            Ok(())
        } else {
            Err(Broken::Block)
        }
    }

    /// Counts names or symbols that a value of few bytes stands for.
    #[inline]
    pub(super) fn name(&mut self, bytes: usize) -> Result<(), Broken> {
        self.names = self.names.checked_sub(bytes).ok_or(Broken::Names)?;
        Ok(())
    }

    #[inline]
    pub(super) fn enter(&mut self) -> Result<(), Broken> {
        self.depth += 1;
        self.steps = self.steps.checked_sub(1).ok_or(Broken::Empty)?;
        if self.depth > MOST_DEPTH { Err(Broken::Depth) } else { Ok(()) }
    }

    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }
}

/// The seven lower bits of each byte, put together.
#[inline]
fn sevens(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

#[inline]
fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The specification's rule, byte by byte.
    fn plainly(bytes: &[u8]) -> Result<(i64, usize), Broken> {
        let mut value = 0_u128;
        for (index, byte) in bytes.iter().enumerate() {
            value |= u128::from(byte & 0x7f) << (7 * index);
            if value >> 64 != 0 || index == 9 && *byte > 1 {
                return Err(Broken::Varint);
            }
            if *byte < 0x80 {
                let value = value as u64;
                return Ok(((value >> 1) as i64 ^ -((value & 1) as i64), index + 1));
            }
        }
        Err(Broken::End)
    }

    proptest! {
        #[test]
        fn numbers(bytes in prop::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x7f), Just(0x80), Just(0xff), 0x80_u8.., any::<u8>()], 0..13)) {
            let mut cursor = Cursor::new(&bytes);
            let read = cursor.long().map(|value| (value, cursor.position()));
            prop_assert_eq!(&read, &plainly(&bytes));
            let mut cursor = Cursor::new(&bytes);
            let passed = cursor.pass_number().map(|()| cursor.position());
            prop_assert_eq!(passed, read.clone().map(|(_, position)| position));
            let mut cursor = Cursor::new(&bytes);
            prop_assert_eq!(cursor.number().map(|value| (value, cursor.position())), read);
        }
    }
}
