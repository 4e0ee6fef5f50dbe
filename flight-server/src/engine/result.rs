//! The one schema of a result, and the one adapter that fits every batch to it.
//!
//! A client compares the schema that it was promised with the one that it gets, nullability included; a logical plan, a physical plan and a
//! batch may each say something else.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::{CastOptions, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::common::DFSchema;
use datafusion_functions_json::JSON_UNION_DATA_TYPE;

use super::error::EngineError;
use super::flat;
use super::functions::union_text;
use super::statement_options::StatementOptions;

/// The schema in which a result is sent.
pub(super) fn result_schema(plan: &DFSchema, options: &StatementOptions) -> SchemaRef {
    Arc::new(Schema::new(
        plan.fields().iter().map(|field| sent_column(field, options)).collect::<Vec<_>>(),
    ))
}

fn sent_column(field: &FieldRef, options: &StatementOptions) -> Field {
    let sent = match field.data_type() {
        // whole columns alone: within nested values few drivers know them
        DataType::Dictionary(keys, values) if options.dictionaries && !options.flat_types => {
            let values = Box::new(sent_type(values, options));
            return Field::new(field.name(), DataType::Dictionary(keys.clone(), values), true);
        }
        _ => sent_field(field, options),
    };
    if !options.flat_types {
        return sent;
    }
    let flat = flat::flat_type(sent.data_type().clone());
    sent.with_data_type(flat)
}

fn sent_field(field: &FieldRef, options: &StatementOptions) -> Field {
    Field::new(field.name(), sent_type(field.data_type(), options), true)
}

fn sent_type(data_type: &DataType, options: &StatementOptions) -> DataType {
    let nested = |field: &FieldRef| Arc::new(sent_field(field, options));
    match data_type {
        DataType::Utf8View if !options.string_views => DataType::Utf8,
        DataType::BinaryView if !options.string_views => DataType::Binary,
        DataType::LargeUtf8 => DataType::Utf8,
        DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, values) => sent_type(values, options),
        DataType::RunEndEncoded(_, values) => sent_type(values.data_type(), options),
        DataType::List(field) | DataType::LargeList(field) | DataType::ListView(field) | DataType::LargeListView(field) => {
            DataType::List(nested(field))
        }
        DataType::FixedSizeList(field, length) => DataType::FixedSizeList(nested(field), *length),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(nested).collect()),
        // Keys of a map, and the entries themselves, cannot be NULL.
        DataType::Map(entries, sorted) => match entries.data_type() {
            DataType::Struct(fields) if fields.len() == 2 => {
                let key = Field::new(fields[0].name(), sent_type(fields[0].data_type(), options), false);
                let entries = Field::new(
                    entries.name(),
                    DataType::Struct(vec![Arc::new(key), nested(&fields[1])].into()),
                    false,
                );
                DataType::Map(Arc::new(entries), *sorted)
            }
            other => other.clone(),
        },
        // what `->` gives: drivers know no unions
        union @ DataType::Union(..) if *union == *JSON_UNION_DATA_TYPE => DataType::Utf8,
        DataType::Timestamp(_, zone) if options.timestamp_ns => DataType::Timestamp(TimeUnit::Nanosecond, zone.clone()),
        other => other.clone(),
    }
}

/// Fits a batch to the schema in which it is sent. Costs nothing for columns that fit already.
pub(super) fn fit(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| fit_column(column, field))
        .collect::<Result<Vec<_>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| EngineError::Internal(format!("a batch does not fit the result's schema: {error}")))
}

