//! A table whose rows are drawn as they come.

use std::fmt::Write as _;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::util::display::ArrayFormatter;
use unicode_width::UnicodeWidthStr;

use super::output::TABLE_FORMAT;

/// The first rows decide how wide the columns are; what is wider later moves the rest of its line.
pub(super) struct EndlessTable {
    schema: SchemaRef,
    widths: Vec<usize>,
}

impl EndlessTable {
    pub(super) fn new(schema: SchemaRef) -> Self {
        Self {
            schema,
            widths: Vec::new(),
        }
    }

    /// The lines of a batch, and before the first one's the head.
    pub(super) fn batch(&mut self, batch: &RecordBatch) -> Result<String, ArrowError> {
        let formatters = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column.as_ref(), &TABLE_FORMAT))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = (0..batch.num_rows())
            .map(|row| formatters.iter().map(|column| column.value(row).try_to_string()).collect())
            .collect::<Result<Vec<Vec<String>>, _>>()?;
        let mut lines = String::new();
        if self.widths.is_empty() {
            lines = self.head(&rows);
        }
        for row in &rows {
            self.line(&mut lines, row.iter().map(String::as_str));
        }
        Ok(lines)
    }

    /// The last line, and the head if no row came.
    pub(super) fn finish(mut self) -> String {
        let head = if self.widths.is_empty() { self.head(&[]) } else { String::new() };
        head + &self.border()
    }

    fn head(&mut self, rows: &[Vec<String>]) -> String {
        let schema = SchemaRef::clone(&self.schema);
        let names = || schema.fields().iter().map(|field| field.name().as_str());
        self.widths = names().map(width).collect();
        for row in rows {
            for (widest, cell) in self.widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(cell));
            }
        }
        let mut lines = self.border();
        self.line(&mut lines, names());
        lines + &self.border()
    }

    fn border(&self) -> String {
        let columns: Vec<String> = self.widths.iter().map(|width| "-".repeat(width + 2)).collect();
        format!("+{}+\n", columns.join("+"))
    }

    fn line<'a>(&self, lines: &mut String, cells: impl Iterator<Item = &'a str>) {
        for (widest, cell) in self.widths.iter().zip(cells) {
            let padding = widest.saturating_sub(width(cell));
            // writing to a string cannot fail
            let _ = write!(lines, "| {cell}{:padding$} ", "");
        }
        lines.push_str("|\n");
    }
}

fn width(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn batch(hosts: Vec<Option<&str>>, bytes: Vec<Option<i64>>) -> RecordBatch {
        RecordBatch::try_new(
            schema(),
            vec![Arc::new(StringArray::from(hosts)), Arc::new(Int64Array::from(bytes))],
        )
        .unwrap()
    }

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("host", DataType::Utf8, true),
            Field::new("bytes", DataType::Int64, true),
        ]))
    }

    #[test]
    fn rows_are_drawn_as_they_come() {
        let mut table = EndlessTable::new(schema());
        assert_eq!(
            table.batch(&batch(vec![Some("größer")], vec![Some(1)])).unwrap(),
            "+--------+-------+\n| host   | bytes |\n+--------+-------+\n| größer | 1     |\n"
        );
        assert_eq!(
            table
                .batch(&batch(vec![None, Some("longer than that")], vec![Some(2), None]))
                .unwrap(),
            "| NULL   | 2     |\n| longer than that | NULL  |\n"
        );
        assert_eq!(table.finish(), "+--------+-------+\n");
        assert_eq!(
            EndlessTable::new(schema()).finish(),
            "+------+-------+\n| host | bytes |\n+------+-------+\n+------+-------+\n"
        );
    }
}
