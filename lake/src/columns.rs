//! Columns of a table: as rows bring them, and as files hold them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{CastOptions, can_cast_types, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit};

use crate::{LakeError, LakeErrorKind, LakeFormat, LakeSpec};

/// Characters that names of a Delta table's columns cannot have, as long as the table maps no columns.
const NOT_IN_DELTA_NAMES: &[char] = &[' ', ',', ';', '{', '}', '(', ')', '\n', '\t', '='];

/// The columns of a table.
#[derive(Clone, Debug)]
pub(crate) struct Columns {
    location: String,
    rows: SchemaRef,
    table: SchemaRef,
    file: SchemaRef,
    partition: Vec<usize>,
    in_file: Vec<usize>,
}

impl Columns {
    /// Columns of a table, or why there can be no such table.
    pub(crate) fn new(spec: &LakeSpec) -> Result<Self, LakeError> {
        let unsupported = |message: String| LakeError::new(LakeErrorKind::Unsupported, &spec.location, message);
        let mut names = HashSet::new();
        let mut fields = Vec::new();
        for field in spec.schema.fields() {
            let name = field.name();
            if !names.insert(name.to_lowercase()) {
                return Err(unsupported(format!("two columns are called {name:?}: give one an alias")));
            }
            let stored = stored_type(field.data_type())
                .and_then(|stored| fits(spec.format, name, &stored).map(|()| stored))
                .map_err(|reason| unsupported(format!("column {name:?}: {reason}")))?;
            if !can_cast_types(field.data_type(), &stored) {
                return Err(unsupported(format!(
                    "column {name:?}: {} cannot be written as {stored}",
                    field.data_type()
                )));
            }
            fields.push(Field::new(name, stored, true));
        }
        let table = Arc::new(Schema::new(fields));
        let mut partition = Vec::new();
        for name in &spec.partitioned_by {
            let (index, field) = table
                .column_with_name(name)
                .ok_or_else(|| unsupported(format!("the rows have no column {name:?} to be partitioned by")))?;
            if partition.contains(&index) {
                return Err(unsupported(format!("partitioned by {name:?} twice")));
            }
            if !is_partition_type(field.data_type()) {
                return Err(unsupported(format!("{} cannot be partitioned by: {name:?}", field.data_type())));
            }
            partition.push(index);
        }
        let in_file: Vec<usize> = (0..table.fields().len()).filter(|index| !partition.contains(index)).collect();
        if in_file.is_empty() {
            return Err(unsupported("a table needs a column that it is not partitioned by".into()));
        }
        let file = table.project(&in_file).map_err(|error| unsupported(error.to_string()))?;
        Ok(Self {
            location: spec.location.clone(),
            rows: Arc::clone(&spec.schema),
            table,
            file: Arc::new(file),
            partition,
            in_file,
        })
    }

    /// All of them, as files hold them; everything may be NULL.
    pub(crate) fn table(&self) -> &SchemaRef {
        &self.table
    }

    /// Those in the files.
    pub(crate) fn file(&self) -> &SchemaRef {
        &self.file
    }

    /// Those of the partitions, outermost first.
    pub(crate) fn partition_fields(&self) -> impl Iterator<Item = &Field> {
        self.partition.iter().map(|index| self.table.field(*index))
    }

    /// Positions of the partitions' columns.
    pub(crate) fn partition(&self) -> &[usize] {
        &self.partition
    }

    /// The columns of a batch that lie in its file.
    pub(crate) fn in_file(&self, batch: &RecordBatch) -> Result<RecordBatch, LakeError> {
        batch
            .project(&self.in_file)
            .map_err(|error| LakeError::new(LakeErrorKind::Rows, &self.location, error.to_string()))
    }

    /// Rows as files hold them.
    pub(crate) fn convert(&self, rows: &RecordBatch) -> Result<RecordBatch, LakeError> {
        let failed = |message: String| LakeError::new(LakeErrorKind::Rows, &self.location, message);
        let schema = rows.schema();
        let expected = self.rows.fields().iter().map(|field| field.name());
        if !schema.fields().iter().map(|field| field.name()).eq(expected) {
            return Err(failed(format!(
                "the rows have other columns than the table was opened with: {schema}"
            )));
        }
        let columns: Result<Vec<ArrayRef>, LakeError> = rows
            .columns()
            .iter()
            .zip(self.table.fields())
            .map(|(column, field)| {
                if column.data_type() == field.data_type() {
                    return Ok(Arc::clone(column));
                }
                let options = CastOptions {
                    safe: false,
                    ..CastOptions::default()
                };
                cast_with_options(column, field.data_type(), &options).map_err(|error| {
                    failed(format!(
                        "column {:?} cannot be written as {}: {error}",
                        field.name(),
                        field.data_type()
                    ))
                })
            })
            .collect();
        RecordBatch::try_new(Arc::clone(&self.table), columns?).map_err(|error| failed(error.to_string()))
    }
}

