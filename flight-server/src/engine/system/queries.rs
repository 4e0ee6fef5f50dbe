//! Statements that are planned, run or ran lately.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};

use super::super::error::EngineError;
use super::super::queries::{QueryRow, now_ms};
use super::columns::{number, number_field, ratio, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct QueriesTable;

#[async_trait]
impl SystemTable for QueriesTable {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn comment(&self) -> &'static str {
        "one's own statements that are planned, run or ran lately; who administers the server sees those of others, without text and error"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("id"),
            text_field("principal"),
            text_field("kind"),
            text_field("state"),
            time_field("started"),
            number_field("elapsed_ms"),
            number_field("rows"),
            number_field("bytes_cached"),
            number_field("bytes_read"),
            Field::new("progress", DataType::Float64, true),
            text_field("sql"),
            text_field("error"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows: Vec<QueryRow> = facts.queries.rows();
        let own = |row: &QueryRow| row.principal == facts.grants.principal();
        if !facts.grants.is_admin() {
            rows.retain(own);
        }
        let now = now_ms();
        let own = |row: &&QueryRow| own(row);
        Ok(vec![
            text(&rows, |row| Some(&row.id)),
            text(&rows, |row| Some(&row.principal)),
            text(&rows, |row| Some(row.kind)),
            text(&rows, |row| Some(row.state)),
            time(&rows, |row| Some(row.started_ms)),
            number(&rows, |row| Some(row.ended_ms.unwrap_or(now).saturating_sub(row.started_ms).max(0))),
            number(&rows, |row| Some(row.rows)),
            number(&rows, |row| Some(row.bytes_cached)),
            number(&rows, |row| Some(row.bytes_read)),
            ratio(&rows, QueryRow::progress),
            text(&rows, |row| Some(row).filter(own).map(|row| &row.sql)),
            text(&rows, |row| Some(row).filter(own).and_then(|row| row.error.as_ref())),
        ])
    }
}
