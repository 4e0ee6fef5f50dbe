//! SET, RESET and SHOW: statements that run when they are planned.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use uuid::Uuid;

use super::api::DoneResult;
use super::error::EngineError;
use super::options::{OptionSpec, OptionValue, OptionValues, find, option_specs, parse_option};
use super::session::Session;
use super::sql::{CATALOG, ParsedStatement, StatementKind};

/// Runs the statement, if it is one of these.
pub(super) fn run(session: &Session, values: &OptionValues, parsed: &ParsedStatement) -> Result<Option<DoneResult>, EngineError> {
    match &parsed.kind {
        StatementKind::Query(_)
        | StatementKind::Definition(_)
        | StatementKind::Transaction(_)
        | StatementKind::Call(_)
        | StatementKind::Scratch(_)
        | StatementKind::Copy { .. }
        | StatementKind::Offload(_)
        | StatementKind::Insert { .. } => Ok(None),
        StatementKind::Set { name, value } => {
            session.check_kept()?;
            let (name, value) = parse_option(name, value)?;
            session.set_option(name, Some(&value))?;
            Ok(Some(nothing()))
        }
        StatementKind::Reset { name: Some(name) } => {
            session.check_kept()?;
            session.set_option(name, None)?;
            Ok(Some(nothing()))
        }
        StatementKind::Reset { name: None } => {
            session.reset_options();
            Ok(Some(nothing()))
        }
        StatementKind::Show { name } => Ok(Some(show(values, name.as_deref())?)),
    }
}

/// Schema of `SHOW name`, or of `SHOW ALL`.
pub(super) fn show_schema(all: bool) -> SchemaRef {
    let names: &[&str] = if all {
        &["name", "value", "default", "description"]
    } else {
        &["name", "value"]
    };
    Arc::new(Schema::new(
        names.iter().map(|name| Field::new(*name, DataType::Utf8, true)).collect::<Vec<_>>(),
    ))
}

fn show(values: &OptionValues, name: Option<&str>) -> Result<DoneResult, EngineError> {
    let specs: Vec<&OptionSpec> = match name {
        Some(name) => vec![find(name)?],
        None => option_specs().iter().collect(),
    };
    let schema = show_schema(name.is_none());
    let text =
        |value: &dyn Fn(&OptionSpec) -> String| -> Arc<StringArray> { Arc::new(specs.iter().map(|spec| Some(value(spec))).collect()) };
    let mut columns: Vec<datafusion::arrow::array::ArrayRef> = vec![
        text(&|spec| format!("{CATALOG}.{}", spec.name)),
        text(&|spec| values.get(spec.name).map_or_else(|| spec.default.to_owned(), OptionValue::to_text)),
    ];
    if name.is_none() {
        columns.push(text(&|spec| spec.default.to_owned()));
        columns.push(text(&|spec| spec.doc.to_owned()));
    }
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(DoneResult {
        query_id: Uuid::now_v7().to_string(),
        schema,
        batches: vec![batch],
        affected: None,
    })
}

/// The result of a statement that gives no rows.
pub(super) fn nothing() -> DoneResult {
    DoneResult {
        query_id: Uuid::now_v7().to_string(),
        schema: Arc::new(Schema::empty()),
        batches: Vec::new(),
        affected: None,
    }
}
