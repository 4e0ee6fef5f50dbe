//! Rows on their way into a scratch table: in the types of its columns, copied so that nothing else is held with them, and counted.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use datafusion::arrow::compute::{concat_batches, take_record_batch};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::DFSchema;
use datafusion::error::DataFusionError;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::super::error::EngineError;
use super::super::insert::cast;
use super::super::options::{OptionValue, OptionValues};
use super::super::result::result_schema;
use super::super::sql::CATALOG;
use super::super::statement_options::StatementOptions;
use super::SCHEMA;
use super::contents::Piece;
use super::kept::Scratch;
use super::memory::Account;

/// Rows of a piece: as many as the query engine works on at once.
const ROWS: usize = 8192;
/// Bytes that wait to become a piece.
const WAITING: usize = 4 << 20;
/// Pieces of so few rows are put together.
const SMALL: usize = 1024;

/// The columns of a table that is made for rows of this schema: plain types, as every client reads them.
pub(super) fn stored_schema(rows: &Schema, not_null: &BTreeSet<String>) -> Result<SchemaRef, EngineError> {
    let mut names = BTreeSet::new();
    for field in rows.fields() {
        if field.name().is_empty() || !names.insert(field.name()) {
            return Err(EngineError::Invalid(format!(
                "a table has columns of different names; `{}` is not one: name it by AS",
                field.name()
            )));
        }
    }
    let mut options = OptionValues::default();
    options.insert("timestamp_unit", OptionValue::Text("declared".into()));
    let options = StatementOptions::resolve(&options)?;
    let plain = result_schema(&DFSchema::try_from(rows.clone())?, &options);
    let field = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Null => DataType::Utf8,
            other => other.clone(),
        };
        Field::new(field.name(), data_type, !not_null.contains(field.name()))
    };
    Ok(Arc::new(Schema::new(plain.fields().iter().map(field).collect::<Vec<_>>())))
}

/// Takes rows for a table.
pub(super) struct Incoming<'s> {
    scratch: &'s Scratch,
    account: Arc<Account>,
    table: &'s str,
    schema: SchemaRef,
    /// Of each column of the table, which of the rows it is; the others are NULL.
    sources: Vec<Option<usize>>,
    waiting: Vec<RecordBatch>,
    pieces: Vec<Arc<Piece>>,
    rows: usize,
}

impl<'s> Incoming<'s> {
    /// `places`: of each column of the rows, which of the table it is.
    pub(super) fn new(scratch: &'s Scratch, account: &Arc<Account>, table: &'s str, schema: &SchemaRef, places: &[usize]) -> Self {
        let source = |column: usize| places.iter().position(|place| *place == column);
        Self {
            scratch,
            account: Arc::clone(account),
            table,
            schema: Arc::clone(schema),
            sources: (0..schema.fields().len()).map(source).collect(),
            waiting: Vec::new(),
            pieces: Vec::new(),
            rows: 0,
        }
    }

    pub(super) async fn all(
        mut self,
        mut rows: BoxStream<'_, Result<RecordBatch, EngineError>>,
    ) -> Result<(Vec<Arc<Piece>>, usize), EngineError> {
        while let Some(batch) = rows.next().await {
            self.batch(&batch?)?;
        }
        self.flush()?;
        Ok((self.pieces, self.rows))
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let columns = self.sources.iter().zip(self.schema.fields());
        let columns = columns.map(|(source, field)| self.column(batch, *source, field));
        let columns: Vec<ArrayRef> = columns.collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let fitted = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(DataFusionError::from)?;
        self.rows += batch.num_rows();
        for start in (0..fitted.num_rows()).step_by(ROWS) {
            self.waiting.push(fitted.slice(start, ROWS.min(fitted.num_rows() - start)));
            let rows: usize = self.waiting.iter().map(RecordBatch::num_rows).sum();
            let bytes: usize = self.waiting.iter().map(RecordBatch::get_array_memory_size).sum();
            if rows >= ROWS || bytes >= WAITING {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn column(&self, batch: &RecordBatch, source: Option<usize>, field: &Field) -> Result<ArrayRef, EngineError> {
        let refuse = |row: usize, reason: &str| {
            EngineError::Invalid(format!(
                "table `{CATALOG}.{SCHEMA}.{}`, column `{}`, row {}: {reason}",
                self.table,
                field.name(),
                self.rows + row + 1
            ))
        };
        let column = match source.and_then(|source| batch.columns().get(source)) {
            Some(column) => cast(column, field.data_type()).map_err(|(row, reason)| refuse(row, &reason))?,
            None => new_null_array(field.data_type(), batch.num_rows()),
        };
        if !field.is_nullable()
            && let Some(row) = (0..column.len()).find(|row| column.is_null(*row))
        {
            return Err(refuse(row, "the column is NOT NULL"));
        }
        Ok(column)
    }

    fn flush(&mut self) -> Result<(), EngineError> {
        let waiting = std::mem::take(&mut self.waiting);
        if !waiting.is_empty() {
            self.pieces.push(piece(self.scratch, &self.account, &self.schema, &waiting)?);
        }
        Ok(())
    }
}

/// One piece of several batches, and of nothing else that their buffers hold.
fn piece(scratch: &Scratch, account: &Arc<Account>, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Arc<Piece>, EngineError> {
    let batch = match batches {
        [one] => {
            let rows = u32::try_from(one.num_rows()).map_err(|error| EngineError::Internal(error.to_string()))?;
            take_record_batch(one, &UInt32Array::from_iter_values(0..rows)).map_err(DataFusionError::from)?
        }
        several => concat_batches(schema, several).map_err(DataFusionError::from)?,
    };
    let held = scratch.reserve(account, batch.get_array_memory_size())?;
    Ok(Arc::new(Piece { batch, _held: held }))
}

/// The pieces of a table, and more. Where few rows come at a time they are put together, or each would cost as much as a thousand.
pub(super) fn appended(scratch: &Scratch, account: &Arc<Account>, known: &[Arc<Piece>], more: Vec<Arc<Piece>>) -> Vec<Arc<Piece>> {
    let mut all = known.to_vec();
    let mut more = more.into_iter();
    if let (Some(last), Some(first)) = (all.last(), more.as_slice().first())
        && last.batch.num_rows() + first.batch.num_rows() <= SMALL
        && let Ok(both) = piece(scratch, account, &last.batch.schema(), &[last.batch.clone(), first.batch.clone()])
    {
        all.pop();
        all.push(both);
        more.next();
    }
    all.extend(more);
    all
}
