use std::fs::{self, File};

use super::*;

fn yaml(table: &str, column: &str) -> String {
    format!("table: {table}\nstream: s\ncolumns:\n  - {{ name: {column}, type: bigint }}\n")
}

fn set_modified(path: &Path, at: SystemTime) {
    File::options().write(true).open(path).unwrap().set_modified(at).unwrap();
}

struct Fixture {
    directory: tempfile::TempDir,
    catalog: DirectoryCatalog,
}

impl Fixture {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let catalog = DirectoryCatalog::new(directory.path(), "web");
        Self { directory, catalog }
    }
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
    fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::write(self.path(name), text).unwrap();
    }
    fn tables(&self) -> Vec<String> {
        self.catalog.refresh().tables.keys().map(ToString::to_string).collect()
    }
    fn errors(&self) -> Vec<(String, String)> {
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        self.catalog
            .refresh()
            .errors
            .iter()
            .map(|bad| (name(&bad.file), bad.error.message.clone()))
            .collect()
    }
}

#[test]
fn one_bad_file_hides_no_other() {
    let fixture = Fixture::new();
    assert!(fixture.catalog.current().tables.is_empty());
    fixture.write("a.yaml", yaml("a", "x"));
    fixture.write("b.yml", "table: b\nstream: s\nformat: csv\n");
    fixture.write("c.json", r#"{"tableName":"c","streamName":"s"}"#);
    fixture.write("latin1.yaml", b"table: t\nstream: \xe9\n");
    fixture.write("notes.txt", "no definition");
    fixture.write(".hidden.yaml", "no definition");
    fs::create_dir(fixture.path("sub.yaml")).unwrap();
    assert_eq!(fixture.tables(), ["web.a", "web.c"]);
    let errors = fixture.errors();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert_eq!(errors[0].0, "b.yml");
    assert!(errors[0].1.contains("`columns` is missing"));
    assert_eq!(errors[1], ("latin1.yaml".to_owned(), "the file is not UTF-8".to_owned()));
    assert_eq!(fixture.catalog.current().errors[1].error.line, Some(2));
}

#[test]
fn edits_deletions_and_repairs_are_seen() {
    let fixture = Fixture::new();
    let table = TableName {
        schema: "web".into(),
        table: "a".into(),
    };
    fixture.write("a.yaml", yaml("a", "x"));
    assert_eq!(fixture.catalog.refresh().tables[&table].columns[0].name, "x");

    // The same length in the same instant: no stamp can tell.
    let modified = fs::metadata(fixture.path("a.yaml")).unwrap().modified().unwrap();
    fixture.write("a.yaml", yaml("a", "y"));
    set_modified(&fixture.path("a.yaml"), modified);
    assert_eq!(fixture.catalog.refresh().tables[&table].columns[0].name, "y");

    fixture.write("a.yaml", "table: [");
    assert!(fixture.tables().is_empty(), "the last good definition is dropped");
    assert_eq!(fixture.errors().len(), 1);
    let since = fixture.catalog.current().errors[0].since;
    assert_eq!(fixture.catalog.refresh().errors[0].since, since);

    fixture.write("a.yaml", yaml("a", "z"));
    assert_eq!(fixture.tables(), ["web.a"]);
    assert!(fixture.errors().is_empty());
    fs::remove_file(fixture.path("a.yaml")).unwrap();
    assert!(fixture.tables().is_empty());
}

#[test]
fn settled_files_are_not_read_again() {
    let fixture = Fixture::new();
    let hour_ago = SystemTime::now() - Duration::from_secs(3600);
    let table = TableName {
        schema: "web".into(),
        table: "a".into(),
    };
    fixture.write("a.yaml", yaml("a", "x"));
    set_modified(&fixture.path("a.yaml"), hour_ago);
    let first = fixture.catalog.refresh();
    assert!(
        Arc::ptr_eq(&first, &fixture.catalog.refresh()),
        "nothing changed, nothing is made anew"
    );

    // An old stamp put back on other text of the same length shows that the stamp alone was looked at.
    fixture.write("a.yaml", yaml("a", "y"));
    set_modified(&fixture.path("a.yaml"), hour_ago);
    assert!(Arc::ptr_eq(&first, &fixture.catalog.refresh()));
    set_modified(&fixture.path("a.yaml"), hour_ago + Duration::from_secs(1));
    assert_eq!(fixture.catalog.refresh().tables[&table].columns[0].name, "y");
    assert_eq!(first.tables[&table].columns[0].name, "x", "a snapshot in use stays as it was");
}

#[test]
fn the_first_file_of_a_table_counts() {
    let fixture = Fixture::new();
    fixture.write("b.yaml", yaml("T", "b"));
    fixture.write("a.yaml", yaml("t", "a"));
    let snapshot = fixture.catalog.refresh();
    assert_eq!(snapshot.tables.len(), 1);
    assert_eq!(snapshot.tables.values().next().unwrap().columns[0].name, "a");
    let errors = fixture.errors();
    assert_eq!(errors[0].0, "b.yaml");
    assert!(
        errors[0].1.contains("already defined by") && errors[0].1.contains("a.yaml"),
        "{errors:?}"
    );
    fs::remove_file(fixture.path("a.yaml")).unwrap();
    assert_eq!(fixture.catalog.refresh().tables.values().next().unwrap().columns[0].name, "b");
    assert!(fixture.errors().is_empty());
}

#[test]
fn a_missing_directory_is_empty_until_it_is_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("tables");
    let catalog = DirectoryCatalog::new(&path, "web");
    let snapshot = catalog.refresh();
    assert!(snapshot.tables.is_empty() && snapshot.errors.is_empty());
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yaml"), yaml("a", "x")).unwrap();
    assert_eq!(catalog.refresh().tables.len(), 1);
}

