//! Partition keys.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::datatypes::DataType;
use rand::RngExt;
use rand::rngs::SmallRng;

use super::cast::cast;

/// The keys of a batch.
#[derive(Debug)]
pub(super) enum Keys {
    /// Each another one.
    Any,
    /// These.
    Texts(StringArray),
}

impl Keys {
    /// Of a column; the row and the reason, where it has none.
    pub(super) fn of(column: &ArrayRef) -> Result<Self, (usize, String)> {
        let texts = cast(column, &DataType::Utf8)?;
        let texts = texts.as_string::<i32>().clone();
        let wrong = |row: &usize| texts.is_null(*row) || !(1..=256).contains(&texts.value(*row).chars().count());
        match (0..texts.len()).find(wrong) {
            Some(row) if texts.is_null(row) => Err((row, "a partition key cannot be NULL".into())),
            Some(row) => Err((row, "a partition key has 1 to 256 characters".into())),
            None => Ok(Self::Texts(texts)),
        }
    }
}

/// A key that no other record has: it spreads records over the shards.
pub(super) fn any(random: &mut SmallRng) -> String {
    format!("{:032x}", random.random::<u128>())
}
