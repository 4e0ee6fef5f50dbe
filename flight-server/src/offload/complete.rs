//! Partitions of time that are complete: a marker for each, made once, when everything that can belong to it has been published.
//!
//! ```text
//! _shardflight/JOB/pending/PARTITION     it has rows, and may get more    made before the first of them is published
//! _shardflight/JOB/complete/PARTITION    it gets no more                  made when the watermark has passed its end, and the lateness
//! ```
//!
//! The watermark is that of a publication, never a clock: as long as nothing can be read nothing is complete.

use std::collections::BTreeMap;
use std::time::Duration;

use arrow::array::{AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use futures::TryStreamExt;
use lake::{Mark, WrittenFile};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions};

use super::error::OffloadError;
use super::lakes::OpenLake;

/// What a job is told of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Completeness {
    /// The column that says when a partition begins.
    pub(super) column: String,
    /// How long it is.
    pub(super) width: Duration,
    /// How much later than its time a record may arrive.
    pub(super) lateness: Duration,
}

/// The partitions of a job.
#[derive(Debug)]
pub(super) struct Partitions {
    rule: Completeness,
    folder: Path,
    /// By path below the table: when it begins (ms since the epoch), or that it is complete.
    known: BTreeMap<String, Option<i64>>,
}

fn failed(path: &Path, what: &str, error: &Error) -> OffloadError {
    OffloadError::Unavailable(format!("{path}: cannot {what}: {error}"))
}

impl Partitions {
    /// As they were left.
    pub(super) async fn open(lake: &OpenLake, job: &str, rule: Completeness) -> Result<Self, OffloadError> {
        let folder = lake.folder.clone().join("_shardflight").join(job);
        let mut partitions = Self {
            rule,
            folder,
            known: BTreeMap::new(),
        };
        for path in partitions.list(lake, "pending").await? {
            let begins = partitions.begins(&path)?;
            partitions.known.insert(path, Some(begins));
        }
        for path in partitions.list(lake, "complete").await? {
            partitions.known.insert(path, None);
        }
        Ok(partitions)
    }

