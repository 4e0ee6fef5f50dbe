//! Scalars of one type, many at a time: what they are is decided once for all of them.

use arrow::datatypes::TimeUnit;

use super::super::cell::Cell;
use super::super::rows::Rows;
use super::super::sink::{Refusal, Sink};
use super::run::Slot;
use super::schema::{Id, Node, Schema};
use super::value::{MOST_SMALL, instant, small_decimal};

/// What takes values, each by its index.
pub(super) trait Target {
    fn take<'c>(&mut self, count: usize, cell: impl Fn(usize) -> Cell<'c>);
}

/// A column of rows.
pub(super) struct Column<'r> {
    pub(super) rows: &'r mut Rows,
    pub(super) place: usize,
}

impl Target for Column<'_> {
    #[inline]
    fn take<'c>(&mut self, count: usize, cell: impl Fn(usize) -> Cell<'c>) {
        self.rows.cells(self.place, count, cell);
    }
}

/// What is inside of a column's values.
pub(super) struct Inside<'s> {
    pub(super) sink: &'s mut Sink,
    /// Indexes of values that do not convert, and why.
    pub(super) refused: &'s mut Vec<(usize, Refusal)>,
}

impl Target for Inside<'_> {
    #[inline]
    fn take<'c>(&mut self, count: usize, cell: impl Fn(usize) -> Cell<'c>) {
        self.sink.append_cells(count, cell, self.refused);
    }
}

/// Adds values of that type or NULL, each with the bytes that it is in; `false` and nothing added if they have to be read one by one.
pub(super) fn scalars<'d>(
    schema: &'d Schema,
    id: Id,
    count: usize,
    slot: impl Fn(usize) -> (&'d Slot, &'d [u8]),
    target: &mut impl Target,
) -> bool {
    macro_rules! cells {
        ($of:expr) => {
            target.take(count, |index| {
                let (slot, data) = slot(index);
                match slot.id {
                    Some(_) => $of(slot, data),
                    None => Cell::Null,
                }
            })
        };
    }
    match schema.node(id) {
        Node::Boolean => cells!(|slot: &Slot, _| Cell::Boolean(slot.value != 0)),
        Node::Int | Node::Long => cells!(|slot: &Slot, _| Cell::Integer(slot.value)),
        Node::Float => cells!(|slot: &Slot, data| slot
            .bytes_of(data)
            .first_chunk()
            .map_or(Cell::Null, |bytes| Cell::Real(f32::from_le_bytes(*bytes)))),
        Node::Double => cells!(|slot: &Slot, data| slot
            .bytes_of(data)
            .first_chunk()
            .map_or(Cell::Null, |bytes| Cell::Double(f64::from_le_bytes(*bytes)))),
        Node::Bytes | Node::Fixed(_) => cells!(|slot: &'d Slot, data: &'d [u8]| Cell::Bytes(slot.bytes_of(data))),
        Node::String | Node::Uuid => cells!(|slot: &'d Slot, data: &'d [u8]| Cell::of_text(slot.bytes_of(data))),
        Node::Date => cells!(|slot: &Slot, _| i32::try_from(slot.value).map_or(Cell::Null, Cell::Date)),
        Node::Time(TimeUnit::Millisecond) => cells!(|slot: &Slot, _| Cell::Time(slot.value * 1_000_000)),
        Node::Time(_) => cells!(|slot: &Slot, _| Cell::Time(slot.value.saturating_mul(1_000))),
        Node::Timestamp(TimeUnit::Millisecond) => cells!(|slot: &Slot, _| instant(slot.value, TimeUnit::Millisecond)),
        Node::Timestamp(TimeUnit::Microsecond) => cells!(|slot: &Slot, _| instant(slot.value, TimeUnit::Microsecond)),
        Node::Timestamp(unit) => cells!(|slot: &Slot, _| instant(slot.value, *unit)),
        Node::Decimal(digits) | Node::FixedDecimal(_, digits) if (0..count).all(|index| is_small(slot(index).0)) => {
            cells!(|slot: &'d Slot, data: &'d [u8]| small_decimal(slot.bytes_of(data), digits.scale).unwrap_or(Cell::Null));
        }
        Node::Enum(symbols) if schema.is_small() => {
            cells!(|slot: &Slot, _| usize::try_from(slot.value).map_or(Cell::Null, |index| symbols
                .get(index)
                .map_or(Cell::Null, |symbol| Cell::Text(symbol))));
        }
        _ => return false,
    }
    true
}

/// Whether a decimal is NULL, or of so few bytes that it has no need of being written out.
fn is_small(slot: &Slot) -> bool {
    slot.id.is_none() || slot.range().len() <= MOST_SMALL
}
