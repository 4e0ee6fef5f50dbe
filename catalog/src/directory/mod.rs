//! A directory of definitions, on disk or in object storage: hot reload, each file on its own.

mod local;
mod registries;
mod store;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures::future::join_all;
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use parking_lot::Mutex;

pub use self::registries::FetchSchemas;
pub(crate) use self::registries::Fetched;
use self::registries::Registries;
pub use self::write::{CatalogWriteError, Existing};
use crate::definition::Beside;
use crate::{Definition, DefinitionError, FileTable, TableDefinition, TableName};

/// A file changed that recently may change again within the same tick of its modification time, so it is read at every refresh.
const SETTLED: Duration = Duration::from_secs(2);
/// Bytes of the largest definition that is read.
const MAX_BYTES: u64 = 4 << 20;

/// One file that could not be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogError {
    /// Which file.
    pub file: PathBuf,
    /// Why.
    pub error: DefinitionError,
    /// When this was first seen for the file's present content.
    pub since: SystemTime,
}

/// The catalog at one moment. Cheap to hold: statements keep the one they were planned with.
#[derive(Debug, Clone, Default)]
pub struct CatalogSnapshot {
    /// Usable definitions of tables over streams.
    pub tables: BTreeMap<TableName, Arc<TableDefinition>>,
    /// Usable definitions of tables over files.
    pub files: BTreeMap<TableName, Arc<FileTable>>,
    /// Files that are not.
    pub errors: Vec<CatalogError>,
}

impl CatalogSnapshot {
    /// Whether there is a table of the name.
    pub fn has(&self, name: &TableName) -> bool {
        self.tables.contains_key(name) || self.files.contains_key(name)
    }

    /// The definition of a table.
    pub fn get(&self, name: &TableName) -> Option<Definition> {
        let stream = self.tables.get(name).map(|table| Definition::Stream(Arc::clone(table)));
        stream.or_else(|| self.files.get(name).map(|table| Definition::Files(Arc::clone(table))))
    }

    fn insert(&mut self, definition: &Definition) {
        match definition {
            Definition::Stream(table) => {
                self.tables.insert(table.name.clone(), Arc::clone(table));
            }
            Definition::Files(table) => {
                self.files.insert(table.name.clone(), Arc::clone(table));
            }
        }
    }
}

/// Definitions in a directory (`*.yaml`, `*.yml`, and as in Presto all whose name ends in `json`; not recursive, no dot files).
#[derive(Debug)]
pub struct DirectoryCatalog {
    place: Place,
    default_schema: String,
    state: Mutex<State>,
    /// One refresh or change at a time.
    turn: tokio::sync::Mutex<()>,
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    Directory(PathBuf),
    /// Objects right below a prefix.
    Store {
        store: Arc<dyn ObjectStore>,
        prefix: ObjectPath,
    },
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, FileState>,
    registries: Registries,
    /// The directory itself could not be listed.
    unlisted: Option<CatalogError>,
    snapshot: Arc<CatalogSnapshot>,
}

#[derive(Debug)]
struct FileState {
    stamp: Option<Stamp>,
    /// Read when the file was old enough for its stamp to tell every later change.
    settled: bool,
    /// Files that the definition names, each with its stamp.
    beside: Vec<(PathBuf, Option<Stamp>)>,
    /// URLs that it names, each with the version of what was there.
    urls: Vec<(String, u64)>,
    content: Result<String, DefinitionError>,
    outcome: Result<Definition, DefinitionError>,
    since: SystemTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
    /// What object storage calls this content; with one, no change goes unseen.
    tag: Option<String>,
}

impl Stamp {
    /// Whether every later change will show in it.
    fn is_settled(&self, now: SystemTime) -> bool {
        self.tag.is_some() || now.duration_since(self.modified).is_ok_and(|age| age >= SETTLED)
    }
}

type Found = BTreeMap<PathBuf, Option<Stamp>>;

impl DirectoryCatalog {
    /// Nothing is read yet. A directory that is missing is an empty catalog. `default_schema` is the schema of definitions that name none.
    pub fn new(path: impl Into<PathBuf>, default_schema: impl Into<String>) -> Self {
        Self::at(Place::Directory(path.into()), default_schema)
    }

    /// The objects right below a prefix of object storage. Nothing is read yet.
    pub fn in_store(store: Arc<dyn ObjectStore>, prefix: ObjectPath, default_schema: impl Into<String>) -> Self {
        Self::at(Place::Store { store, prefix }, default_schema)
    }

    /// Schemas that definitions name by URL are fetched so; without this, such definitions are errors.
    #[must_use]
    pub fn with_registries(self, fetcher: Arc<dyn FetchSchemas>) -> Self {
        self.state.lock().registries.fetcher = Some(fetcher);
        self
    }

    fn at(place: Place, default_schema: impl Into<String>) -> Self {
        Self {
            place,
            default_schema: default_schema.into(),
            state: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        }
    }

