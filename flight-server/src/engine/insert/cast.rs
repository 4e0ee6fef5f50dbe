//! Values in the types of the table's columns.

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::kernels::cmp::distinct;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::DataType;

/// A column in another type, or the row whose value is not one of that type and why.
pub(in super::super) fn cast(column: &ArrayRef, to: &DataType) -> Result<ArrayRef, (usize, String)> {
    if column.data_type() == to {
        return Ok(ArrayRef::clone(column));
    }
    let options = |safe| CastOptions {
        safe,
        ..CastOptions::default()
    };
    let cast = match cast_with_options(column, to, &options(false)) {
        Ok(cast) => cast,
        Err(error) => {
            // Which row it was: where a value became NULL.
            let lenient = cast_with_options(column, to, &options(true)).ok();
            let row = lenient.and_then(|lenient| (0..column.len()).find(|row| column.is_valid(*row) && lenient.is_null(*row)));
            return Err((row.unwrap_or(0), error.to_string()));
        }
    };
    // A fraction is not cut off in silence.
    if column.data_type().is_floating()
        && to.is_integer()
        && let Ok(back) = cast_with_options(&cast, column.data_type(), &options(true))
        && let Ok(differs) = distinct(&back, column)
        && let Some(row) = (0..differs.len()).find(|row| differs.value(*row))
    {
        return Err((row, "the value is not a whole number, or too large to be exact".into()));
    }
    Ok(cast)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::array::{Float64Array, Int64Array, NullArray, StringArray};

    use super::*;

    #[test]
    fn the_row_of_a_value_that_does_not_fit_is_named() {
        let texts: ArrayRef = Arc::new(StringArray::from(vec![None, Some("1"), Some("x")]));
        assert_eq!(cast(&texts, &DataType::Int64).unwrap_err().0, 2);
        let large: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, Some(300)]));
        assert_eq!(cast(&large, &DataType::Int8).unwrap_err().0, 2);
        let fraction: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), None, Some(1.5)]));
        let (row, reason) = cast(&fraction, &DataType::Int64).unwrap_err();
        assert_eq!(row, 2);
        assert!(reason.contains("not a whole number"), "{reason}");
        let whole: ArrayRef = Arc::new(Float64Array::from(vec![Some(2.0), None]));
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), None]));
        assert_eq!(&cast(&whole, &DataType::Int64).unwrap(), &expected);
        let nothing: ArrayRef = Arc::new(NullArray::new(2));
        assert_eq!(cast(&nothing, &DataType::Int64).unwrap().null_count(), 2);
    }
}
