//! Offload jobs, and how far each has come.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::Field;

use super::super::error::EngineError;
use super::columns::{flag, flag_field, number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct OffloadsTable;

#[async_trait]
impl SystemTable for OffloadsTable {
    fn name(&self) -> &'static str {
        "offloads"
    }

    fn comment(&self) -> &'static str {
        "jobs that keep a lake in step with a stream; what is counted is counted by this node since it started"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            text_field("name"),
            text_field("table"),
            text_field("location"),
            text_field("format"),
            flag_field("paused"),
            text_field("owner"),
            number_field("last_iteration"),
            time_field("committed_at"),
            time_field("watermark"),
            number_field("lag_ms"),
            number_field("iterations"),
            number_field("rows"),
            number_field("files"),
            number_field("bytes"),
            number_field("bad_records"),
            text_field("complete"),
            number_field("errors"),
            text_field("last_error"),
            time_field("failed_at"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows = match &facts.offloads {
            Some(offloads) => offloads.states().await?,
            None => Vec::new(),
        };
        rows.retain(|job| match &job.table {
            Some(table) => facts.grants.reads(table, None),
            // files and their texts are for who looks after them
            None => facts.grants.is_admin(),
        });
        Ok(vec![
            text(&rows, |row| Some(&row.name)),
            text(&rows, |row| row.table.as_ref()),
            text(&rows, |row| row.location.as_ref()),
            text(&rows, |row| row.format.as_ref()),
            flag(&rows, |row| Some(row.paused)),
            text(&rows, |row| row.owner.as_ref()),
            number(&rows, |row| row.iteration),
            time(&rows, |row| row.committed_ms),
            time(&rows, |row| row.watermark_ms),
            number(&rows, |row| row.lag_ms),
            number(&rows, |row| Some(row.iterations)),
            number(&rows, |row| Some(row.rows)),
            number(&rows, |row| Some(row.files)),
            number(&rows, |row| Some(row.bytes)),
            number(&rows, |row| Some(row.bad_records)),
            text(&rows, |row| row.complete.as_ref()),
            number(&rows, |row| Some(row.errors)),
            text(&rows, |row| row.last_error.as_ref()),
            time(&rows, |row| row.failed_ms),
        ])
    }
}
