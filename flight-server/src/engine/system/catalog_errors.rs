//! Definition files that cannot be used.

use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;

use super::super::error::EngineError;
use super::columns::{millis, number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct CatalogErrors;

#[async_trait]
impl SystemTable for CatalogErrors {
    fn name(&self) -> &'static str {
        "catalog_errors"
    }

    fn comment(&self) -> &'static str {
        "definition files that cannot be used, and why"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("file"),
            number_field("line"),
            number_field("column"),
            text_field("error"),
            time_field("since"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        // Files and their texts are for who looks after them.
        let errors: &[_] = if facts.grants.is_admin() { &facts.catalog.errors } else { &[] };
        Ok(vec![
            text(errors, |error| Some(error.file.display())),
            number(errors, |error| error.error.line),
            number(errors, |error| error.error.column),
            text(errors, |error| Some(&error.error.message)),
            time(errors, |error| error.since.duration_since(UNIX_EPOCH).ok().map(millis)),
        ])
    }
}