/// A table's columns with those of the rows that it has not yet, or why the rows do not fit.
pub(crate) fn grown(table: &Schema, rows: &Schema) -> Result<SchemaRef, String> {
    let mut fields: Vec<FieldRef> = table.fields().iter().cloned().collect();
    for field in rows.fields() {
        match table.fields().iter().find(|known| known.name().eq_ignore_ascii_case(field.name())) {
            None => fields.push(Arc::clone(field)),
            Some(known) if known.name() != field.name() => {
                return Err(format!(
                    "the table has the column {:?}, the rows have {:?}",
                    known.name(),
                    field.name()
                ));
            }
            Some(known) if known.data_type() != field.data_type() => {
                return Err(format!(
                    "column {:?} is {} in the table and {} in the rows: cast it, or offload to another location",
                    field.name(),
                    known.data_type(),
                    field.data_type()
                ));
            }
            Some(_) => {}
        }
    }
    Ok(Arc::new(Schema::new(fields)))
}

/// The type in which files hold values of a type, or why they cannot.
fn stored_type(given: &DataType) -> Result<DataType, String> {
    Ok(match given {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32 => given.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        DataType::UInt32 => DataType::Int64,
        DataType::UInt64 => DataType::Decimal128(20, 0),
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        // A timestamp without a zone is an instant in UTC everywhere in this program; a Delta timestamp is one too, in microseconds.
        DataType::Timestamp(_, _) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale)
            if *precision <= 38 && *scale >= 0 =>
        {
            DataType::Decimal128(*precision, *scale)
        }
        DataType::Dictionary(_, values) => stored_type(values)?,
        DataType::RunEndEncoded(_, values) => stored_type(values.data_type())?,
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::ListView(element)
        | DataType::LargeListView(element)
        | DataType::FixedSizeList(element, _) => DataType::List(Arc::new(Field::new("element", stored_type(element.data_type())?, true))),
        DataType::Struct(fields) if !fields.is_empty() => {
            let fields: Result<Vec<FieldRef>, String> = fields
                .iter()
                .map(|field| {
                    let stored = stored_type(field.data_type()).map_err(|reason| format!("field {:?}: {reason}", field.name()))?;
                    Ok(Arc::new(Field::new(field.name(), stored, true)))
                })
                .collect();
            DataType::Struct(fields?.into())
        }
        DataType::Map(entries, _) => map_type(entries)?,
        DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) | DataType::Duration(_) | DataType::Interval(_) => {
            return Err(format!("{given} has no form in files: cast it, to varchar for example"));
        }
        DataType::Null => return Err("NULL alone has no type: cast it to one".into()),
        _ => return Err(format!("{given} has no form in files: cast it")),
    })
}

fn map_type(entries: &FieldRef) -> Result<DataType, String> {
    let DataType::Struct(fields) = entries.data_type() else {
        return Err("a map without keys and values".into());
    };
    let [key, value] = fields.as_ref() else {
        return Err("a map without keys and values".into());
    };
    let fields = Fields::from(vec![
        Field::new("key", stored_type(key.data_type())?, false),
        Field::new("value", stored_type(value.data_type())?, true),
    ]);
    Ok(DataType::Map(
        Arc::new(Field::new("key_value", DataType::Struct(fields), false)),
        false,
    ))
}

/// Whether a format has such a column; the type is one of [`stored_type`].
fn fits(format: LakeFormat, name: &str, stored: &DataType) -> Result<(), String> {
    if name.is_empty() {
        return Err("it has no name: give it an alias".into());
    }
    match format {
        LakeFormat::Parquet => Ok(()),
        LakeFormat::Delta => {
            if name.contains(NOT_IN_DELTA_NAMES) {
                return Err("names in a Delta table have no spaces and none of ,;{}()=: give it an alias".into());
            }
            match stored {
                DataType::Struct(fields) => fields.iter().try_for_each(|field| {
                    fits(format, field.name(), field.data_type()).map_err(|reason| format!("field {:?}: {reason}", field.name()))
                }),
                DataType::List(element) => fits(format, "element", element.data_type()),
                DataType::Map(entries, _) => fits(format, "key_value", entries.data_type()),
                _ => Ok(()),
            }
        }
        LakeFormat::Orc => match stored {
            DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Utf8
            | DataType::Binary
            | DataType::Date32
            | DataType::Timestamp(_, _) => Ok(()),
            _ => Err(format!(
                "{stored} cannot be written to ORC files: cast it, or take DELTA or PARQUET"
            )),
        },
    }
}

fn is_partition_type(stored: &DataType) -> bool {
    matches!(
        stored,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Utf8
            | DataType::Date32
            | DataType::Timestamp(_, _)
            | DataType::Decimal128(_, _)
    )
}

#[cfg(test)]
mod tests;
