//! Changes of a catalog by programs: a definition is written whole or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{CatalogSnapshot, DirectoryCatalog, Place, is_json, local, store};
use crate::definition::Beside;
use crate::{DefinitionError, TableName};

/// What happens to a table of the name that is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// It is an error.
    Refuse,
    /// The new definition takes its place.
    Replace,
}

/// Why a catalog was not changed.
#[derive(Debug, thiserror::Error)]
pub enum CatalogWriteError {
    /// A table of the name is there.
    #[error("table {0} exists")]
    Exists(TableName),
    /// No table of the name is there.
    #[error("table {0} does not exist")]
    Missing(TableName),
    /// The catalog cannot be listed, so that nobody knows what is in it.
    #[error(transparent)]
    Unlisted(DefinitionError),
    /// The definition is not one.
    #[error(transparent)]
    Definition(DefinitionError),
    /// The file that the definition would have is there, and defines something else or nothing.
    #[error("{0} is there already, and does not define this table: `catalog check` says what is in it")]
    Occupied(PathBuf),
    /// The file system refused.
    #[error("{file}: {error}", file = file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        #[source]
        error: std::io::Error,
    },
    /// Object storage refused.
    #[error("{file}: {error}", file = file.display())]
    Store {
        /// Which object.
        file: PathBuf,
        /// Why.
        #[source]
        error: object_store::Error,
    },
}

impl DirectoryCatalog {
    /// Writes a definition in our YAML and gives the catalog with it. A table that other files define too is defined by this one alone afterwards.
    ///
    /// # Errors
    /// See [`CatalogWriteError`]; then nothing was changed, but for [`CatalogWriteError::File`] and [`CatalogWriteError::Store`], after which old
    /// files of the same table may be left beside the new one.
    pub async fn put(&self, text: &str, existing: Existing) -> Result<Arc<CatalogSnapshot>, CatalogWriteError> {
        let definition = self
            .parse(
                Path::new("new.yaml"),
                text,
                &Beside::new(self.directory()).with(self.state.lock().registries.fetched()),
            )
            .map_err(CatalogWriteError::Definition)?;
        let _turn = self.turn.lock().await;
        let known = self.listed().await?;
        if known.has(definition.name()) && existing == Existing::Refuse {
            return Err(CatalogWriteError::Exists(definition.name().clone()));
        }
        let files = self.files_of(definition.name());
        let own = files.iter().find(|file| !is_json(file));
        match own {
            Some(own) => self.write(own, text, true).await?,
            None => self.write(&self.new_file(definition.name()), text, false).await?,
        }
        for other in files.iter().filter(|file| Some(*file) != own) {
            self.remove_file(other).await?;
        }
        Ok(self.look().await)
    }

    /// Removes every file that defines the table, and gives the catalog without it.
    ///
    /// # Errors
    /// [`CatalogWriteError::Missing`], and what file system or object storage refuse.
    pub async fn remove(&self, name: &TableName) -> Result<Arc<CatalogSnapshot>, CatalogWriteError> {
        let _turn = self.turn.lock().await;
        self.listed().await?;
        let files = self.files_of(name);
        if files.is_empty() {
            return Err(CatalogWriteError::Missing(name.clone()));
        }
        // The one that counts goes last: whatever fails, the table is the old one or gone.
        for file in files.iter().rev() {
            self.remove_file(file).await?;
        }
        Ok(self.look().await)
    }

    /// The catalog, if it is known what is in it now.
    async fn listed(&self) -> Result<Arc<CatalogSnapshot>, CatalogWriteError> {
        let known = self.look().await;
        match &self.state.lock().unlisted {
            Some(unlisted) => Err(CatalogWriteError::Unlisted(unlisted.error.clone())),
            None => Ok(known),
        }
    }

    /// The text of a table's definition, if it is in our YAML.
    pub fn yaml_of(&self, name: &TableName) -> Option<String> {
        let file = self.files_of(name).into_iter().next().filter(|file| !is_json(file))?;
        self.state.lock().files.get(&file)?.content.clone().ok()
    }

