//! Files that a definition names.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use super::cursor::Cursor;
use super::node::Problem;
use crate::directory::Fetched;

/// Bytes of the largest schema or descriptor set that is read.
const MOST_BYTES: u64 = 4 << 20;

/// Where a definition's files are found, and which of them it named.
#[derive(Debug)]
pub(crate) struct Beside {
    /// `None` = the definition is in no file.
    directory: Option<PathBuf>,
    named: RefCell<Vec<PathBuf>>,
    fetched: Fetched,
    named_urls: RefCell<Vec<String>>,
}

impl Beside {
    pub(crate) fn new(directory: Option<&Path>) -> Self {
        Self {
            directory: directory.map(Path::to_owned),
            named: RefCell::default(),
            fetched: Fetched::new(),
            named_urls: RefCell::default(),
        }
    }

    /// With what was fetched of URLs.
    pub(crate) fn with(self, fetched: Fetched) -> Self {
        Self { fetched, ..self }
    }

    /// The files and URLs that were asked for, there or not.
    pub(crate) fn into_named(self) -> (Vec<PathBuf>, Vec<String>) {
        (self.named.into_inner(), self.named_urls.into_inner())
    }

    /// What is at a URL that is named at this place.
    pub(super) fn fetched(&self, place: &Cursor<'_>, url: &str) -> Result<Arc<[u8]>, Problem> {
        self.named_urls.borrow_mut().push(url.to_owned());
        match self.fetched.get(url) {
            Some(Ok(content)) => Ok(Arc::clone(content)),
            Some(Err(error)) => Err(place.keyed_problem(format!("the registry cannot be read: {error}"))),
            None => Err(place.keyed_problem("the registry was not read yet: a catalog does that, within its `refresh`")),
        }
    }

    /// The file that is named at this place.
    pub(super) fn read(&self, place: &Cursor<'_>) -> Result<Vec<u8>, Problem> {
        let name = place.non_empty_text()?;
        // A statement may define tables, and must not read the server's files by it.
        if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
            return Err(place.keyed_problem(format!(
                "`{name}`: a file is named by its path below the directory of the definition"
            )));
        }
        let path = match &self.directory {
            Some(directory) => directory.join(name),
            None => return Err(place.keyed_problem(format!("`{name}`: a definition that is in no file cannot name files beside it"))),
        };
        self.named.borrow_mut().push(path.clone());
        let bytes = read(&path).map_err(|error| place.keyed_problem(format!("cannot read `{}`: {error}", path.display())))?;
        match bytes.len() as u64 > MOST_BYTES {
            true => Err(place.keyed_problem(format!("`{}` is larger than {} MiB", path.display(), MOST_BYTES >> 20))),
            false => Ok(bytes),
        }
    }
}

/// As much of a file as tells whether it is too large.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // Pipes and devices may never end, or never begin.
    if !path.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
