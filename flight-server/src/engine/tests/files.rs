//! Files as tables, and as the end of COPY: in a directory, which is the only one that statements may touch.

mod delta;

use std::path::{Path, PathBuf};

use super::*;

/// Who may do what, and with which files.
pub(super) struct Rights {
    pub(super) access: Access,
    pub(super) files: FileAccess,
}

impl From<Access> for Rights {
    fn from(access: Access) -> Self {
        Self {
            access,
            files: FileAccess::none(),
        }
    }
}

/// A world over one shard with 40 records, and a directory with `in` and `out` for statements, and `secret` beside them.
struct Filed {
    world: World,
    directory: tempfile::TempDir,
}

fn filed(access: impl FnOnce(&Path) -> Access) -> Filed {
    let directory = tempfile::tempdir().unwrap();
    for name in ["in", "out", "out-evil", "secret"] {
        std::fs::create_dir(directory.path().join(name)).unwrap();
    }
    let url = |name: &str| format!("file://{}/{name}", directory.path().display());
    let files = FileAccess::new(&[url("in"), url("out")], &[url("out")], Arc::new(NoStores)).unwrap();
    let source = Arc::new(MemorySource::new(1));
    let shard = source.shard_ids()[0].clone();
    for n in 0..40 {
        source
            .put(&shard, "key", format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5).as_bytes())
            .unwrap();
    }
    let access = access(directory.path());
    let world = World::governed(
        source,
        TABLE,
        |config| config,
        DefinitionRules::all(),
        None,
        Rights { access, files },
    );
    Filed { world, directory }
}

fn open() -> Filed {
    filed(|_| Access::everything())
}

impl Filed {
    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `$` stands for the directory's URL.
    fn sql(&self, sql: &str) -> String {
        sql.replace('$', &format!("file://{}", self.directory.path().display()))
    }

    async fn done(&self, sql: &str) -> Result<DoneResult, EngineError> {
        self.done_by(&self.world.session, sql).await
    }

    async fn done_by(&self, session: &Session, sql: &str) -> Result<DoneResult, EngineError> {
        match self.world.engine.plan(session, StatementRequest::new(self.sql(sql))).await? {
            Planned::Done(done) => Ok(done),
            Planned::Query(_) => panic!("{sql} is a query"),
        }
    }

    async fn refused(&self, sql: &str) -> EngineError {
        self.done(sql).await.expect_err(sql)
    }

    async fn rows(&self, sql: &str) -> Vec<String> {
        self.world.rows(&self.sql(sql)).await.expect(sql)
    }

    /// Names below a directory, sorted.
    fn names(&self, below: &str) -> Vec<String> {
        let mut names = Vec::new();
        let mut left = vec![self.path(below)];
        while let Some(directory) = left.pop() {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => left.push(path),
                    false => names.push(path.strip_prefix(self.path(below)).unwrap().display().to_string()),
                }
            }
        }
        names.sort();
        names
    }
}

#[tokio::test]
async fn what_copy_writes_is_read_back_in_every_format() {
    let files = open();
    for format in ["parquet", "csv", "json"] {
        let copied = files
            .done(&format!(
                "copy (select n, word from t where n >= 10) to '$/out/{format}/' stored as {format}"
            ))
            .await
            .unwrap();
        assert_eq!(copied.affected, Some(30));
        assert_eq!(texts(&copied.batches), ["30"]);
        assert!(!files.names(&format!("out/{format}")).is_empty());
        files
            .done(&format!(
                "create external table f_{format} stored as {format} location '$/out/{format}'"
            ))
            .await
            .unwrap();
        // 10 + … + 39, and six of each word
        assert_eq!(
            files.rows(&format!("select count(*), sum(n) from f_{format}")).await,
            ["30|735"],
            "{format}"
        );
        assert_eq!(
            files
                .rows(&format!("select word, count(*) from f_{format} where n < 15 group by word"))
                .await,
            ["w0|1", "w1|1", "w2|1", "w3|1", "w4|1"]
        );
        assert_eq!(
            files.rows(&format!("select n from f_{format} order by n desc limit 1")).await,
            ["39"]
        );
    }
    let one = files.done("copy t to '$/out/one.csv' options (delimiter ';')").await.unwrap();
    assert_eq!(one.affected, Some(40));
    let text = std::fs::read_to_string(files.path("out/one.csv")).unwrap();
    assert_eq!(text.lines().take(2).collect::<Vec<_>>(), ["n;word", "0;w0"]);
    assert_eq!(text.lines().count(), 41);
}

