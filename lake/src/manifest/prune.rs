//! Files that can hold no row of an answer, by their partitions and statistics.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicateBuilder;
use datafusion::scalar::ScalarValue;

use crate::stats::{FileStats, bound_value};

/// A file of a table, with what is known of its rows.
#[derive(Clone, Debug)]
pub(super) struct KnownFile {
    pub(super) path: String,
    pub(super) bytes: u64,
    /// In the order of the table's partition columns.
    pub(super) partition: Vec<ScalarValue>,
    pub(super) stats: FileStats,
}

/// The files that may hold rows for which the predicate is true.
pub(super) fn prune(
    files: &[KnownFile],
    schema: &SchemaRef,
    partitioned_by: &[String],
    predicate: Option<&Arc<dyn PhysicalExpr>>,
) -> Result<Vec<KnownFile>> {
    let Some(predicate) = predicate.filter(|_| !files.is_empty()) else {
        return Ok(files.to_vec());
    };
    let pruning = PruningPredicateBuilder::new()
        .with_file_schema(Arc::clone(schema))
        .try_build(Arc::clone(predicate))?;
    let known = Known {
        files,
        schema,
        partitioned_by,
    };
    let keep = pruning.prune(&known)?;
    Ok(files
        .iter()
        .zip(keep)
        .filter(|(_, keep)| *keep)
        .map(|(file, _)| file.clone())
        .collect())
}

struct Known<'a> {
    files: &'a [KnownFile],
    schema: &'a SchemaRef,
    partitioned_by: &'a [String],
}

impl Known<'_> {
    fn partition(&self, column: &Column) -> Option<usize> {
        self.partitioned_by.iter().position(|name| *name == column.name)
    }

    /// One value for each file; NULL where nothing is known.
    fn values(&self, column: &Column, of: impl Fn(&FileStats) -> Option<&serde_json::Value>) -> Option<ArrayRef> {
        let data_type = self.schema.field_with_name(&column.name).ok()?.data_type();
        let unknown = ScalarValue::try_from(data_type).ok()?;
        let partition = self.partition(column);
        let value = |file: &KnownFile| match partition {
            Some(index) => file.partition.get(index).cloned(),
            None => bound_value(of(&file.stats), data_type),
        };
        ScalarValue::iter_to_array(self.files.iter().map(|file| value(file).unwrap_or_else(|| unknown.clone()))).ok()
    }
}

impl PruningStatistics for Known<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |stats| stats.min_values.get(&column.name))
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |stats| stats.max_values.get(&column.name))
    }

    fn num_containers(&self) -> usize {
        self.files.len()
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let partition = self.partition(column);
        let count = |file: &KnownFile| match partition {
            Some(index) => file
                .partition
                .get(index)
                .map(|value| if value.is_null() { file.stats.num_records } else { 0 }),
            None => file.stats.null_count.get(&column.name)?.as_u64(),
        };
        Some(Arc::new(UInt64Array::from_iter(self.files.iter().map(count))))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from_iter_values(
            self.files.iter().map(|file| file.stats.num_records),
        )))
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
