//! A lake in memory that keeps the contract of tables: files are seen by nobody until they are published, and an iteration is published once.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;
use lake::{Cleaned, Compacted, LakeError, LakeErrorKind, LakeSnapshot, LakeSpec, LakeTable, Mark, Published, WrittenFile};
use object_store::memory::InMemory;
use object_store::path::Path;
use parking_lot::Mutex;
use shard_reader::checkpoints::IterationNumber;
use uuid::Uuid;

use super::super::OffloadError;
use super::super::lakes::{Lakes, OpenLake};
use super::faults::Faults;

#[derive(Debug, Default)]
struct Contents {
    files: BTreeMap<String, Vec<RecordBatch>>,
    publications: Vec<(Mark, Vec<String>)>,
}

/// Tables by location.
#[derive(Debug, Default)]
pub(in super::super) struct MemoryLakes {
    tables: Arc<Mutex<BTreeMap<String, Arc<Mutex<Contents>>>>>,
    pub(in super::super) objects: Arc<InMemory>,
    faults: Arc<Faults>,
}

impl MemoryLakes {
    /// As a process with these faults reaches them.
    pub(super) fn with(&self, faults: &Arc<Faults>) -> Self {
        Self {
            tables: Arc::clone(&self.tables),
            objects: Arc::clone(&self.objects),
            faults: Arc::clone(faults),
        }
    }

    fn table(&self, location: &str) -> Arc<Mutex<Contents>> {
        Arc::clone(self.tables.lock().entry(location.to_owned()).or_default())
    }

    /// What a reader sees.
    pub(super) fn rows(&self, location: &str) -> Vec<RecordBatch> {
        let table = self.table(location);
        let contents = table.lock();
        let published = contents.publications.iter().flat_map(|(_, files)| files);
        published.flat_map(|file| contents.files[file].clone()).collect()
    }

    pub(super) fn marks(&self, location: &str) -> Vec<Mark> {
        let table = self.table(location);
        let contents = table.lock();
        contents.publications.iter().map(|(mark, _)| mark.clone()).collect()
    }

    /// Somebody removes a table.
    pub(super) fn remove(&self, location: &str) {
        self.tables.lock().remove(location);
    }
}

#[async_trait]
impl Lakes for MemoryLakes {
    async fn open(&self, spec: LakeSpec) -> Result<OpenLake, OffloadError> {
        let folder = Path::from(spec.location.trim_start_matches("s3://lake/"));
        let table = MemoryTable {
            contents: self.table(&spec.location),
            faults: Arc::clone(&self.faults),
            spec,
        };
        Ok(OpenLake {
            table: Arc::new(table),
            store: Arc::<InMemory>::clone(&self.objects),
            folder,
        })
    }
}

#[derive(Debug)]
struct MemoryTable {
    contents: Arc<Mutex<Contents>>,
    faults: Arc<Faults>,
    spec: LakeSpec,
}

impl MemoryTable {
    fn died(&self) -> LakeError {
        LakeError::new(LakeErrorKind::Damaged, &self.spec.location, "the process is dead")
    }

    fn newest(&self, already: bool) -> Option<Published> {
        let contents = self.contents.lock();
        let (mark, _) = contents.publications.last()?;
        Some(Published {
            mark: mark.clone(),
            version: contents.publications.len() as u64,
            already,
        })
    }
}

#[async_trait]
impl LakeTable for MemoryTable {
    async fn published(&self) -> Result<Option<Published>, LakeError> {
        self.faults.during(async { Ok(self.newest(true)) }, || self.died()).await
    }

    async fn write(&self, iteration: IterationNumber, rows: SendableRecordBatchStream) -> Result<Vec<WrittenFile>, LakeError> {
        assert_eq!(rows.schema(), self.spec.schema);
        let batches: Vec<RecordBatch> = rows
            .try_collect()
            .await
            .map_err(|error| LakeError::new(LakeErrorKind::Rows, &self.spec.location, error))?;
        let count = batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        let written = async {
            if count == 0 {
                return Ok(Vec::new());
            }
            let path = format!("{}-{iteration}-{}", self.spec.job, Uuid::new_v4());
            self.contents.lock().files.insert(path.clone(), batches);
            Ok(vec![WrittenFile {
                path,
                bytes: 1,
                rows: count as u64,
                partition: Vec::new(),
                stats: None,
            }])
        };
        self.faults.during(written, || self.died()).await
    }

    async fn publish(&self, mark: &Mark, files: &[WrittenFile]) -> Result<Published, LakeError> {
        let published = async {
            {
                let mut contents = self.contents.lock();
                let is_new = contents
                    .publications
                    .last()
                    .is_none_or(|(newest, _)| newest.iteration < mark.iteration);
                if is_new {
                    let paths = files.iter().map(|file| file.path.clone()).collect();
                    contents.publications.push((mark.clone(), paths));
                    return Ok(Published {
                        mark: mark.clone(),
                        version: contents.publications.len() as u64,
                        already: false,
                    });
                }
            }
            self.newest(true).ok_or_else(|| self.died())
        };
        self.faults.during(published, || self.died()).await
    }

    async fn clean(&self, _: IterationNumber, _: std::time::Duration) -> Result<Cleaned, LakeError> {
        Ok(Cleaned::default())
    }

    async fn compact(&self) -> Result<Compacted, LakeError> {
        Ok(Compacted::default())
    }

    async fn snapshot(&self, _: Option<u64>) -> Result<LakeSnapshot, LakeError> {
        Err(LakeError::new(
            LakeErrorKind::Unsupported,
            &self.spec.location,
            "a lake in memory is read otherwise",
        ))
    }
}
