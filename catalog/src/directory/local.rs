//! Definition files in a directory of the file system.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::{Stamp, is_definition, too_large};
use crate::DefinitionError;

/// The definition files, each with its stamp where the file system gives one.
pub(super) fn list(directory: &Path) -> io::Result<BTreeMap<PathBuf, Option<Stamp>>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let mut found = BTreeMap::new();
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        if !is_definition(&path) {
            continue;
        }
        // Through links: a mounted configuration map consists of them.
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_file() => {}
            Ok(metadata) => {
                found.insert(path, stamp(&metadata));
            }
            Err(_) => {
                // Reading it will fail and say why, unless it is gone by then.
                found.insert(path, None);
            }
        }
    }
    Ok(found)
}

fn stamp(metadata: &fs::Metadata) -> Option<Stamp> {
    metadata.modified().ok().map(|modified| Stamp {
        modified,
        length: metadata.len(),
        tag: None,
    })
}

/// `None` where there is no file.
pub(super) fn stamp_of(file: &Path) -> Option<Stamp> {
    fs::metadata(file).ok().as_ref().and_then(stamp)
}

pub(super) fn read(path: &Path, stamp: Option<&Stamp>) -> Result<String, DefinitionError> {
    too_large(stamp)?;
    let bytes = fs::read(path).map_err(|error| io_error("cannot read the file", &error))?;
    super::as_text(bytes)
}

pub(super) fn io_error(what: &str, error: &io::Error) -> DefinitionError {
    DefinitionError {
        line: None,
        column: None,
        message: format!("{what}: {error}"),
    }
}

/// A new file, whole or not at all. With `replace` it takes the place of what is there.
pub(super) fn put(path: &Path, text: &str, replace: bool) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(directory)?;
    let mut builder = tempfile::Builder::new();
    // Names with a dot in front are no definitions.
    builder.prefix(".shardflight-").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    let persisted = if replace {
        file.persist(path)
    } else {
        file.persist_noclobber(path)
    };
    persisted.map_err(|error| error.error)?;
    sync_directory(directory)
}

/// Removes a file; one that is gone already is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        outcome => outcome,
    }?;
    sync_directory(path.parent().unwrap_or(Path::new(".")))
}

/// Names are on disk only when the directory is.
fn sync_directory(directory: &Path) -> io::Result<()> {
    match cfg!(unix) {
        true => fs::File::open(directory)?.sync_all(),
        false => Ok(()),
    }
}