    async fn list(&self, lake: &OpenLake, kind: &str) -> Result<Vec<String>, OffloadError> {
        let folder = self.folder.clone().join(kind);
        let listed: Vec<_> = lake
            .store
            .list(Some(&folder))
            .try_collect()
            .await
            .map_err(|error| failed(&folder, "list the partitions", &error))?;
        let below = |location: &Path| {
            let parts = location.prefix_match(&folder)?;
            Some(parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/"))
        };
        Ok(listed.iter().filter_map(|object| below(&object.location)).collect())
    }

    fn marker(&self, kind: &str, partition: &str) -> Result<Path, OffloadError> {
        Path::parse(format!("{}/{kind}/{partition}", self.folder))
            .map_err(|error| OffloadError::Invalid(format!("partition {partition} has no path: {error}")))
    }

    /// When a partition begins, by the folder of its column.
    fn begins(&self, partition: &str) -> Result<i64, OffloadError> {
        let folder = partition
            .split('/')
            .find_map(|folder| folder.strip_prefix(self.rule.column.as_str())?.strip_prefix('='));
        let text = folder.map(decoded);
        let begins = text.as_deref().and_then(millis);
        begins.ok_or_else(|| {
            OffloadError::FailedPrecondition(format!(
                "partition {partition}: `{}` says no time, so nobody can tell when it is complete",
                self.rule.column
            ))
        })
    }

    /// Files are about to be published.
    pub(super) async fn will_have(&mut self, lake: &OpenLake, files: &[WrittenFile]) -> Result<(), OffloadError> {
        for file in files {
            let Some((partition, _)) = file.path.rsplit_once('/') else {
                continue;
            };
            if self.known.contains_key(partition) || is_null(file, &self.rule.column) {
                continue;
            }
            let begins = self.begins(partition)?;
            create(lake, &self.marker("pending", partition)?, "{}").await?;
            self.known.insert(partition.to_owned(), Some(begins));
        }
        Ok(())
    }

    /// Marks what is complete by what is published; the newest of them by time.
    pub(super) async fn complete(&mut self, lake: &OpenLake, mark: &Mark) -> Result<Option<String>, OffloadError> {
        let Some(watermark) = mark.ends.as_of_ms else { return Ok(None) };
        let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let after = ms(self.rule.width).saturating_add(ms(self.rule.lateness));
        let passed = self
            .known
            .iter()
            .filter_map(|(partition, begins)| Some((partition.clone(), (*begins)?)));
        let mut passed: Vec<(i64, String)> = passed
            .filter(|(_, begins)| begins.saturating_add(after) <= watermark)
            .map(|(partition, begins)| (begins, partition))
            .collect();
        passed.sort();
        for (_, partition) in &passed {
            let told = serde_json::json!({ "iteration": mark.iteration.0, "watermark_ms": watermark }).to_string();
            create(lake, &self.marker("complete", partition)?, &told).await?;
            let pending = self.marker("pending", partition)?;
            match lake.store.delete(&pending).await {
                Ok(()) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(failed(&pending, "remove the marker", &error)),
            }
            self.known.insert(partition.clone(), None);
        }
        Ok(passed.pop().map(|(_, partition)| partition))
    }
}

fn is_null(file: &WrittenFile, column: &str) -> bool {
    file.partition.iter().any(|(name, value)| name == column && value.is_none())
}

/// Made once: one that is there stays as it is.
async fn create(lake: &OpenLake, path: &Path, text: &str) -> Result<(), OffloadError> {
    let put = lake
        .store
        .put_opts(path, text.to_owned().into_bytes().into(), PutOptions::from(PutMode::Create))
        .await;
    match put {
        Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
        Err(error) => Err(failed(path, "write the marker", &error)),
    }
}

/// `%XX` is a byte.
fn decoded(folder: &str) -> String {
    let bytes = folder.as_bytes();
    let (mut plain, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escaped = folder.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                at += 3;
            }
            None => {
                plain.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// A date or a time as a partition's value writes it, as ms since the epoch.
fn millis(text: &str) -> Option<i64> {
    let text = StringArray::from(vec![text]);
    let times = cast(&text, &DataType::Timestamp(TimeUnit::Millisecond, None)).ok()?;
    let numbers = cast(&times, &DataType::Int64).ok()?;
    let numbers = numbers.as_primitive::<Int64Type>();
    numbers.iter().next().flatten()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::TryStreamExt;
    use object_store::memory::InMemory;
    use shard_reader::checkpoints::{Ends, IterationNumber};

    use super::super::lakes::Lakes;
    use super::super::tests::MemoryLakes;
    use super::*;

    fn file(partition: &str, value: Option<&str>) -> WrittenFile {
        WrittenFile {
            path: format!("{partition}/file.parquet"),
            bytes: 1,
            rows: 1,
            partition: vec![("hour".into(), value.map(str::to_owned))],
            stats: None,
        }
    }

    fn mark(watermark: &str) -> Mark {
        Mark {
            iteration: IterationNumber(4),
            stream: "s".into(),
            created_ms: None,
            ends: Ends {
                as_of_ms: millis(watermark),
                ..Ends::default()
            },
        }
    }

    async fn objects(store: &Arc<InMemory>) -> Vec<String> {
        use object_store::ObjectStore;
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        listed.iter().map(|object| object.location.to_string()).collect()
    }

    #[tokio::test]
    async fn a_partition_is_complete_once_the_watermark_has_passed_it() {
        let lakes = MemoryLakes::default();
        let spec = lake::LakeSpec {
            location: "s3://lake/x".into(),
            format: lake::LakeFormat::Delta,
            schema: Arc::new(arrow::datatypes::Schema::empty()),
            partitioned_by: vec!["hour".into()],
            job: "j".parse().unwrap(),
            target_file_bytes: 1,
        };
        let lake = lakes.open(spec).await.unwrap();
        let rule = Completeness {
            column: "hour".into(),
            width: Duration::from_secs(3600),
            lateness: Duration::from_secs(600),
        };
        let mut partitions = Partitions::open(&lake, "j", rule.clone()).await.unwrap();
        let (ten, eleven) = ("hour=2026-01-01 10%3A00%3A00", "hour=2026-01-01T11%3A00%3A00");
        let files = [
            file(ten, Some("2026-01-01 10:00:00")),
            file(eleven, Some("2026-01-01 11:00:00")),
            file("hour=__HIVE_DEFAULT_PARTITION__", None),
        ];
        partitions.will_have(&lake, &files).await.unwrap();
        assert_eq!(partitions.complete(&lake, &mark("2026-01-01 11:09:59")).await.unwrap(), None);
        // another process, after a crash
        let mut partitions = Partitions::open(&lake, "j", rule.clone()).await.unwrap();
        assert_eq!(
            partitions.complete(&lake, &mark("2026-01-01 11:10:00")).await.unwrap().as_deref(),
            Some(ten)
        );
        let there = objects(&lakes.objects).await;
        assert_eq!(there.len(), 2, "{there:?}");
        assert!(
            there
                .iter()
                .any(|path| path.starts_with("x/_shardflight/j/complete/hour=2026-01-01 10")),
            "{there:?}"
        );
        // late rows change nothing
        let mut partitions = Partitions::open(&lake, "j", rule).await.unwrap();
        partitions.will_have(&lake, &files[..1]).await.unwrap();
        assert_eq!(partitions.complete(&lake, &mark("2026-01-01 12:00:00")).await.unwrap(), None);
        assert_eq!(objects(&lakes.objects).await, there);
        let wrong = file("hour=ten", Some("ten"));
        let error = partitions.will_have(&lake, &[wrong]).await.unwrap_err();
        assert!(error.to_string().contains("says no time"), "{error}");
    }
}