#[tokio::test]
async fn files_join_streams_and_each_other_in_one_endpoint() {
    let files = open();
    std::fs::write(files.path("in/words.csv"), "word,meaning\nw0,zero\nw1,one\nw9,nine\n").unwrap();
    files
        .done("create external table words (word varchar, meaning varchar comment 'in English') stored as csv location '$/in/words.csv'")
        .await
        .unwrap();
    assert_eq!(
        files
            .rows("select w.meaning, count(*) from t join words w on t.word = w.word group by w.meaning")
            .await,
        ["one|8", "zero|8"]
    );
    let query = files.world.plan("select * from words", true).await.unwrap();
    assert_eq!(query.parts.len(), 1);
    assert_eq!(
        files
            .rows("select t.n from t left join words on t.word = words.word where words.word is null and n < 5")
            .await,
        ["2", "3", "4"]
    );
    assert_eq!(
        texts(&files.done("describe words").await.unwrap().batches),
        ["word|varchar|YES|NULL", "meaning|varchar|YES|in English"]
    );
    let shown = texts(&files.done("show create table words").await.unwrap().batches).remove(0);
    files.done("drop table words").await.unwrap();
    files.done(&shown).await.unwrap();
    assert_eq!(files.rows("select count(*) from words").await, ["3"]);
    assert_eq!(
        files
            .rows("select table_name from information_schema.tables where table_schema = 'default'")
            .await,
        ["t", "words"]
    );
    let listed = files.world.engine.tables(&Principal::anonymous(), None);
    assert!(
        listed
            .iter()
            .any(|table| table.name == "words" && table.arrow_schema.fields().len() == 2)
    );
    let error = files.done("insert into words values ('a', 'b')").await.unwrap_err();
    assert!(error.to_string().contains("over files"), "{error}");
    std::fs::remove_file(files.path("in/words.csv")).unwrap();
    let error = files.world.plan("select * from words", false).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::NotFound, "{error}");
    assert!(error.to_string().contains("in/words.csv"), "{error}");
}

#[tokio::test]
async fn folders_are_columns_and_are_left_out_unread() {
    let files = open();
    files
        .done("copy (select n, word from t) to '$/out/p/' stored as parquet partitioned by (word)")
        .await
        .unwrap();
    let names = files.names("out/p");
    assert!(names.iter().all(|name| name.starts_with("word=w")), "{names:?}");
    files
        .done("create external table p stored as parquet location '$/out/p/' partitioned by (word)")
        .await
        .unwrap();
    assert_eq!(
        files.rows("select word, sum(n) from p group by word").await,
        ["w0|140", "w1|148", "w2|156", "w3|164", "w4|172"]
    );
    // a file that is no Parquet, in a folder that the statement does not need
    std::fs::write(files.path("out/p/word=w3/bad.parquet"), "not parquet").unwrap();
    assert_eq!(files.rows("select count(*) from p where word in ('w1', 'w2')").await, ["16"]);
    let error = files.world.rows("select count(n) from p").await.unwrap_err();
    assert!(!error.to_string().is_empty(), "the bad file is not passed over");
    let error = files
        .refused("copy (select n, nullif(word, 'w1') as word from t) to '$/out/q/' partitioned by (word)")
        .await;
    assert!(error.to_string().contains("NULL"), "{error}");
}

