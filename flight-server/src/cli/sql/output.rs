//! Rows on stdout: table, CSV, JSON lines, Arrow.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_schema;

use super::endless::EndlessTable;
use crate::cli::args::OutputFormat;

/// How a value is drawn in a table.
pub(super) const TABLE_FORMAT: FormatOptions<'static> = FormatOptions::new().with_null("NULL");

/// One statement's rows become bytes.
pub(super) enum Output {
    /// A table is as wide as its widest row, so it is drawn at the end.
    Table {
        schema: SchemaRef,
        batches: Vec<RecordBatch>,
    },
    /// A table that has no end is as wide as its first rows.
    Endless(EndlessTable),
    Csv(Box<arrow::csv::Writer<Buffer>>),
    Json(Box<arrow::json::Writer<Buffer, LineDelimited>>),
    Arrow(Box<StreamWriter<Buffer>>),
}

/// What a writer has written since it was last emptied.
#[derive(Debug, Default, Clone)]
pub(super) struct Buffer(std::sync::Arc<parking_lot::Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Buffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }
}

/// An [`Output`] and what it has written.
pub(in crate::cli) struct Printer {
    output: Output,
    buffer: Buffer,
}

impl Printer {
    /// Of one statement.
    pub(in crate::cli) fn new(format: OutputFormat, schema: &SchemaRef, follows: bool) -> Result<Self, ArrowError> {
        let buffer = Buffer::default();
        let output = match format {
            OutputFormat::Table if follows => Output::Endless(EndlessTable::new(SchemaRef::clone(schema))),
            OutputFormat::Table => Output::Table {
                schema: SchemaRef::clone(schema),
                batches: Vec::new(),
            },
            OutputFormat::Csv => {
                let mut csv = arrow::csv::WriterBuilder::new().with_header(true).build(buffer.clone());
                // The header must stand even if no row follows.
                csv.write(&RecordBatch::new_empty(SchemaRef::clone(schema)))?;
                Output::Csv(Box::new(csv))
            }
            OutputFormat::Json => Output::Json(Box::new(
                JsonBuilder::new()
                    .with_explicit_nulls(true)
                    .build::<_, LineDelimited>(buffer.clone()),
            )),
            OutputFormat::Arrow => Output::Arrow(Box::new(StreamWriter::try_new(buffer.clone(), schema)?)),
        };
        Ok(Self { output, buffer })
    }

    /// Takes a batch; returns what can be written by now.
    pub(in crate::cli) fn batch(&mut self, batch: RecordBatch) -> Result<Vec<u8>, ArrowError> {
        match &mut self.output {
            Output::Table { batches, .. } => batches.push(batch),
            Output::Endless(table) => return Ok(table.batch(&batch)?.into_bytes()),
            Output::Csv(csv) => csv.write(&batch)?,
            Output::Json(json) => json.write(&batch)?,
            Output::Arrow(arrow) => arrow.write(&batch)?,
        }
        Ok(self.buffer.take())
    }

    /// What is left to write.
    pub(in crate::cli) fn finish(self) -> Result<Vec<u8>, ArrowError> {
        match self.output {
            // A statement without a result set, such as SET, has no columns to draw.
            Output::Table { schema, .. } if schema.fields().is_empty() => {}
            Output::Table { schema, batches } => {
                return Ok(format!("{}\n", pretty_format_batches_with_schema_and_nulls(schema, &batches)?).into_bytes());
            }
            Output::Endless(table) => return Ok(table.finish().into_bytes()),
            Output::Csv(csv) => drop(csv),
            Output::Json(mut json) => json.finish()?,
            Output::Arrow(mut arrow) => arrow.finish()?,
        }
        Ok(self.buffer.take())
    }
}

fn pretty_format_batches_with_schema_and_nulls(schema: SchemaRef, batches: &[RecordBatch]) -> Result<String, ArrowError> {
    if batches.is_empty() {
        return Ok(pretty_format_batches_with_schema(schema, batches)?.to_string());
    }
    Ok(arrow::util::pretty::pretty_format_batches_with_options(batches, &TABLE_FORMAT)?.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::{DataType, Field, Schema};

    use super::*;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("host", DataType::Utf8, true),
            Field::new("bytes", DataType::Int64, true),
        ]))
    }

    fn batches() -> Vec<RecordBatch> {
        let batch = |hosts: Vec<Option<&str>>, bytes: Vec<Option<i64>>| {
            RecordBatch::try_new(
                schema(),
                vec![Arc::new(StringArray::from(hosts)), Arc::new(Int64Array::from(bytes))],
            )
            .unwrap()
        };
        vec![
            batch(vec![Some("a,b"), None], vec![Some(1), Some(2)]),
            batch(vec![Some("")], vec![None]),
        ]
    }

    fn printed(format: OutputFormat, batches: Vec<RecordBatch>) -> Vec<u8> {
        let mut printer = Printer::new(format, &schema(), false).unwrap();
        let mut bytes: Vec<u8> = batches.into_iter().flat_map(|batch| printer.batch(batch).unwrap()).collect();
        bytes.extend(printer.finish().unwrap());
        bytes
    }

    fn text(format: OutputFormat, batches: Vec<RecordBatch>) -> String {
        String::from_utf8(printed(format, batches)).unwrap()
    }

    #[test]
    fn table() {
        assert_eq!(
            text(OutputFormat::Table, batches()),
            "+------+-------+\n| host | bytes |\n+------+-------+\n| a,b  | 1     |\n| NULL | 2     |\n|      | NULL  |\n+------+-------+\n"
        );
        assert_eq!(
            text(OutputFormat::Table, vec![]),
            "+------+-------+\n| host | bytes |\n+------+-------+\n+------+-------+\n"
        );
    }

    #[test]
    fn csv_has_one_header_and_empty_nulls() {
        assert_eq!(text(OutputFormat::Csv, batches()), "host,bytes\n\"a,b\",1\n,2\n,\n");
        assert_eq!(text(OutputFormat::Csv, vec![]), "host,bytes\n");
    }

    #[test]
    fn json_is_one_object_a_line() {
        assert_eq!(
            text(OutputFormat::Json, batches()),
            "{\"host\":\"a,b\",\"bytes\":1}\n{\"host\":null,\"bytes\":2}\n{\"host\":\"\",\"bytes\":null}\n"
        );
        assert_eq!(text(OutputFormat::Json, vec![]), "");
    }

    #[test]
    fn arrow_is_one_ipc_stream() {
        for expected in [batches(), vec![]] {
            let bytes = printed(OutputFormat::Arrow, expected.clone());
            let reader = arrow::ipc::reader::StreamReader::try_new(&bytes[..], None).unwrap();
            assert_eq!(reader.schema(), schema());
            assert_eq!(reader.collect::<Result<Vec<_>, _>>().unwrap(), expected);
        }
    }

    #[test]
    fn a_statement_without_columns_draws_nothing() {
        let printer = Printer::new(OutputFormat::Table, &Arc::new(Schema::empty()), false).unwrap();
        assert!(printer.finish().unwrap().is_empty());
    }
}
