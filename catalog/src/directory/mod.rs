//! A directory of definitions: hot reload, each file on its own.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::definition::Beside;
use crate::{DefinitionError, TableDefinition, TableName};

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
    /// Usable definitions.
    pub tables: BTreeMap<TableName, Arc<TableDefinition>>,
    /// Files that are not.
    pub errors: Vec<CatalogError>,
}

/// Definitions in a directory (`*.yaml`, `*.yml`, and as in Presto all whose name ends in `json`; not recursive, no dot files).
#[derive(Debug)]
pub struct DirectoryCatalog {
    path: PathBuf,
    default_schema: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, FileState>,
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
    content: Result<String, DefinitionError>,
    outcome: Result<Arc<TableDefinition>, DefinitionError>,
    since: SystemTime,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    modified: SystemTime,
    length: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Option<Self> {
        metadata.modified().ok().map(|modified| Self {
            modified,
            length: metadata.len(),
        })
    }
}

fn stamp_of(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().as_ref().and_then(Stamp::of)
}

impl DirectoryCatalog {
    /// Nothing is read yet. A directory that is missing is an empty catalog. `default_schema` is the schema of definitions that name none.
    pub fn new(path: impl Into<PathBuf>, default_schema: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            default_schema: default_schema.into(),
            state: Mutex::default(),
        }
    }

    /// Re-reads what changed (by modification time and length), and returns the present state. A file that was good and became bad is reported
    /// and its last good definition is dropped; the others stay. Of files that define one table the first by name counts.
    ///
    /// Blocks for as long as the file system takes. While the directory cannot be listed, what is known of it stays, and that is reported.
    pub fn refresh(&self) -> Arc<CatalogSnapshot> {
        let mut state = self.state.lock();
        let changed = match list(&self.path) {
            Ok(found) => {
                let listed_again = state.unlisted.take().is_some();
                self.update(&mut state.files, found) || listed_again
            }
            Err(error) => {
                let error = io_error("cannot list the directory", &error);
                let known = state.unlisted.as_ref().is_some_and(|unlisted| unlisted.error == error);
                if !known {
                    state.unlisted = Some(CatalogError {
                        file: self.path.clone(),
                        error,
                        since: SystemTime::now(),
                    });
                }
                !known
            }
        };
        if changed {
            let next = Arc::new(assemble(&state));
            log_changes(&state.snapshot, &next);
            state.snapshot = next;
        }
        Arc::clone(&state.snapshot)
    }

    /// The state of the last refresh; empty before the first.
    pub fn current(&self) -> Arc<CatalogSnapshot> {
        Arc::clone(&self.state.lock().snapshot)
    }

    /// Brings the known files to what was listed; says whether anything a snapshot shows has changed.
    fn update(&self, files: &mut BTreeMap<PathBuf, FileState>, found: BTreeMap<PathBuf, Option<Stamp>>) -> bool {
        let before = files.len();
        files.retain(|path, _| found.contains_key(path));
        let mut changed = files.len() != before;
        for (path, stamp) in found {
            let known = files.get_mut(&path);
            if known
                .as_ref()
                .is_some_and(|known| known.settled && stamp.is_some() && known.stamp == stamp && known.beside_is_the_same())
            {
                continue;
            }
            let now = SystemTime::now();
            let settled = stamp.is_some_and(|stamp| now.duration_since(stamp.modified).is_ok_and(|age| age >= SETTLED));
            let content = read(&path, stamp);
            match known {
                Some(known) if known.content == content && known.beside.is_empty() => {
                    known.stamp = stamp;
                    known.settled = settled;
                }
                known => {
                    let beside = Beside::new(Some(&self.path));
                    let outcome = match &content {
                        Ok(text) => self.parse(&path, text, &beside),
                        Err(error) => Err(error.clone()),
                    };
                    let same = known.filter(|known| known.content == content && known.outcome == outcome);
                    changed |= same.is_none();
                    let since = same.map_or(now, |known| known.since);
                    // Stamps are taken after the files were read, so a file that is written in between is not settled.
                    let beside: Vec<(PathBuf, Option<Stamp>)> = beside
                        .into_named()
                        .into_iter()
                        .map(|file| (file.clone(), stamp_of(&file)))
                        .collect();
                    let is_old = |stamp: &Option<Stamp>| {
                        stamp.is_some_and(|stamp| now.duration_since(stamp.modified).is_ok_and(|age| age >= SETTLED))
                    };
                    let state = FileState {
                        stamp,
                        settled: settled && beside.iter().all(|(_, stamp)| is_old(stamp)),
                        beside,
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

    fn parse(&self, path: &Path, text: &str, beside: &Beside) -> Result<Arc<TableDefinition>, DefinitionError> {
        match is_json(path) {
            true => TableDefinition::from_presto_json(text, &self.default_schema),
            false => TableDefinition::from_yaml_beside(text, &self.default_schema, beside),
        }
    }
}

impl FileState {
    fn beside_is_the_same(&self) -> bool {
        self.beside.iter().all(|(file, stamp)| stamp_of(file) == *stamp)
    }
}

fn is_json(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().ends_with(b"json")
}

/// The definition files, each with its stamp where the file system gives one.
fn list(directory: &Path) -> io::Result<BTreeMap<PathBuf, Option<Stamp>>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        let extension = path.extension().unwrap_or_default();
        let is_definition = is_json(&path) || extension == "yaml" || extension == "yml";
        if !is_definition || entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        // Through links: a mounted configuration map consists of them.
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {}
            Ok(metadata) => {
                found.insert(path, Stamp::of(&metadata));
            }
            Err(_) => {
                // Reading it will fail and say why, unless it is gone by then.
                found.insert(path, None);
            }
        }
    }
    Ok(found)
}

fn read(path: &Path, stamp: Option<Stamp>) -> Result<String, DefinitionError> {
    if let Some(stamp) = stamp.filter(|stamp| stamp.length > MAX_BYTES) {
        let message = format!("the file has {} bytes; a definition has at most {MAX_BYTES}", stamp.length);
        return Err(DefinitionError {
            line: None,
            column: None,
            message,
        });
    }
    let bytes = fs::read(path).map_err(|error| io_error("cannot read the file", &error))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        DefinitionError {
            line: Some(valid.iter().filter(|byte| **byte == b'\n').count() + 1),
            column: None,
            message: "the file is not UTF-8".to_owned(),
        }
    })
}