#[tokio::test]
async fn a_ticket_reads_the_files_that_were_there() {
    let files = open();
    std::fs::write(files.path("in/a.csv"), "n\n1\n2\n").unwrap();
    files
        .done("create external table f (n bigint) stored as csv location '$/in/'")
        .await
        .unwrap();
    let query = files.world.plan("select sum(n) from f", false).await.unwrap();
    std::fs::write(files.path("in/b.csv"), "n\n10\n").unwrap();
    let part = query.parts[0].clone();
    for _ in 0..2 {
        assert_eq!(texts(&files.world.run(part.clone()).await.unwrap()), ["3"]);
    }
    assert_eq!(files.rows("select sum(n) from f").await, ["13"]);
    // what was dropped since is still what the ticket says
    files.done("drop table f").await.unwrap();
    assert_eq!(texts(&files.world.run(part.clone()).await.unwrap()), ["3"]);
    // of the same length, so that only the store's tag tells
    std::fs::remove_file(files.path("in/a.csv")).unwrap();
    std::fs::write(files.path("in/a.csv"), "n\n7\n8\n").unwrap();
    let error = files.world.run(part).await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition, "{error}");
    assert!(error.to_string().contains("changed or removed"), "{error}");
}

#[tokio::test]
async fn nothing_outside_is_read_or_written() {
    let files = open();
    std::fs::write(files.path("secret/s.csv"), "line\nsecret\n").unwrap();
    for location in [
        "$/secret/s.csv",
        "$/secret/",
        "$/in/../secret/s.csv",
        "$/in/%2e%2e/secret/s.csv",
        "$/in/..%2fsecret/s.csv",
        "$/in-evil/",
        "/etc/passwd",
        "file:///etc/passwd",
        "s3://bucket/x",
        "http://127.0.0.1/x",
    ] {
        for columns in ["(line varchar)", ""] {
            let error = files
                .refused(&format!("create external table x {columns} stored as csv location '{location}'"))
                .await;
            let told = [ErrorCategory::PermissionDenied, ErrorCategory::InvalidArgument].contains(&error.category());
            assert!(told && !error.to_string().contains("secret\n"), "{location}: {error}");
        }
    }
    for location in [
        "$/in/x.csv",
        "$/out-evil/x.csv",
        "$/out/../secret/x.csv",
        "$/out/%2e%2e/secret/x.csv",
        "$/x.csv",
        "/tmp/shardflight-must-not-be-written.csv",
        "s3://bucket/x.csv",
    ] {
        let error = files.refused(&format!("copy (select 1 as one) to '{location}'")).await;
        let told = [ErrorCategory::PermissionDenied, ErrorCategory::InvalidArgument].contains(&error.category());
        assert!(told, "{location}: {error}");
    }
    assert_eq!(files.names("secret"), ["s.csv"]);
    assert!(files.names("out-evil").is_empty() && files.names("in").is_empty());
    // a file that an operator's hand put into the catalog is judged when it is read
    let definition = files.sql("table: sly\nlocation: $/secret/\nstored_as: csv\ncolumns:\n  - { name: line, type: varchar }\n");
    files
        .world
        .engine
        .catalog()
        .put(&definition, catalog::Existing::Refuse)
        .await
        .unwrap();
    let error = files.world.rows("select * from sly").await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn links_do_not_lead_out() {
    use std::os::unix::fs::symlink;

    let files = open();
    std::fs::write(files.path("secret/s.csv"), "line\nsecret\n").unwrap();
    std::fs::create_dir(files.path("in/data")).unwrap();
    std::fs::write(files.path("in/data/own.csv"), "line\nown\n").unwrap();
    symlink(files.path("secret"), files.path("in/folder")).unwrap();
    symlink(files.path("secret/s.csv"), files.path("in/data/linked.csv")).unwrap();
    symlink(files.path("secret"), files.path("out/folder")).unwrap();
    symlink(files.path("secret/new"), files.path("out/nowhere")).unwrap();
    for location in ["$/in/folder/", "$/in/folder/s.csv", "$/in/data/linked.csv", "$/in/data/"] {
        files
            .done(&format!(
                "create or replace external table x (line varchar) stored as csv location '{location}'"
            ))
            .await
            .unwrap();
        let error = files.world.rows("select * from x").await.expect_err(location);
        assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{location}: {error}");
    }
    for location in [
        "$/out/folder/x.csv",
        "$/out/folder/",
        "$/out/folder/deeper/x.csv",
        "$/out/nowhere/x.csv",
    ] {
        let error = files.refused(&format!("copy (select 1 as one) to '{location}'")).await;
        assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{location}: {error}");
    }
    assert_eq!(files.names("secret"), ["s.csv"]);
    // a link that is put in the place of a listed file is another file
    std::fs::remove_file(files.path("in/data/linked.csv")).unwrap();
    let query = files.world.plan("select * from x", false).await.unwrap();
    std::fs::remove_file(files.path("in/data/own.csv")).unwrap();
    symlink(files.path("secret/s.csv"), files.path("in/data/own.csv")).unwrap();
    assert!(files.world.run(query.parts[0].clone()).await.is_err());
}

#[tokio::test]
async fn rights_are_asked() {
    let rule = |principal: &str, right| AccessRule::new(principal, [right]).unwrap();
    let files = filed(|directory| {
        let out = format!("file://{}/out/ann/*", directory.display());
        Access::new(vec![
            rule("root", Right::Admin).on_tables(["*"]).unwrap(),
            rule("ann", Right::Read).on_tables(["t"]).unwrap(),
            rule("ann", Right::Write).on_locations([out]).unwrap(),
        ])
    });
    let session = |name: &str| Session::new(SessionId(name.into()), Principal(name.into()));
    let (root, ann) = (session("root"), session("ann"));
    std::fs::write(files.path("in/a.csv"), "n\n1\n").unwrap();
    let create = "create external table f (n bigint) stored as csv location '$/in/'";
    for (who, sql, allowed) in [
        (&ann, create, false),
        (&root, create, true),
        (&ann, "copy (select n from t) to '$/out/ann/x.csv'", true),
        (&ann, "copy (select n from t) to '$/out/x.csv'", false),
        (&ann, "copy (select n from f) to '$/out/ann/y.csv'", false),
        (&root, "copy (select n from f) to '$/out/x.csv'", false),
    ] {
        let done = files.done_by(who, sql).await;
        assert_eq!(done.is_ok(), allowed, "{sql}: {done:?}");
        if let Err(error) = done {
            assert_eq!(error.category(), ErrorCategory::PermissionDenied, "{sql}: {error}");
        }
    }
    assert_eq!(files.names("out"), ["ann/x.csv"]);
    let seen = files.world.engine.tables(&Principal("ann".into()), None);
    assert!(!seen.iter().any(|table| table.name == "f"));
    let asked = files.world.engine.plan(&ann, StatementRequest::new("select * from f")).await;
    assert_eq!(asked.unwrap_err().category(), ErrorCategory::PermissionDenied);
}

#[tokio::test]
async fn what_fails_says_what_was_written() {
    let files = open();
    let error = files
        .refused("copy (select 100 / (n - 39) as q, word from t) to '$/out/failed/'")
        .await;
    assert_eq!(error.category(), ErrorCategory::InvalidArgument, "{error}");
    assert!(
        error.to_string().contains("COPY to file://") && error.to_string().contains("ended early"),
        "{error}"
    );
    for (sql, part) in [
        ("copy (select n, n from t) to '$/out/a.csv'", "n"),
        ("copy (select n as a, word as a from t) to '$/out/a.csv'", "a"),
        ("copy (select n from t) to '$/out/a.csv' partitioned by (word)", "end the location"),
        ("copy (select n from t) to '$/out/a/' partitioned by (word)", "no column `word`"),
        ("copy (select n from t) to '$/out/a/' partitioned by (n)", "nothing to write"),
        ("copy (select n from t) to '$/out/a/' stored as orc", "ORC"),
        ("copy (select n from t) to '$/out/a.parquet' options (nonsense 'x')", "nonsense"),
        ("copy (select n from missing) to '$/out/a.csv'", "missing"),
    ] {
        let error = files.refused(sql).await.to_string();
        assert!(error.contains(part), "{sql}: {error}");
    }
    std::fs::create_dir_all(files.path("in/delta/_delta_log")).unwrap();
    std::fs::write(files.path("in/delta/_delta_log/0.json"), "{}").unwrap();
    std::fs::write(files.path("in/delta/a.parquet"), "x").unwrap();
    let error = files
        .refused("create external table d stored as parquet location '$/in/delta/'")
        .await
        .to_string();
    assert!(error.contains("Delta"), "{error}");
}
