//! The functions and operators of `datafusion-functions-json`, for bytes too: `_message` holds bytes.
//!
//! The crate's functions take text, and rewrite each other by name. So a statement is planned with functions of the same names that take bytes as
//! well; before it is optimized they are replaced by the crate's own, over text.

use std::any::Any;
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result as DfResult};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ExprSchemable, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, try_cast,
};
use datafusion::sql::sqlparser::ast::BinaryOperator;
use datafusion_functions_json::udfs;

use super::as_text::{is_bytes, text};

pub(super) fn register(state: &mut SessionState) -> DfResult<()> {
    // Before the crate's: the first that plans an operator wins, and the first that rewrites a function sees it as it was written.
    state.register_expr_planner(Arc::new(OperatorsOfBytes))?;
    state.register_function_rewrite(Arc::new(ToText))?;
    datafusion_functions_json::register_all(state)?;
    for function in [
        udfs::json_get_udf(),
        udfs::json_get_bool_udf(),
        udfs::json_get_float_udf(),
        udfs::json_get_int_udf(),
        udfs::json_get_json_udf(),
        udfs::json_get_array_udf(),
        udfs::json_as_text_udf(),
        udfs::json_get_str_udf(),
        udfs::json_contains_udf(),
        udfs::json_length_udf(),
        udfs::json_object_keys_udf(),
    ] {
        state.register_udf(Arc::new(ScalarUDF::from(OfBytes { function })))?;
    }
    Ok(())
}

/// A function of text whose first argument may be bytes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OfBytes {
    function: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for OfBytes {
    fn name(&self) -> &str {
        self.function.name()
    }

    fn aliases(&self) -> &[String] {
        self.function.aliases()
    }

    fn signature(&self) -> &Signature {
        self.function.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> DfResult<DataType> {
        let mut arg_types = arg_types.to_vec();
        if let Some(first) = arg_types.first_mut().filter(|first| is_bytes(first)) {
            *first = DataType::Utf8;
        }
        self.function.return_type(&arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> DfResult<FieldRef> {
        let mut arg_fields = args.arg_fields.to_vec();
        if let Some(first) = arg_fields.first_mut().filter(|first| is_bytes(first.data_type())) {
            *first = text_field(first);
        }
        self.function.return_field_from_args(ReturnFieldArgs {
            arg_fields: &arg_fields,
            scalar_arguments: args.scalar_arguments,
        })
    }

    fn invoke_with_args(&self, mut args: ScalarFunctionArgs) -> DfResult<ColumnarValue> {
        if let (Some(first), Some(field)) = (args.args.first_mut(), args.arg_fields.first_mut())
            && is_bytes(&first.data_type())
        {
            let array = first.to_array(args.number_rows)?;
            *first = ColumnarValue::Array(text(&array)?);
            *field = text_field(field);
        }
        self.function.invoke_with_args(args)
    }
}

fn text_field(field: &Field) -> FieldRef {
    Arc::new(field.clone().with_data_type(DataType::Utf8).with_nullable(true))
}

/// Puts the crate's functions, over text, where those of bytes stand.
#[derive(Debug)]
struct ToText;

impl FunctionRewrite for ToText {
    fn name(&self) -> &'static str {
        "json_of_bytes"
    }

    fn rewrite(&self, expr: Expr, schema: &DFSchema, _config: &ConfigOptions) -> DfResult<Transformed<Expr>> {
        let Expr::ScalarFunction(ScalarFunction { func, mut args }) = expr else {
            return Ok(Transformed::no(expr));
        };
        let implementation: &dyn Any = func.inner().as_ref();
        let Some(of_bytes) = implementation.downcast_ref::<OfBytes>() else {
            return Ok(Transformed::no(Expr::ScalarFunction(ScalarFunction { func, args })));
        };
        if let Some(first) = args.first_mut() {
            *first = as_text(first.clone(), schema)?;
        }
        Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction {
            func: Arc::clone(&of_bytes.function),
            args,
        })))
    }
}

/// Bytes that are no text are NULL.
fn as_text(expr: Expr, schema: &DFSchema) -> DfResult<Expr> {
    Ok(match expr.get_type(schema)? {
        bytes if is_bytes(&bytes) => try_cast(expr, DataType::Utf8),
        _ => expr,
    })
}

/// `->`, `->>` and `?` with bytes on their left.
#[derive(Debug)]
struct OperatorsOfBytes;

impl ExprPlanner for OperatorsOfBytes {
    fn plan_binary_op(&self, mut expr: RawBinaryExpr, schema: &DFSchema) -> DfResult<PlannerResult<RawBinaryExpr>> {
        if matches!(
            expr.op,
            BinaryOperator::Arrow | BinaryOperator::LongArrow | BinaryOperator::Question
        ) {
            expr.left = as_text(expr.left, schema)?;
        }
        Ok(PlannerResult::Original(expr))
    }
}
