//! JSON as the functions take and give it: text, also where it comes as bytes, and as one text where it goes to a client.

use std::sync::Arc;

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::common::Result as DfResult;
use datafusion::common::config::ConfigOptions;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs};
use datafusion_functions_json::JSON_UNION_DATA_TYPE;
use datafusion_functions_json::udfs::json_union_to_text_udf;

/// Whether this is what holds the bytes of a message.
pub(super) fn is_bytes(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
}

/// Whether this is text.
pub(super) fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Text or bytes as text; bytes that are not UTF-8 are NULL.
pub(super) fn text(array: &ArrayRef) -> DfResult<ArrayRef> {
    if *array.data_type() == DataType::Utf8 {
        return Ok(Arc::clone(array));
    }
    if is_json_union(array.data_type()) {
        return union_text(array);
    }
    let options = CastOptions {
        safe: true,
        ..CastOptions::default()
    };
    Ok(cast_with_options(array, &DataType::Utf8, &options)?)
}

/// Whether this is what `json_get` and `->` give: a value of any JSON type.
pub(super) fn is_json_union(data_type: &DataType) -> bool {
    *data_type == *JSON_UNION_DATA_TYPE
}

/// What `json_get` and `->` give, as JSON text; `None` for an array of another type.
pub(in super::super) fn union_text(array: &ArrayRef) -> DfResult<ArrayRef> {
    let function = json_union_to_text_udf();
    let returned = function.invoke_with_args(ScalarFunctionArgs {
        args: vec![ColumnarValue::Array(Arc::clone(array))],
        arg_fields: vec![Arc::new(Field::new("json", array.data_type().clone(), true))],
        number_rows: array.len(),
        return_field: Arc::new(Field::new("text", DataType::Utf8View, true)),
        config_options: Arc::new(ConfigOptions::default()),
    })?;
    text(&returned.into_array(array.len())?)
}