    /// Re-reads what changed (by modification time and length), and returns the present state. A file that was good and became bad is reported
    /// and its last good definition is dropped; the others stay. Of files that define one table the first by name counts.
    ///
    /// Blocks for as long as the file system takes. While the directory cannot be listed, what is known of it stays, and that is reported.
    /// Of a catalog in object storage it gives what [`Self::refreshed`] found last.
    pub fn refresh(&self) -> Arc<CatalogSnapshot> {
        let Place::Directory(directory) = &self.place else {
            return self.current();
        };
        let mut state = self.state.lock();
        let listed = local::list(directory).map_err(|error| local::io_error("cannot list the directory", &error));
        let contents = match &listed {
            Ok(found) => {
                let outdated = outdated(&state, found).into_iter();
                let read = |path: PathBuf| {
                    let content = local::read(&path, found.get(&path).and_then(Option::as_ref));
                    (path, content)
                };
                outdated.map(read).collect()
            }
            Err(_) => Vec::new(),
        };
        self.apply(&mut state, listed, contents);
        Arc::clone(&state.snapshot)
    }

    /// As [`Self::refresh`], wherever the catalog is.
    pub async fn refreshed(&self) -> Arc<CatalogSnapshot> {
        let _turn = self.turn.lock().await;
        let snapshot = self.look().await;
        match self.fetch_due().await {
            true => self.look().await,
            false => snapshot,
        }
    }

    /// Looks at registries that are named and were not looked at lately; says whether one is other than before.
    async fn fetch_due(&self) -> bool {
        let (fetcher, due) = {
            let mut state = self.state.lock();
            let named = state.files.values().flat_map(|file| file.urls.iter().map(|(url, _)| url.clone()));
            let named = named.collect();
            let due = state.registries.due(&named, Instant::now());
            (state.registries.fetcher.clone(), due)
        };
        let Some(fetcher) = fetcher else { return false };
        // together they take as long as the slowest of them
        let outcomes = join_all(due.iter().map(|url| fetcher.fetch(url))).await;
        let mut state = self.state.lock();
        let learnt = due.into_iter().zip(outcomes);
        learnt.fold(false, |changed, (url, outcome)| {
            state.registries.learn(url, outcome, Instant::now()) || changed
        })
    }

    /// Looks at the files; one at a time.
    async fn look(&self) -> Arc<CatalogSnapshot> {
        let Place::Store { store, prefix } = &self.place else {
            return self.refresh();
        };
        let listed = store::list(store.as_ref(), prefix).await;
        let mut contents = Vec::new();
        if let Ok(found) = &listed {
            let outdated = outdated(&self.state.lock(), found);
            for path in outdated {
                let stamp = found.get(&path).and_then(Option::as_ref);
                let content = store::read(store.as_ref(), prefix, &path, stamp).await;
                contents.push((path, content));
            }
        }
        let mut state = self.state.lock();
        self.apply(&mut state, listed, contents);
        Arc::clone(&state.snapshot)
    }

    /// The state of the last refresh; empty before the first.
    pub fn current(&self) -> Arc<CatalogSnapshot> {
        Arc::clone(&self.state.lock().snapshot)
    }

    /// What messages call the directory.
    fn shown(&self) -> PathBuf {
        match &self.place {
            Place::Directory(path) => path.clone(),
            Place::Store { store, prefix } => format!("{store}/{prefix}").into(),
        }
    }

    /// Brings the state to what was listed and read.
    fn apply(&self, state: &mut State, listed: Result<Found, DefinitionError>, contents: Vec<(PathBuf, Result<String, DefinitionError>)>) {
        let changed = match listed {
            Ok(found) => {
                let listed_again = state.unlisted.take().is_some();
                self.update(&mut state.files, &state.registries, &found, contents) || listed_again
            }
            Err(error) => {
                let known = state.unlisted.as_ref().is_some_and(|unlisted| unlisted.error == error);
                if !known {
                    state.unlisted = Some(CatalogError {
                        file: self.shown(),
                        error,
                        since: SystemTime::now(),
                    });
                }
                !known
            }
        };
        if changed {
            let next = Arc::new(assemble(state));
            log_changes(&state.snapshot, &next);
            state.snapshot = next;
        }
    }

