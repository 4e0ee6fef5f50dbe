//! Tables of a lake, as jobs and readers see them.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::execution::SendableRecordBatchStream;
use serde::{Deserialize, Serialize};
use shard_reader::checkpoints::{Ends, IterationNumber};

use crate::LakeError;

/// Name of an offload job: the application id of its publications, and a part of its files' names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct JobName(Arc<str>);

/// Why a text is no name of a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of an offload job: 1 to 100 of a-z, 0-9 and `_`, beginning with a letter")]
pub struct JobNameError(String);

impl JobName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for JobName {
    type Err = JobNameError;

    fn from_str(text: &str) -> Result<Self, JobNameError> {
        let right = (1..=100).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
        right
            .then(|| Self(text.into()))
            .ok_or_else(|| JobNameError(text.chars().take(100).collect()))
    }
}

impl TryFrom<String> for JobName {
    type Error = JobNameError;

    fn try_from(text: String) -> Result<Self, JobNameError> {
        text.parse()
    }
}

impl From<JobName> for String {
    fn from(name: JobName) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a table is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LakeFormat {
    /// A Delta table: Parquet files and a log.
    Delta,
    /// Parquet files and a manifest for each publication.
    Parquet,
    /// ORC files and a manifest for each publication.
    Orc,
}

/// Which table, and for which job.
#[derive(Clone, Debug)]
pub struct LakeSpec {
    /// `s3://BUCKET/PREFIX` or `file:///DIRECTORY`.
    pub location: String,
    /// How it is kept.
    pub format: LakeFormat,
    /// Columns of the rows that are written, those of the partitions among them.
    pub schema: SchemaRef,
    /// Columns by whose values files lie in folders, outermost first.
    pub partitioned_by: Vec<String>,
    /// The job that writes.
    pub job: JobName,
    /// Size from which a file is ended and the next one begun (bytes).
    pub target_file_bytes: u64,
}

/// What a publication carries: the iteration, and where each shard stands after it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The iteration.
    pub iteration: IterationNumber,
    /// ARN of the stream.
    pub stream: String,
    /// When the stream was created: which incarnation it is (ms since the epoch).
    pub created_ms: Option<i64>,
    /// Position of every shard behind the last row.
    pub ends: Ends,
}

/// A file that was written and that no reader sees yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Path below the table's location.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// Rows.
    pub rows: u64,
    /// Values of the partition's columns as text, in their order; `None` is NULL.
    pub partition: Vec<(String, Option<String>)>,
    /// Statistics of the columns in the form of Delta's `add.stats` (JSON).
    pub stats: Option<String>,
}

/// A publication.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// What it carries.
    pub mark: Mark,
    /// Version of the table: Delta's, or the number of the manifest.
    pub version: u64,
    /// Whether it was there already: an earlier attempt, or another owner, had come so far.
    pub already: bool,
}

/// What cleaning removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// Files that no publication names.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Small files that are no longer read.
    pub removed: u64,
    /// Files that hold their rows now.
    pub added: u64,
}

/// A table as it was at one version.
#[derive(Clone, Debug)]
pub struct LakeSnapshot {
    /// The version.
    pub version: u64,
    /// The job's newest publication in it; `None`: it has published nothing yet.
    pub mark: Option<Mark>,
    /// Files that it is made of.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Scans it; filters on partitions and statistics skip files.
    pub table: Arc<dyn TableProvider>,
}

/// What a job does with its table. Calls may be made by several processes at once, and each may be killed at any point.
#[async_trait]
pub trait LakeTable: fmt::Debug + Send + Sync {
    /// The job's newest publication.
    async fn published(&self) -> Result<Option<Published>, LakeError>;

    /// Writes the rows of an iteration to files that no reader sees yet. Their names come from the job, the iteration and the order of the files, and a
    /// file that is there with the same rows is not written again; one with other rows is never overwritten. Rows of one partition stay in the order in
    /// which they come. At most two files' bytes are held in memory.
    async fn write(&self, iteration: IterationNumber, rows: SendableRecordBatchStream) -> Result<Vec<WrittenFile>, LakeError>;

    /// Publishes files and mark in one act, or finds that this iteration or a later one is published already. Creates the table if it is missing, and adds
    /// columns that the rows have and the table has not.
    async fn publish(&self, mark: &Mark, files: &[WrittenFile]) -> Result<Published, LakeError>;

    /// Removes files of this job that no publication names, of iterations that are published and lie before `open`, and files that left the table more than
    /// `min_age` ago; what snapshots of the last `min_age` read stays.
    async fn clean(&self, open: IterationNumber, min_age: std::time::Duration) -> Result<Cleaned, LakeError>;

    /// Puts small files of a partition together. Readers see the old or the new ones, never both.
    async fn compact(&self) -> Result<Compacted, LakeError>;

    /// The table now, or at a version.
    async fn snapshot(&self, version: Option<u64>) -> Result<LakeSnapshot, LakeError>;
}