    /// Files that define a table, in name order: the first counts.
    fn files_of(&self, name: &TableName) -> Vec<PathBuf> {
        let state = self.state.lock();
        let defines = state
            .files
            .iter()
            .filter(|(_, file)| file.outcome.as_ref().is_ok_and(|definition| definition.name() == name));
        defines.map(|(path, _)| path.clone()).collect()
    }

    fn new_file(&self, name: &TableName) -> PathBuf {
        let file = if name.schema == self.default_schema {
            format!("{}.yaml", file_name(&name.table))
        } else {
            format!("{}.{}.yaml", file_name(&name.schema), file_name(&name.table))
        };
        match &self.place {
            Place::Directory(directory) => directory.join(file),
            Place::Store { .. } => file.into(),
        }
    }

    async fn write(&self, file: &Path, text: &str, replace: bool) -> Result<(), CatalogWriteError> {
        match &self.place {
            Place::Directory(_) => local::put(file, text, replace).map_err(|error| match error.kind() {
                std::io::ErrorKind::AlreadyExists => CatalogWriteError::Occupied(file.to_owned()),
                _ => CatalogWriteError::File {
                    file: file.to_owned(),
                    error,
                },
            }),
            Place::Store { store, prefix } => store::put(store.as_ref(), prefix, file, text, replace)
                .await
                .map_err(|error| match error {
                    object_store::Error::AlreadyExists { .. } => CatalogWriteError::Occupied(file.to_owned()),
                    error => CatalogWriteError::Store {
                        file: file.to_owned(),
                        error,
                    },
                }),
        }
    }

    async fn remove_file(&self, file: &Path) -> Result<(), CatalogWriteError> {
        match &self.place {
            Place::Directory(_) => local::remove(file).map_err(|error| CatalogWriteError::File {
                file: file.to_owned(),
                error,
            }),
            Place::Store { store, prefix } => store::remove(store.as_ref(), prefix, file)
                .await
                .map_err(|error| CatalogWriteError::Store {
                    file: file.to_owned(),
                    error,
                }),
        }
    }
}

