//! `sequence_number(text)`.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::Result as DfResult;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

/// `sequence_number(text)`: `_shard_sequence_id` without its leading zeros, as AWS writes it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct SequenceNumberText {
    signature: Signature,
}

impl SequenceNumberText {
    pub(super) fn new() -> Self {
        Self {
            signature: Signature::string(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for SequenceNumberText {
    fn name(&self) -> &'static str {
        "sequence_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> DfResult<DataType> {
        Ok(DataType::Utf8)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let texts = cast(&arrays[0], &DataType::Utf8)?;
        let stripped: StringArray = texts
            .as_string::<i32>()
            .iter()
            .map(|text| {
                text.map(|text| match text.trim_start_matches('0') {
                    "" if !text.is_empty() => "0",
                    rest => rest,
                })
            })
            .collect();
        let array: ArrayRef = Arc::new(stripped);
        debug_assert_eq!(array.len(), texts.len());
        Ok(ColumnarValue::Array(array))
    }
}
