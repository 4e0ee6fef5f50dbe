//! Delta tables whose log is written here by hand, as Delta's protocol has it.

use serde_json::json;

use super::*;

const COLUMNS: &str = r#"{"type":"struct","fields":[{"name":"n","type":"long","nullable":true,"metadata":{}},{"name":"word","type":"string","nullable":true,"metadata":{}}]}"#;

/// A table in `out/d` with this file.
async fn table(files: &Filed) {
    copied(files, "n < 10", "a").await;
    std::fs::create_dir(files.path("out/d/_delta_log")).unwrap();
    let lines = [
        json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}),
        json!({"metaData": {
            "id": "0190d5c4-0000-7000-8000-000000000000",
            "format": {"provider": "parquet", "options": {}},
            "schemaString": COLUMNS,
            "partitionColumns": [],
            "configuration": {},
            "createdTime": 0,
        }}),
        add(files, "a.parquet"),
    ];
    commit(files, 0, &lines);
}

async fn copied(files: &Filed, rows: &str, name: &str) {
    let sql = format!("copy (select n, word from t where {rows}) to '$/out/d/{name}.parquet'");
    files.done(&sql).await.unwrap();
}

fn add(files: &Filed, path: &str) -> serde_json::Value {
    let size = std::fs::metadata(files.path("out/d").join(path)).unwrap().len();
    json!({"add": {"path": path, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": true}})
}

fn commit(files: &Filed, version: u64, lines: &[serde_json::Value]) {
    let text: Vec<String> = lines.iter().map(ToString::to_string).collect();
    std::fs::write(files.path(&format!("out/d/_delta_log/{version:020}.json")), text.join("\n")).unwrap();
}

const CREATE: &str = "create external table d stored as delta location '$/out/d/'";

#[tokio::test]
async fn a_version_is_read_and_a_ticket_stays_with_it() {
    let files = open();
    table(&files).await;
    // what no commit names is not of the table
    copied(&files, "n >= 30", "stray").await;
    files.done(CREATE).await.unwrap();
    assert_eq!(
        texts(&files.done("describe d").await.unwrap().batches),
        ["n|bigint|YES|NULL", "word|varchar|YES|NULL"]
    );
    // 0 + … + 9
    assert_eq!(files.rows("select count(*), sum(n) from d").await, ["10|45"]);
    let planned = files.world.plan("select n from d where n >= 5", true).await.unwrap();
    assert_eq!(planned.parts.len(), 1);
    assert_eq!(planned.parts[0].files[0].version, Some(0));
    copied(&files, "n >= 10 and n < 30", "b").await;
    commit(&files, 1, &[add(&files, "b.parquet")]);
    let of_ticket = files.world.run(planned.parts[0].clone()).await.unwrap();
    assert_eq!(of_ticket.iter().map(RecordBatch::num_rows).sum::<usize>(), 5);
    // 0 + … + 29
    assert_eq!(files.rows("select count(*), sum(n) from d").await, ["30|435"]);
    assert_eq!(
        files.rows("select count(*) from t join d on t.n = d.n where d.word = 'w1'").await,
        ["6"]
    );
    let shown = texts(&files.done("show create table d").await.unwrap().batches).remove(0);
    files.done("drop table d").await.unwrap();
    files.done(&shown).await.unwrap();
    assert_eq!(files.rows("select count(*) from d").await, ["30"]);
}

#[tokio::test]
async fn columns_are_cast_and_must_be_there() {
    let files = open();
    table(&files).await;
    let with = |columns: &str| CREATE.replace("table d", &format!("table d ({columns})"));
    files.done(&with("word varchar, n varchar")).await.unwrap();
    assert_eq!(files.rows("select n, word from d where n = '7'").await, ["7|w2"]);
    files.done("drop table d").await.unwrap();
    files.done(&with("missing varchar")).await.unwrap();
    let error = files.world.rows("select missing from d").await.unwrap_err();
    assert_eq!(error.category(), ErrorCategory::FailedPrecondition, "{error}");
    assert!(error.to_string().contains("no column `missing`; there is n, word"), "{error}");
    for (sql, part) in [
        (
            format!("{CREATE} partitioned by (word)").replace("table d", "table p"),
            "log of a Delta table",
        ),
        (
            "create external table e stored as delta location '$/in/'".to_owned(),
            "no Delta table is at",
        ),
        ("copy t to '$/out/e/' stored as delta".to_owned(), "COPY writes"),
    ] {
        let error = files.refused(&sql).await.to_string();
        assert!(error.contains(part), "{sql}: {error}");
    }
}

#[tokio::test]
async fn a_log_leads_nowhere_else() {
    let files = open();
    table(&files).await;
    files.done(CREATE).await.unwrap();
    std::fs::copy(files.path("out/d/a.parquet"), files.path("secret/s.parquet")).unwrap();
    let size = std::fs::metadata(files.path("secret/s.parquet")).unwrap().len();
    let secret = files.path("secret/s.parquet").display().to_string();
    std::os::unix::fs::symlink(&secret, files.path("out/d/link.parquet")).unwrap();
    for (version, path) in [
        (1, "link.parquet".to_owned()),
        (2, format!("file://{secret}")),
        (3, "../../secret/s.parquet".to_owned()),
        (4, "..%2F..%2Fsecret%2Fs.parquet".to_owned()),
    ] {
        let add = json!({"add": {"path": path, "partitionValues": {}, "size": size, "modificationTime": 0, "dataChange": true}});
        commit(&files, version, &[add]);
        let read = files.world.rows("select count(*), sum(n) from d").await;
        assert!(read.is_err(), "{path}: {read:?}");
        let remove = json!({"remove": {"path": path, "dataChange": true, "deletionTimestamp": 0}});
        commit(&files, version, &[remove]);
        assert_eq!(files.rows("select sum(n) from d").await, ["45"], "{path}");
    }
}
