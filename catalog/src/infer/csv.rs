//! Columns of delimited text.
//!
//! Lines and fields are found by the decoder itself, with every field as text; then all texts of a field decide its type.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray};

use super::propose::{self, InferredColumn};
use super::{Inferred, shape::Shape};
use crate::{BadRecords, ColumnDefinition, ColumnType, CsvFormat, Decoder, Format, TableDefinition};

/// Fields of a line that are looked at.
const MOST_FIELDS: usize = 512;

pub(super) fn infer(records: &[&[u8]], definition: &Arc<TableDefinition>, options: &CsvFormat) -> Result<Inferred, String> {
    let texts = TableDefinition {
        // A header is a line like others here: its names are wanted.
        format: Format::Csv(CsvFormat {
            header: false,
            ..options.clone()
        }),
        bad_records: BadRecords::NullRow,
        event_time: None,
        columns: (0..MOST_FIELDS).map(field).collect(),
        ..TableDefinition::clone(definition)
    };
    let fields: Vec<usize> = (0..MOST_FIELDS).collect();
    let mut decoder = Decoder::new(&Arc::new(texts), &fields).map_err(|error| error.message)?;
    let decoded = decoder
        .decode(&BinaryArray::from(records.to_vec()))
        .map_err(|error| error.to_string())?;
    let bad: BTreeSet<usize> = decoded.bad.iter().map(|bad| bad.row).collect();
    let rows = decoded.columns.first().map_or(0, |column| column.len());
    let record_of = |row: usize| decoded.records.as_ref().map_or(row, |records| records.value(row) as usize);
    let is_header = |row: usize| options.header && (row == 0 || record_of(row) != record_of(row - 1));
    let width = (0..MOST_FIELDS)
        .rev()
        .find(|field| (0..rows).any(|row| !bad.contains(&row) && decoded.columns[*field].is_valid(row)))
        .map_or(0, |last| last + 1);
    let header = (0..rows).find(|row| is_header(*row) && !bad.contains(row));
    let mut names = BTreeSet::new();
    let columns = (0..width).map(|field| {
        let column = decoded.columns[field].as_string::<i32>();
        let mut shape = Shape::default();
        for row in (0..rows).filter(|row| !bad.contains(row) && !is_header(*row) && column.is_valid(*row)) {
            shape.see_text(column.value(row));
        }
        let name = header.filter(|row| column.is_valid(*row)).map(|row| column.value(row).trim());
        propose::field(field, name, &shape, &mut names)
    });
    Ok(Inferred {
        columns: columns.collect::<Vec<InferredColumn>>(),
        records: records.len(),
        unreadable: bad.iter().map(|row| record_of(*row)).collect::<BTreeSet<_>>().len(),
        reason: decoded.bad.first().map(|bad| bad.error.to_string()),
    })
}

fn field(index: usize) -> ColumnDefinition {
    ColumnDefinition {
        name: format!("c{index}"),
        path: Vec::new(),
        index: Some(index),
        raw: None,
        column_type: ColumnType::Varchar,
        format: None,
        hidden: false,
        comment: None,
    }
}