fn io_error(what: &str, error: &io::Error) -> DefinitionError {
    DefinitionError {
        line: None,
        column: None,
        message: format!("{what}: {error}"),
    }
}

fn assemble(state: &State) -> CatalogSnapshot {
    let mut snapshot = CatalogSnapshot::default();
    let mut owners: BTreeMap<&TableName, &Path> = BTreeMap::new();
    snapshot.errors.extend(state.unlisted.clone());
    for (path, file) in &state.files {
        let error = match &file.outcome {
            Err(error) => error.clone(),
            Ok(definition) => match owners.get(&definition.name) {
                None => {
                    owners.insert(&definition.name, path);
                    snapshot.tables.insert(definition.name.clone(), Arc::clone(definition));
                    continue;
                }
                Some(first) => DefinitionError {
                    line: None,
                    column: None,
                    message: format!("table {} is already defined by {}", definition.name, first.display()),
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
    for name in before.tables.keys().filter(|name| !after.tables.contains_key(name)) {
        tracing::info!(table = %name, "table removed");
    }
    for bad in after.errors.iter().filter(|bad| !before.errors.contains(bad)) {
        tracing::warn!(file = %bad.file.display(), line = bad.error.line, column = bad.error.column, "definition refused: {}", bad.error);
    }
}

#[cfg(test)]
mod tests;
