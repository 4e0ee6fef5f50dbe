//! Checkpoints in one file of this machine, a redb database: for trying out, for tests, and for one server.
//!
//! ```text
//! table       key                                   value
//! meta        "format"                              version of this layout
//! heads       name, stream                          head (JSON)
//! iterations  name, stream, number                  iteration (CBOR, zstd)
//! bases       name, stream, number                  base (CBOR, zstd)
//! runs        name, stream, number, owner, text     run (JSON)
//! superseded  name, stream, ms, kind, number        what goes `keep` after that time
//! ```
//!
//! A change is one durable transaction. The file belongs to one process at a time: whoever opens it holds it to its end.

mod changes;
mod error;
mod tables;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use redb::{Database, ReadableDatabase, ReadableTable};

use super::encoding::{from_json, unpack};
use super::model::{Base, Consumer, Head, Iteration, IterationNumber, OwnerToken, Run, Runs};
use super::store::{CheckpointError, CheckpointErrorKind, CheckpointStore, Commit};
use super::transitions::{self, Moment, StoredHead};
use crate::segments::blocking;
use crate::{StreamIdentity, WallClock};
use error::Failure;
use tables::{BASES, Consumers, HEADS, ITERATIONS, RUNS};

/// Superseded iterations are kept for so long unless told otherwise.
pub const DEFAULT_KEEP: Duration = Duration::from_secs(30 * 86_400);

/// Checkpoints in a file. See the module.
#[derive(Clone)]
pub struct LocalCheckpoints(Arc<File>);

struct File {
    path: PathBuf,
    keep: Duration,
    clock: WallClock,
    /// Opened by the first call; none again after an error of the disk.
    database: Mutex<Option<Arc<Database>>>,
}

impl fmt::Debug for LocalCheckpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalCheckpoints")
            .field("path", &self.0.path)
            .finish_non_exhaustive()
    }
}

impl LocalCheckpoints {
    /// Checkpoints in this file, which is made with its directory when it is needed first. Touches no disk.
    pub fn open(path: impl Into<PathBuf>) -> Self {
        Self::with(path, DEFAULT_KEEP, WallClock::default())
    }

    /// With a time for which superseded iterations are kept, and a clock.
    pub fn with(path: impl Into<PathBuf>, keep: Duration, clock: WallClock) -> Self {
        Self(Arc::new(File {
            path: path.into(),
            keep,
            clock,
            database: Mutex::new(None),
        }))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// Off the threads that must not wait.
    async fn run<T: Send + 'static>(
        &self,
        what: String,
        work: impl FnOnce(&Database, Moment) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, CheckpointError> {
        let file = Arc::clone(&self.0);
        let name = what.clone();
        let done = blocking(move || file.call(&name, work)).await;
        done.unwrap_or_else(|error| {
            let message = format!("{what}: stopped before its end: {error}");
            Err(CheckpointError::new(CheckpointErrorKind::Unavailable, message).because(error))
        })
    }
}

impl File {
    fn call<T>(&self, what: &str, work: impl FnOnce(&Database, Moment) -> Result<T, Failure>) -> Result<T, CheckpointError> {
        let moment = Moment {
            now_ms: self.clock.now_ms(),
            keep: self.keep,
        };
        let done = self.database().and_then(|database| work(&database, moment));
        done.map_err(|failure| {
            if failure.is_of_the_disk() {
                // the database refuses all work after one; opened anew it finds what was acknowledged
                self.database.lock().take();
            }
            failure.told(what, &self.path)
        })
    }

    fn database(&self) -> Result<Arc<Database>, Failure> {
        let mut held = self.database.lock();
        if let Some(database) = &*held {
            return Ok(Arc::clone(database));
        }
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory).map_err(redb::Error::Io)?;
        }
        let database = Arc::new(Database::create(&self.path)?);
        tables::prepare(&database)?;
        *held = Some(Arc::clone(&database));
        Ok(database)
    }
}

#[async_trait]
impl CheckpointStore for LocalCheckpoints {
    fn describe(&self) -> String {
        format!("file {}", self.0.path.display())
    }

    async fn consumers(&self) -> Result<Vec<(Consumer, Head)>, CheckpointError> {
        let listed = |database: &Database, _| {
            let heads = database.begin_read()?.open_table(HEADS)?;
            let mut all = Vec::new();
            for entry in heads.iter()? {
                let (_, value) = entry?;
                let stored: StoredHead = from_json("a head", value.value())?;
                all.push((stored.consumer, stored.head));
            }
            Ok(all)
        };
        self.run("list of checkpoints".to_owned(), listed).await
    }

    async fn head(&self, consumer: &Consumer) -> Result<Option<Head>, CheckpointError> {
        let consumer = consumer.clone();
        let read = move |database: &Database, _| {
            let heads = database.begin_read()?.open_table(HEADS)?;
            Ok(tables::head(&heads, &consumer)?.map(|stored| stored.head))
        };
        self.run("head".to_owned(), read).await
    }

