//! Which files a statement reads: listed once, when it is planned.

use std::sync::Arc;

use catalog::{FileTable, TableName};
use datafusion::common::ScalarValue;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use super::super::error::EngineError;
use super::access::Opened;
use super::place::Place;

/// Files of one table in one statement. With their names they travel in tickets.
const MOST_FILES: usize = 10_000;
/// Bytes of their names and tags together.
const MOST_BYTES: usize = 1 << 20;

/// What stands for NULL in the name of a folder.
const NULL_FOLDER: &str = "__HIVE_DEFAULT_PARTITION__";

/// A table over files, as it was when a statement was planned.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedFiles {
    /// Its name.
    pub name: TableName,
    /// Its definition.
    pub definition: Arc<FileTable>,
    /// What is read; `None` if the plan turned out not to read it.
    pub files: Option<Arc<Vec<PinnedFile>>>,
    /// Version of a Delta table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// A file, as it was when a statement was planned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedFile {
    /// Path below the table's location; empty: that is the file.
    pub path: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was written, ms since the epoch.
    pub modified_ms: i64,
    /// What the store calls this content.
    pub tag: Option<String>,
}

impl PinnedFile {
    /// As the store knows it.
    pub(super) fn meta(&self, root: &Path) -> Result<ObjectMeta, EngineError> {
        let below = Path::parse(&self.path).map_err(|error| EngineError::Internal(error.to_string()))?;
        let modified = chrono::DateTime::from_timestamp_millis(self.modified_ms)
            .ok_or_else(|| EngineError::Internal(format!("`{}` was written at no time", self.path)))?;
        Ok(ObjectMeta {
            location: root.parts().chain(below.parts()).collect(),
            last_modified: modified,
            size: self.bytes,
            e_tag: self.tag.clone(),
            version: None,
        })
    }

    /// Values of the folders' columns.
    pub(super) fn folders(&self, table: &FileTable) -> Result<Vec<ScalarValue>, EngineError> {
        let mut parts = self.path.split('/');
        let columns = &table.columns[table.in_files()..];
        let value = |column: &catalog::FileColumn| {
            let wrong = |why: String| EngineError::FailedPrecondition(format!("table {}: file `{}`: {why}", table.name, self.path));
            let part = parts.next().unwrap_or_default();
            let text = part.strip_prefix(&column.name).and_then(|rest| rest.strip_prefix('='));
            let text = text.ok_or_else(|| {
                wrong(format!(
                    "it does not lie in a folder `{}=…`, where PARTITIONED BY wants it",
                    column.name
                ))
            })?;
            let data_type = column.column_type.data_type();
            if text == NULL_FOLDER {
                return ScalarValue::try_from(&data_type).map_err(EngineError::from);
            }
            let text = decoded(text).ok_or_else(|| wrong(format!("`{part}` is not UTF-8")))?;
            let value = ScalarValue::try_from_string(text.clone(), &data_type);
            match value {
                Ok(value) if !value.is_null() => Ok(value),
                _ => Err(wrong(format!("`{text}` is no {}", column.column_type))),
            }
        };
        columns.iter().map(value).collect()
    }
}

/// `%` and two hexadecimal digits are a byte.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let hex = others
            .get(..2)
            .filter(|_| *first == b'%')
            .and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).ok()
}

fn is_hidden(path: &Path) -> bool {
    // a folder's column may have such a name
    path.parts()
        .any(|part| part.as_ref().starts_with(['_', '.']) && !part.as_ref().contains('='))
}

