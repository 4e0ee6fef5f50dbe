//! Bad records that statements met.

use async_trait::async_trait;
use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, Field};

use super::super::error::EngineError;
use super::super::scan_errors::ScanError;
use super::columns::{bytes, number, number_field, text, text_field, time, time_field};
use super::{Facts, SystemTable};

#[derive(Debug)]
pub(super) struct ScanErrorsTable;

#[async_trait]
impl SystemTable for ScanErrorsTable {
    fn name(&self) -> &'static str {
        "scan_errors"
    }

    fn comment(&self) -> &'static str {
        "bad records that statements met, once for each definition: where, why, and their first bytes"
    }

    fn fields(&self) -> Vec<Field> {
        vec![
            time_field("time"),
            text_field("schema"),
            text_field("table"),
            text_field("stream"),
            text_field("shard"),
            text_field("sequence"),
            number_field("sub_sequence"),
            number_field("row_index"),
            text_field("path"),
            text_field("error"),
            Field::new("message", DataType::Binary, true),
            number_field("message_length"),
            text_field("query_id"),
        ]
    }

    async fn columns(&self, facts: &Facts) -> Result<Vec<ArrayRef>, EngineError> {
        let mut rows: Vec<ScanError> = facts.errors.entries();
        rows.retain(|row| facts.grants.reads(row.table(), Some(&row.stream)));
        Ok(vec![
            time(&rows, |row| Some(row.at_ms)),
            text(&rows, |row| Some(&row.table().schema)),
            text(&rows, |row| Some(&row.table().table)),
            text(&rows, |row| Some(&row.stream)),
            text(&rows, |row| Some(row.shard())),
            text(&rows, |row| Some(row.sequence().padded())),
            number(&rows, |row| Some(row.sub())),
            number(&rows, |row| Some(row.row_index())),
            text(&rows, |row| row.path.as_ref()),
            text(&rows, |row| Some(&row.error)),
            bytes(&rows, |row| &row.message),
            number(&rows, |row| Some(row.message_length)),
            text(&rows, |row| Some(&row.query_id)),
        ])
    }
}