    async fn iteration(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Iteration>, CheckpointError> {
        let consumer = consumer.clone();
        let what = format!("{consumer}, iteration {number}");
        let name = what.clone();
        let read = move |database: &Database, _| {
            let iterations = database.begin_read()?.open_table(ITERATIONS)?;
            let value = iterations.get(consumer.numbered(number))?;
            Ok(value.map(|value| unpack(&name, value.value())).transpose()?)
        };
        self.run(what, read).await
    }

    async fn iterations(&self, consumer: &Consumer) -> Result<Vec<Iteration>, CheckpointError> {
        let consumer = consumer.clone();
        let what = format!("{consumer}, its iterations");
        let name = what.clone();
        let read = move |database: &Database, _| {
            let iterations = database.begin_read()?.open_table(ITERATIONS)?;
            let mut all = Vec::new();
            for entry in iterations.range(consumer.all_numbers())? {
                let (_, value) = entry?;
                all.push(unpack(&name, value.value())?);
            }
            Ok(all)
        };
        self.run(what, read).await
    }

    async fn base(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Base>, CheckpointError> {
        let consumer = consumer.clone();
        let read = move |database: &Database, _| {
            let bases = database.begin_read()?.open_table(BASES)?;
            tables::base(&bases, &consumer, number)
        };
        self.run(format!("base {number}"), read).await
    }

    async fn set_base(
        &self,
        consumer: &Consumer,
        stream: &StreamIdentity,
        seen: Option<u64>,
        base: &Base,
        by: &str,
    ) -> Result<Head, CheckpointError> {
        let (consumer, stream, base, by) = (consumer.clone(), stream.clone(), base.clone(), by.to_owned());
        self.run(format!("{consumer}: its start"), move |database, moment| {
            changes::one(database, &consumer, moment, |stored, written| {
                transitions::set_base(stored, written, (&consumer, &stream, seen, &base, &by), moment)
            })
        })
        .await
    }

    async fn open(&self, consumer: &Consumer, seen: u64, iteration: &Iteration, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        let (consumer, iteration, owner) = (consumer.clone(), iteration.clone(), owner.clone());
        self.run(
            format!("{consumer}: opening iteration {}", iteration.number),
            move |database, moment| {
                changes::one(database, &consumer, moment, |stored, _| {
                    transitions::open(stored, (&consumer, seen, &iteration, &owner), moment)
                })
            },
        )
        .await
    }

    async fn take_over(&self, consumer: &Consumer, seen: u64, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        let (consumer, owner) = (consumer.clone(), owner.clone());
        self.run(format!("{consumer}: taking over"), move |database, moment| {
            changes::one(database, &consumer, moment, |stored, _| {
                transitions::take_over(stored, (&consumer, seen, &owner), moment)
            })
        })
        .await
    }

    async fn abandon(&self, consumer: &Consumer, seen: u64, by: &str) -> Result<Head, CheckpointError> {
        let (consumer, by) = (consumer.clone(), by.to_owned());
        self.run(format!("{consumer}: abandoning"), move |database, moment| {
            changes::one(database, &consumer, moment, |stored, _| {
                transitions::abandon(stored, (&consumer, seen, &by), moment)
            })
        })
        .await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Head>, CheckpointError> {
        transitions::check_commits(commits)?;
        let commits = commits.to_vec();
        self.run("commit".to_owned(), move |database, moment| {
            changes::commit(database, &commits, moment)
        })
        .await
    }

    async fn delete(&self, consumer: &Consumer) -> Result<bool, CheckpointError> {
        let consumer = consumer.clone();
        self.run(format!("{consumer}: deletion"), move |database, _| {
            changes::delete(database, &consumer)
        })
        .await
    }

    async fn begin_run(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        run: &Run,
    ) -> Result<(), CheckpointError> {
        let (consumer, owner, statement, run) = (consumer.clone(), owner.clone(), statement.to_owned(), run.clone());
        self.run(format!("{consumer}, iteration {number}: a run"), move |database, _| {
            changes::run(database, &consumer, number, &owner, &statement, |_| Some(run))
        })
        .await
        .map(|_| ())
    }

    async fn delivered(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        query_id: &str,
        part: u32,
    ) -> Result<Option<Run>, CheckpointError> {
        let (consumer, owner, statement, query_id) = (consumer.clone(), owner.clone(), statement.to_owned(), query_id.to_owned());
        self.run(format!("{consumer}, iteration {number}: what was delivered"), move |database, _| {
            changes::run(database, &consumer, number, &owner, &statement, |run| {
                let mut run = run.filter(|run| run.query_id == query_id)?;
                run.delivered.insert(part);
                Some(run)
            })
        })
        .await
    }

    async fn runs(&self, consumer: &Consumer, number: IterationNumber, owner: &OwnerToken) -> Result<Runs, CheckpointError> {
        let (consumer, owner) = (consumer.clone(), owner.clone());
        let read = move |database: &Database, _| {
            let runs = database.begin_read()?.open_table(RUNS)?;
            let mut all = Runs::new();
            for entry in runs.range(consumer.run(number, &owner, "")..)? {
                let (key, value) = entry?;
                let (name, stream, of, by, statement) = key.value();
                if (name, stream, of, by) != (consumer.name.as_str(), &*consumer.stream, number.0, &*owner.0) {
                    break;
                }
                all.insert(statement.to_owned(), from_json("a run", value.value())?);
            }
            Ok(all)
        };
        self.run(format!("runs of iteration {number}"), read).await
    }
}

#[cfg(test)]
mod tests;
