//! Functions and operators that statements can use beside DataFusion's own.

mod as_text;
mod json_by_path;
mod json_of_bytes;
mod json_path;
mod sequence_number;

use std::sync::Arc;

use datafusion::common::Result as DfResult;
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::ScalarUDF;

pub(super) use as_text::union_text;

/// Those of physical plans: there the functions for bytes have been replaced by those of text.
pub(super) fn register_physical(state: &mut SessionState) -> DfResult<()> {
    state.register_udf(Arc::new(ScalarUDF::from(sequence_number::SequenceNumberText::new())))?;
    datafusion_functions_json::register_all(state)?;
    json_by_path::register(state)
}

/// Registers them.
pub(super) fn register(state: &mut SessionState) -> DfResult<()> {
    state.register_udf(Arc::new(ScalarUDF::from(sequence_number::SequenceNumberText::new())))?;
    json_of_bytes::register(state)?;
    json_by_path::register(state)
}
