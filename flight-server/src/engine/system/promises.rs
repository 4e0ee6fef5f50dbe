//! Records that were read and lie outside of what their table's definition promises.

use async_trait::async_trait;
use catalog::TableName;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;

use super::super::error::EngineError;
use super::columns::{number, number_field, text, text_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct Promises;

#[async_trait]
impl SystemTable for Promises {
    fn name(&self) -> &'static str {
        "promises"
    }

    fn comment(&self) -> &'static str {
        "records read that lie outside of what a definition promises"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("table_schema"),
            text_field("table_name"),
            text_field("promise"),
            number_field("records_outside"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows: Vec<(TableName, u64)> = facts.promises.outside_event_time().into_iter().collect();
        rows.retain(|(table, _)| facts.grants.reads(table, None));
        Ok(vec![
            text(&rows, |(table, _)| Some(&table.schema)),
            text(&rows, |(table, _)| Some(&table.table)),
            text(&rows, |_| Some("event_time")),
            number(&rows, |(_, count)| Some(*count)),
        ])
    }
}