/// A name as part of a file's: letters, digits, `_` and `-` stay, others become their UTF-8 bytes as `%` and two digits.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"_-".contains(&byte) {
            file.push(char::from(byte));
        } else {
            file.push_str(&format!("%{byte:02x}"));
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use std::fs;

    use object_store::memory::InMemory;
    use object_store::path::Path as ObjectPath;

    use super::*;

    fn yaml(table: &str, column: &str) -> String {
        format!("table: {table}\nstream: s\ncolumns:\n  - {{ name: {column}, type: bigint }}\n")
    }

    fn column(catalog: &CatalogSnapshot, table: &str) -> Option<String> {
        let name = TableName {
            schema: "default".into(),
            table: table.into(),
        };
        Some(catalog.tables.get(&name)?.columns[0].name.clone())
    }

    fn named(table: &str) -> TableName {
        TableName {
            schema: "default".into(),
            table: table.into(),
        }
    }

    #[tokio::test]
    async fn definitions_are_written_replaced_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = DirectoryCatalog::new(directory.path().join("new"), "default");
        let written = catalog.put(&yaml("t", "a"), Existing::Refuse).await.unwrap();
        assert_eq!(column(&written, "t").as_deref(), Some("a"));
        let refused = catalog.put(&yaml("T", "b"), Existing::Refuse).await.unwrap_err();
        assert!(matches!(refused, CatalogWriteError::Exists(name) if name == named("t")));
        assert_eq!(column(&catalog.refresh(), "t").as_deref(), Some("a"));
        let replaced = catalog.put(&yaml("t", "c"), Existing::Replace).await.unwrap();
        assert_eq!(column(&replaced, "t").as_deref(), Some("c"));
        let files: Vec<_> = fs::read_dir(directory.path().join("new"))
            .unwrap()
            .map(|file| file.unwrap().file_name())
            .collect();
        assert_eq!(files, ["t.yaml"], "nothing temporary is left");
        assert!(catalog.remove(&named("t")).await.unwrap().tables.is_empty());
        assert!(matches!(catalog.remove(&named("t")).await, Err(CatalogWriteError::Missing(_))));
        assert!(matches!(
            catalog.put("table: t", Existing::Refuse).await,
            Err(CatalogWriteError::Definition(_))
        ));
    }

    #[tokio::test]
    async fn files_of_others_stay_and_files_of_the_table_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = DirectoryCatalog::new(directory.path(), "default");
        fs::write(directory.path().join("t.yaml"), "no definition").unwrap();
        let occupied = catalog.put(&yaml("t", "a"), Existing::Replace).await.unwrap_err();
        assert!(matches!(occupied, CatalogWriteError::Occupied(_)), "{occupied}");
        assert_eq!(fs::read_to_string(directory.path().join("t.yaml")).unwrap(), "no definition");

        // A Presto description and a duplicate; the first by name counts.
        fs::write(directory.path().join("a.json"), r#"{"tableName":"u","streamName":"s"}"#).unwrap();
        fs::write(directory.path().join("b.yaml"), yaml("u", "old")).unwrap();
        let replaced = catalog.put(&yaml("u", "new"), Existing::Replace).await.unwrap();
        assert_eq!(column(&replaced, "u").as_deref(), Some("new"));
        assert!(!directory.path().join("a.json").exists());
        assert_eq!(replaced.errors.len(), 1, "t.yaml only");
        catalog.remove(&named("u")).await.unwrap();
        assert!(!directory.path().join("b.yaml").exists());
        assert!(directory.path().join("t.yaml").exists());
    }

    #[tokio::test]
    async fn what_cannot_be_listed_is_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tables");
        fs::write(&path, "a file in its place").unwrap();
        let catalog = DirectoryCatalog::new(&path, "default");
        let refused = catalog.put(&yaml("t", "a"), Existing::Refuse).await;
        assert!(matches!(refused, Err(CatalogWriteError::Unlisted(_))));
        assert!(matches!(catalog.remove(&named("t")).await, Err(CatalogWriteError::Unlisted(_))));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a file in its place");
    }

    #[tokio::test]
    async fn names_cannot_leave_the_directory() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = DirectoryCatalog::new(directory.path().join("tables"), "default");
        let text = "table: '../x y'\nschema: 'a/b'\nstream: s\nformat: dummy\n";
        assert_eq!(catalog.put(text, Existing::Refuse).await.unwrap().tables.len(), 1);
        assert!(directory.path().join("tables/a%2fb.%2e%2e%2fx%20y.yaml").exists());
    }

    #[tokio::test]
    async fn object_storage_is_a_directory_too() {
        let store = Arc::new(InMemory::new());
        let catalog = DirectoryCatalog::in_store(Arc::<InMemory>::clone(&store), ObjectPath::from("a/tables"), "default");
        assert!(catalog.refreshed().await.tables.is_empty());
        catalog.put(&yaml("t", "a"), Existing::Refuse).await.unwrap();
        catalog.put(&yaml("t", "b"), Existing::Replace).await.unwrap();
        // Others write there too, and below it.
        let other = DirectoryCatalog::in_store(store, ObjectPath::from("a/tables"), "default");
        other.put(&yaml("'odd name'", "c"), Existing::Refuse).await.unwrap();
        let seen = catalog.refreshed().await;
        assert_eq!(
            (column(&seen, "t").as_deref(), column(&seen, "odd name").as_deref()),
            (Some("b"), Some("c"))
        );
        assert!(
            Arc::ptr_eq(&seen, &catalog.refreshed().await),
            "nothing changed, nothing is made anew"
        );
        other.remove(&named("t")).await.unwrap();
        assert_eq!(catalog.refreshed().await.tables.len(), 1);
        let deeper = DirectoryCatalog::in_store(
            match &catalog.place {
                Place::Store { store, .. } => Arc::clone(store),
                Place::Directory(_) => panic!("in a store"),
            },
            ObjectPath::from("a"),
            "default",
        );
        assert!(deeper.refreshed().await.tables.is_empty(), "what lies deeper is not read");
    }
}