#[test]
fn a_directory_that_cannot_be_listed_keeps_what_is_known() {
    let fixture = Fixture::new();
    let path = fixture.path("tables");
    let catalog = DirectoryCatalog::new(&path, "web");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("a.yaml"), yaml("a", "x")).unwrap();
    assert_eq!(catalog.refresh().tables.len(), 1);
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, "a file in its place").unwrap();
    let snapshot = catalog.refresh();
    assert_eq!((snapshot.tables.len(), snapshot.errors.len()), (1, 1));
    assert!(snapshot.errors[0].error.message.contains("cannot list"));
    fs::remove_file(&path).unwrap();
    let snapshot = catalog.refresh();
    assert!(snapshot.tables.is_empty() && snapshot.errors.is_empty());
}

/// A definition is read again when a file that it names changes, appears or goes.
#[test]
fn named_files_are_watched() {
    let fixture = Fixture::new();
    let schema = |field: &str| format!(r#"{{"type":"record","name":"R","fields":[{{"name":"{field}","type":"long"}}]}}"#);
    let past = SystemTime::now() - Duration::from_secs(60);
    let definition = "table: t\nstream: s\nformat: { avro: { schema_file: t.avsc } }\ncolumns:\n  - { name: a, type: bigint }\n";
    fixture.write("t.yaml", definition);
    fixture.write("other.yaml", yaml("other", "x"));
    set_modified(&fixture.path("t.yaml"), past);
    assert_eq!(fixture.tables(), ["web.other"]);
    assert!(fixture.errors()[0].1.contains("cannot read"));
    fixture.write("t.avsc", schema("a"));
    set_modified(&fixture.path("t.avsc"), past);
    assert_eq!(fixture.tables(), ["web.other", "web.t"]);
    let first = fixture.catalog.current();
    assert!(Arc::ptr_eq(&first, &fixture.catalog.refresh()), "nothing has changed");
    fixture.write("t.avsc", schema("b"));
    set_modified(&fixture.path("t.avsc"), past + Duration::from_secs(1));
    let errors = fixture.errors();
    assert!(errors[0].1.contains("no schema has a value at `a`"), "{errors:?}");
    fixture.write("t.avsc", schema("a"));
    set_modified(&fixture.path("t.avsc"), past + Duration::from_secs(2));
    assert_eq!(fixture.tables(), ["web.other", "web.t"]);
    fs::remove_file(fixture.path("t.avsc")).unwrap();
    assert_eq!(fixture.tables(), ["web.other"]);
}