/// Lists the files at a place, by name. Names that begin with `_` or `.` are no data, and neither are empty files.
///
/// # Errors
/// NOT_FOUND if the place has a file's name, and nothing is there. A folder without files has no rows: where folders are prefixes, that is all one can see of it.
pub(super) async fn list(place: &Place, opened: &Opened, table: &str) -> Result<Vec<PinnedFile>, EngineError> {
    let failed = |error: object_store::Error| store_error(&format!("table {table}: {place}"), &error);
    if !place.is_folder {
        match opened.store.head(&opened.root).await {
            Ok(meta) => return Ok(vec![pinned(String::new(), &meta)]),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed(error)),
        }
    }
    let root = (!opened.root.as_ref().is_empty()).then_some(&opened.root);
    let mut listed = opened.store.list(root);
    let (mut files, mut bytes, mut is_there) = (Vec::new(), 0, false);
    while let Some(meta) = listed.try_next().await.map_err(failed)? {
        let Some(below) = meta.location.prefix_match(&opened.root) else {
            continue;
        };
        is_there = true;
        let below: Path = below.collect();
        if below.parts().next().is_some_and(|part| part.as_ref() == "_delta_log") {
            return Err(EngineError::NotSupported(format!(
                "table {table}: {place} is a Delta table; its log says which of its files count, and reading all of them would count rows twice: STORED AS DELTA reads it"
            )));
        }
        if meta.size == 0 || is_hidden(&below) {
            continue;
        }
        opened.check_inside(&meta.location).await?;
        let file = pinned(below.to_string(), &meta);
        bytes += file.path.len() + file.tag.as_ref().map_or(0, String::len);
        files.push(file);
        if files.len() > MOST_FILES || bytes > MOST_BYTES {
            return Err(EngineError::NotSupported(format!(
                "table {table}: more files lie at {place} than a statement can hold on to ({MOST_FILES}, or {MOST_BYTES} bytes of names); make tables of folders below it, or put small files together"
            )));
        }
    }
    if !is_there && !place.is_folder && place.has_extension() {
        return Err(EngineError::NotFound(format!("table {table}: there is no file {place}")));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn pinned(path: String, meta: &ObjectMeta) -> PinnedFile {
    PinnedFile {
        path,
        bytes: meta.size,
        modified_ms: meta.last_modified.timestamp_millis(),
        tag: meta.e_tag.clone(),
    }
}

/// What a store refuses or fails at.
pub(super) fn store_error(what: &str, error: &object_store::Error) -> EngineError {
    let message = format!("{what}: {error}");
    match error {
        object_store::Error::NotFound { .. } => EngineError::NotFound(message),
        object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => EngineError::Denied(message),
        object_store::Error::Precondition { .. } => EngineError::FailedPrecondition(message),
        object_store::Error::Generic { .. } => EngineError::Unavailable(message),
        _ => EngineError::FailedPrecondition(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> FileTable {
        let text = "table: t\nlocation: s3://bucket/p\nstored_as: parquet\npartitioned_by: [day, host]\ncolumns:\n  - { name: n, type: bigint }\n  - { name: day, type: date }\n  - { name: host, type: varchar }\n";
        FileTable::clone(&FileTable::from_yaml_in(text, "default").unwrap())
    }

    fn file(path: &str) -> PinnedFile {
        PinnedFile {
            path: path.into(),
            bytes: 1,
            modified_ms: 0,
            tag: None,
        }
    }

    #[test]
    fn folders_give_values() {
        let folders = |path: &str| file(path).folders(&table());
        let values = folders("day=2024-07-01/host=a%2Fb%25/x.parquet").unwrap();
        // days since 1970-01-01, by `date -d 2024-07-01 +%s` / 86400
        assert_eq!(values, [ScalarValue::Date32(Some(19905)), ScalarValue::Utf8(Some("a/b%".into()))]);
        let values = folders("day=2024-07-01/host=__HIVE_DEFAULT_PARTITION__/x").unwrap();
        assert_eq!(values[1], ScalarValue::Utf8(None));
        for wrong in [
            "x.parquet",
            "host=a/day=2024-07-01/x",
            "day=soon/host=a/x",
            "day=2024-07-01/x",
            "day=2024-07-01/host=%ff/x",
        ] {
            let error = folders(wrong).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }

    #[test]
    fn what_is_no_data_is_hidden() {
        for (path, hidden) in [
            ("_SUCCESS", true),
            ("a/.part.crc", true),
            ("_temporary/0/x.parquet", true),
            ("_day=1/x.parquet", false),
            ("a/b", false),
        ] {
            assert_eq!(is_hidden(&Path::from(path)), hidden, "{path}");
        }
    }
}
