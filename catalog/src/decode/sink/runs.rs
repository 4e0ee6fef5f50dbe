//! Values of one kind, many at a time.

use super::nested::MapValues;
use super::values::Values;
use super::{Refusal, Sink};
use crate::decode::cell::Cell;
use crate::decode::decimal;

impl Sink {
    /// Adds these values, each by its index; of those that do not convert it says why. They are some MiB of text at most.
    #[inline]
    pub(in crate::decode) fn append_cells<'c>(
        &mut self,
        count: usize,
        cell: impl Fn(usize) -> Cell<'c>,
        refused: &mut Vec<(usize, Refusal)>,
    ) {
        for index in 0..count {
            // The only place that calls it: so it becomes part of this, and the cell is never in memory.
            let cell = cell(index);
            if self.values.append_own(cell) {
                continue;
            }
            if let Err(inside) = self.values.append(cell) {
                refused.push((index, inside.map_or_else(|| self.refusal(cell), |inside| *inside)));
            }
        }
        self.split_text();
    }
}

impl MapValues {
    /// Whether every text is a key.
    pub(in crate::decode) fn takes_any_key(&self) -> bool {
        self.trial.is_none()
    }

    /// Adds keys to a map that takes any.
    pub(in crate::decode) fn keys(&mut self, keys: &[&str]) {
        let mut refused = Vec::new();
        self.key.append_cells(keys.len(), |index| Cell::Text(keys[index]), &mut refused);
    }
}

impl Values {
    /// Adds a value that is what the column holds, and needs no conversion; `false` and nothing added if it is not.
    #[inline(always)]
    pub(super) fn append_own(&mut self, cell: Cell<'_>) -> bool {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Text(builder), Cell::Null) => builder.append_null(),
            (Self::Text(builder), Cell::Bytes(bytes)) => match std::str::from_utf8(bytes) {
                Ok(text) => builder.append_value(text),
                Err(_) => return false,
            },
            (Self::BigInt(builder, _) | Self::Timestamp(builder, _), Cell::Null) => builder.append_null(),
            (Self::Bytes(builder, _), Cell::Bytes(bytes)) => builder.append_value(bytes),
            (Self::BigInt(builder, _), Cell::Integer(value)) => builder.append_value(value),
            (Self::Boolean(builder, _), Cell::Boolean(value)) => builder.append_value(value),
            (Self::Double(builder, _), Cell::Double(value)) => builder.append_value(value),
            (Self::Real(builder, _), Cell::Real(value)) => builder.append_value(value),
            (Self::Date(builder, _), Cell::Date(days)) => builder.append_value(days),
            (Self::Integer(builder, _), Cell::Integer(value)) => match i32::try_from(value) {
                Ok(value) => builder.append_value(value),
                Err(_) => return false,
            },
            (Self::Timestamp(builder, parser), Cell::Instant(seconds, nanos)) => match parser.of(seconds, nanos) {
                Some(value) => builder.append_value(value),
                None => return false,
            },
            (Self::Decimal(builder, precision, scale), Cell::Decimal(bytes, places)) if places == *scale => {
                match decimal::within(i128::from_be_bytes(bytes), *precision) {
                    Some(value) => builder.append_value(value),
                    None => return false,
                }
            }
            _ => return false,
        }
        true
    }
}
