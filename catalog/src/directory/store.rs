//! Definition files in object storage: the objects right below a prefix.

use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use object_store::path::Path as ObjectPath;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions};

use super::{Found, MAX_BYTES, Stamp, as_text, is_definition, too_large};
use crate::DefinitionError;

/// The objects that are definitions. Names are those below the prefix.
pub(super) async fn list(store: &dyn ObjectStore, prefix: &ObjectPath) -> Result<Found, DefinitionError> {
    let mut listed = store.list(Some(prefix));
    let mut found = Found::new();
    while let Some(object) = listed.try_next().await.map_err(|error| failed("cannot list the objects", &error))? {
        let Some(name) = name(prefix, &object.location).filter(|name| is_definition(name)) else {
            continue;
        };
        let stamp = Stamp {
            modified: object.last_modified.into(),
            length: object.size,
            tag: object.e_tag,
        };
        found.insert(name, Some(stamp));
    }
    Ok(found)
}

/// The name right below the prefix; `None` for what lies deeper.
fn name(prefix: &ObjectPath, location: &ObjectPath) -> Option<PathBuf> {
    let mut below = location.prefix_match(prefix)?;
    let name = below.next()?;
    below.next().is_none().then(|| PathBuf::from(name.as_ref()))
}

fn key(prefix: &ObjectPath, name: &Path) -> ObjectPath {
    // Parts of a listed path are encoded already, and ours need no encoding.
    let name = name.to_string_lossy();
    ObjectPath::parse(format!("{prefix}/{name}").trim_start_matches('/')).unwrap_or_else(|_| prefix.clone().join(name.as_ref()))
}

pub(super) async fn read(
    store: &dyn ObjectStore,
    prefix: &ObjectPath,
    name: &Path,
    stamp: Option<&Stamp>,
) -> Result<String, DefinitionError> {
    too_large(stamp)?;
    let cannot_read = |error: Error| failed("cannot read the object", &error);
    let got = store.get(&key(prefix, name)).await.map_err(cannot_read)?;
    if got.meta.size > MAX_BYTES {
        too_large(Some(&Stamp {
            modified: got.meta.last_modified.into(),
            length: got.meta.size,
            tag: None,
        }))?;
    }
    as_text(got.bytes().await.map_err(cannot_read)?.to_vec())
}

/// A new object, whole or not at all. With `replace` it takes the place of what is there.
pub(super) async fn put(store: &dyn ObjectStore, prefix: &ObjectPath, name: &Path, text: &str, replace: bool) -> Result<(), Error> {
    let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
    let payload = text.as_bytes().to_vec().into();
    store.put_opts(&key(prefix, name), payload, PutOptions::from(mode)).await.map(drop)
}

/// Removes an object; one that is gone already is no error.
pub(super) async fn remove(store: &dyn ObjectStore, prefix: &ObjectPath, name: &Path) -> Result<(), Error> {
    match store.delete(&key(prefix, name)).await {
        Err(Error::NotFound { .. }) => Ok(()),
        outcome => outcome,
    }
}

fn failed(what: &str, error: &Error) -> DefinitionError {
    DefinitionError {
        line: None,
        column: None,
        message: format!("{what}: {error}"),
    }
}