    /// Brings the known files to what was listed and read; says whether anything a snapshot shows has changed.
    fn update(
        &self,
        files: &mut BTreeMap<PathBuf, FileState>,
        registries: &Registries,
        found: &Found,
        contents: Vec<(PathBuf, Result<String, DefinitionError>)>,
    ) -> bool {
        let before = files.len();
        files.retain(|path, _| found.contains_key(path));
        let mut changed = files.len() != before;
        for (path, content) in contents {
            let stamp = found.get(&path).cloned().flatten();
            let now = SystemTime::now();
            let settled = stamp.as_ref().is_some_and(|stamp| stamp.is_settled(now));
            match files.get_mut(&path) {
                Some(known) if known.content == content && known.beside.is_empty() && known.urls.is_empty() => {
                    known.stamp = stamp;
                    known.settled = settled;
                }
                known => {
                    let beside = Beside::new(self.directory()).with(registries.fetched());
                    let outcome = match &content {
                        Ok(text) => self.parse(&path, text, &beside),
                        Err(error) => Err(error.clone()),
                    };
                    let same = known.filter(|known| known.content == content && known.outcome == outcome);
                    changed |= same.is_none();
                    let since = same.map_or(now, |known| known.since);
                    // Stamps are taken after the files were read, so a file that is written in between is not settled.
                    let (beside, urls) = beside.into_named();
                    let urls = urls.into_iter().map(|url| (url.clone(), registries.version(&url))).collect();
                    let beside: Vec<(PathBuf, Option<Stamp>)> =
                        beside.into_iter().map(|file| (file.clone(), local::stamp_of(&file))).collect();
                    let is_old = |stamp: &Option<Stamp>| stamp.as_ref().is_some_and(|stamp| stamp.is_settled(now));
                    let state = FileState {
                        stamp,
                        settled: settled && beside.iter().all(|(_, stamp)| is_old(stamp)),
                        beside,
                        urls,
                        content,
                        outcome,
                        since,
                    };
                    files.insert(path, state);
                }
            }
        }
        changed
    }

    fn parse(&self, path: &Path, text: &str, beside: &Beside) -> Result<Definition, DefinitionError> {
        match is_json(path) {
            true => TableDefinition::from_presto_json(text, &self.default_schema).map(Definition::Stream),
            false => Definition::from_yaml_beside(text, &self.default_schema, beside),
        }
    }

    /// Where the files are that definitions name.
    fn directory(&self) -> Option<&Path> {
        match &self.place {
            Place::Directory(directory) => Some(directory),
            Place::Store { .. } => None,
        }
    }
}

/// Files whose stamps do not prove that they are as they were read.
fn outdated(state: &State, found: &Found) -> Vec<PathBuf> {
    let same_urls = |known: &FileState| known.urls.iter().all(|(url, version)| state.registries.version(url) == *version);
    let unchanged = |path: &PathBuf, stamp: &Option<Stamp>| {
        state.files.get(path).is_some_and(|known| {
            known.settled && stamp.is_some() && known.stamp == *stamp && known.beside_is_the_same() && same_urls(known)
        })
    };
    let found = found.iter().filter(|(path, stamp)| !unchanged(path, stamp));
    found.map(|(path, _)| path.clone()).collect()
}

impl FileState {
    fn beside_is_the_same(&self) -> bool {
        self.beside.iter().all(|(file, stamp)| local::stamp_of(file) == *stamp)
    }
}

fn is_json(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"json")
}

fn is_definition(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default();
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && (is_json(path) || extension == "yaml" || extension == "yml")
}

fn too_large(stamp: Option<&Stamp>) -> Result<(), DefinitionError> {
    match stamp {
        Some(stamp) if stamp.length > MAX_BYTES => Err(DefinitionError {
            line: None,
            column: None,
            message: format!("the file has {} bytes; a definition has at most {MAX_BYTES}", stamp.length),
        }),
        _ => Ok(()),
    }
}

fn as_text(bytes: Vec<u8>) -> Result<String, DefinitionError> {
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        DefinitionError {
            line: Some(valid.iter().filter(|byte| **byte == b'\n').count() + 1),
            column: None,
            message: "the file is not UTF-8".to_owned(),
        }
    })
}

fn assemble(state: &State) -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    let mut owners: BTreeMap<&TableName, &Path> = BTreeMap::new();
    snapshot.errors.extend(state.unlisted.clone());
    for (path, file) in &state.files {
        let error = match &file.outcome {
            Err(error) => error.clone(),
            Ok(definition) => match owners.get(definition.name()) {
                None => {
                    owners.insert(definition.name(), path);
                    snapshot.insert(definition);
                    continue;
                }
                Some(first) => DefinitionError {
                    line: None,
                    column: None,
                    message: format!("table {} is already defined by {}", definition.name(), first.display()),
                },
            },
        };
        snapshot.errors.push(CatalogError {
            file: path.clone(),
            error,
            since: file.since,
        });
    }
    snapshot
}

fn log_changes(before: &CatalogSnapshot, after: &CatalogSnapshot) {
    for (name, definition) in &after.tables {
        match before.tables.get(name) {
            None => tracing::info!(table = %name, stream = %definition.stream, "table added"),
            Some(earlier) if earlier != definition => tracing::info!(table = %name, stream = %definition.stream, "table changed"),
            Some(_) => {}
        }
    }
    for (name, definition) in &after.files {
        if before.files.get(name) != Some(definition) {
            tracing::info!(table = %name, location = %definition.location, "table over files added or changed");
        }
    }
    for name in before.tables.keys().chain(before.files.keys()).filter(|name| !after.has(name)) {
        tracing::info!(table = %name, "table removed");
    }
    for bad in after.errors.iter().filter(|bad| !before.errors.contains(bad)) {
        tracing::warn!(file = %bad.file.display(), line = bad.error.line, column = bad.error.column, "definition refused: {}", bad.error);
    }
}

#[cfg(test)]
mod tests;
