//! What manifests say.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use deltalake::kernel::StructType;
use deltalake::kernel::engine::arrow_conversion::{TryIntoArrow, TryIntoKernel};
use serde::{Deserialize, Serialize};

use crate::{LakeFormat, Mark, WrittenFile};

/// The form of manifests that this program writes, and the newest that it reads.
pub(super) const FORM: u32 = 1;
/// How long it is remembered when a file left the table (ms): as long, files that snapshots may still read can be kept.
const REMEMBERED_MS: i64 = 30 * 24 * 3600 * 1000;

/// Columns of a table, as Delta's `schemaString` has them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct StoredSchema(StructType);

impl StoredSchema {
    pub(super) fn of(schema: &Schema) -> Result<Self, String> {
        schema.try_into_kernel().map(Self).map_err(|error| error.to_string())
    }

    pub(super) fn arrow(&self) -> Result<SchemaRef, String> {
        let schema: Schema = (&self.0).try_into_arrow().map_err(|error| error.to_string())?;
        let fields: Vec<Field> = schema
            .fields()
            .iter()
            .map(|field| Field::new(field.name(), plain(field.data_type()), true))
            .collect();
        Ok(Arc::new(Schema::new(fields)))
    }
}

/// The type without what a conversion may have put into the metadata of its fields.
fn plain(data_type: &DataType) -> DataType {
    let field = |field: &Field| Field::new(field.name(), plain(field.data_type()), field.is_nullable());
    match data_type {
        DataType::List(element) => DataType::List(Arc::new(field(element))),
        DataType::Map(entries, sorted) => DataType::Map(Arc::new(field(entries)), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(|inner| field(inner)).collect()),
        other => other.clone(),
    }
}

/// What a manifest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Change {
    /// Rows came.
    Publication,
    /// Files were put together; the rows are the same.
    Compaction,
}

/// One manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// See [`FORM`].
    pub(super) form: u32,
    /// Its number, from 1.
    pub(super) number: u64,
    /// When it was written (ms since the epoch).
    pub(super) at_ms: i64,
    pub(super) change: Change,
    /// The job's newest publication.
    pub(super) mark: Mark,
    pub(super) stored_as: LakeFormat,
    /// All columns of the table, those of the partitions among them.
    pub(super) schema: StoredSchema,
    pub(super) partitioned_by: Vec<String>,
    /// Files that come.
    pub(super) add: Vec<WrittenFile>,
    /// Paths of files that go.
    pub(super) remove: Vec<String>,
}

/// A file that is in the table no more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Left {
    pub(super) path: String,
    /// When it left (ms since the epoch).
    pub(super) at_ms: i64,
}

/// The table after a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) form: u32,
    /// Number of the newest manifest.
    pub(super) number: u64,
    pub(super) mark: Mark,
    pub(super) stored_as: LakeFormat,
    pub(super) schema: StoredSchema,
    pub(super) partitioned_by: Vec<String>,
    /// In the order in which their rows came.
    pub(super) files: Vec<WrittenFile>,
    pub(super) left: Vec<Left>,
}

impl State {
    /// The table after one manifest more.
    pub(super) fn after(before: Option<Self>, manifest: Manifest) -> Result<Self, String> {
        let expected = before.as_ref().map_or(0, |state| state.number) + 1;
        if manifest.number != expected {
            return Err(format!("manifest {expected} is missing"));
        }
        if manifest.form > FORM {
            return Err(format!(
                "manifest {expected} has form {}: a newer version of the program wrote it",
                manifest.form
            ));
        }
        let (mut files, mut left) = before.map_or_else(Default::default, |state| (state.files, state.left));
        let mut place = files.len();
        for path in &manifest.remove {
            let Some(index) = files.iter().position(|file| &file.path == path) else {
                return Err(format!("manifest {expected} removes {path}, which is not there"));
            };
            files.remove(index);
            place = place.min(index);
            left.push(Left {
                path: path.clone(),
                at_ms: manifest.at_ms,
            });
        }
        // What replaces files stands where they stood: rows keep their order.
        let place = if manifest.remove.is_empty() {
            files.len()
        } else {
            place.min(files.len())
        };
        drop(files.splice(place..place, manifest.add));
        left.retain(|file| file.at_ms + REMEMBERED_MS >= manifest.at_ms);
        Ok(Self {
            form: FORM,
            number: manifest.number,
            mark: manifest.mark,
            stored_as: manifest.stored_as,
            schema: manifest.schema,
            partitioned_by: manifest.partitioned_by,
            files,
            left,
        })
    }
}

#[cfg(test)]
mod tests;