fn fit_column(column: &ArrayRef, field: &Field) -> Result<ArrayRef, EngineError> {
    if column.data_type() == field.data_type() {
        return Ok(Arc::clone(column));
    }
    if matches!(column.data_type(), DataType::Union(..)) && *field.data_type() == DataType::Utf8 {
        return Ok(union_text(column)?);
    }
    let refused = |error: ArrowError, remedy: &str| EngineError::Invalid(format!("column `{}`: {error}{remedy}", field.name()));
    if *field.data_type() == DataType::Utf8
        && let Some(text) = flat::text(column).map_err(|error| refused(error, ""))?
    {
        return Ok(text);
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(column, field.data_type(), &options).map_err(|error| {
        let remedy = if matches!(field.data_type(), DataType::Timestamp(TimeUnit::Nanosecond, _)) {
            "; a time outside the years 1677 to 2262 does not fit nanoseconds: SET kinesis.timestamp_unit = 'declared' (with flat_types it is always nanoseconds)"
        } else {
            ""
        };
        refused(error, remedy)
    })
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Int64Array, StringViewArray, TimestampSecondArray};

    use super::*;
    use crate::engine::OptionValues;

    fn options() -> StatementOptions {
        StatementOptions::resolve(&OptionValues::default()).expect("defaults")
    }

    #[test]
    fn every_field_is_nullable_and_no_view_is_left() {
        let item = Arc::new(Field::new("item", DataType::Utf8View, false));
        let plan = Schema::new(vec![
            Field::new("v", DataType::Utf8View, false),
            Field::new("l", DataType::LargeList(item), false),
            Field::new(
                "d",
                DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
                false,
            ),
            Field::new("t", DataType::Timestamp(TimeUnit::Second, None), false),
        ]);
        let sent = result_schema(&DFSchema::try_from(plan).expect("a schema"), &options());
        let list = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        let types = [
            DataType::Utf8,
            list,
            DataType::Utf8,
            DataType::Timestamp(TimeUnit::Nanosecond, None),
        ];
        for (field, expected) in sent.fields().iter().zip(&types) {
            assert!(field.is_nullable(), "{field}");
            assert_eq!(field.data_type(), expected);
        }
    }

    #[test]
    fn dictionaries_are_kept_where_that_is_asked_for() {
        let words = |values| DataType::Dictionary(Box::new(DataType::Int8), Box::new(values));
        let list = |values| DataType::List(Arc::new(Field::new("item", values, true)));
        let plan = Schema::new(vec![
            Field::new("d", words(DataType::Utf8View), false),
            Field::new("l", list(words(DataType::Utf8)), false),
        ]);
        let plan = DFSchema::try_from(plan).expect("a schema");
        let sent = |options: &StatementOptions| -> Vec<DataType> {
            let sent = result_schema(&plan, options);
            assert!(sent.fields().iter().all(|field| field.is_nullable()));
            sent.fields().iter().map(|field| field.data_type().clone()).collect()
        };
        let kept = StatementOptions {
            dictionaries: true,
            ..options()
        };
        assert_eq!(sent(&options()), [DataType::Utf8, list(DataType::Utf8)]);
        assert_eq!(sent(&kept), [words(DataType::Utf8), list(DataType::Utf8)]);
        let flat = StatementOptions { flat_types: true, ..kept };
        assert_eq!(sent(&flat), [DataType::Utf8, DataType::Utf8]);
    }

    #[test]
    fn batches_are_cast_or_refused_with_a_remedy() {
        let schema = Arc::new(Schema::new(vec![
            Field::new("v", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
            Field::new("t", DataType::Timestamp(TimeUnit::Nanosecond, None), true),
        ]));
        let batch = |second: i64| {
            RecordBatch::try_from_iter(vec![
                ("v", Arc::new(StringViewArray::from(vec!["a"])) as ArrayRef),
                ("n", Arc::new(Int64Array::from(vec![1]))),
                ("t", Arc::new(TimestampSecondArray::from(vec![second]))),
            ])
            .expect("a batch")
        };
        assert_eq!(fit(&batch(1), &schema).expect("fits").schema(), schema);
        let error = fit(&batch(i64::MAX / 2), &schema).expect_err("year 146 billion");
        assert!(error.to_string().contains("timestamp_unit"), "{error}");
    }
}
