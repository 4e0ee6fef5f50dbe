//! Statements about jobs of a running server, and what becomes of records that cannot be decoded.

use std::collections::BTreeSet;

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration_tests::backends::Backend;
use integration_tests::environment::lake_python;
use integration_tests::http;
use serde_json::Value;
use tokio::task::JoinSet;

use super::*;

fn start(directory: &Path, endpoint: &str) -> Server {
    let settings = format!(
        "allow: {{ write: [\"{}\"] }}\nreader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n",
        file_url(&directory.join("lake"))
    );
    Server::start(directory, endpoint, &settings).unwrap()
}

/// Waits until a query whose answer is a number gives this one.
async fn until(server: &Server, sql: &str, wanted: i64) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
        let got = client.query(sql).await.unwrap();
        let number = got.batches.iter().find(|batch| batch.num_rows() > 0);
        let number = number.map(|batch| arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Int64).unwrap());
        let number = number.map(|column| column.as_primitive::<Int64Type>().value(0));
        if number == Some(wanted) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{sql}: {number:?}, and not {wanted}\n{}",
            server.process.output()
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn rows(location: &str) -> Vec<Value> {
    let mut command = lake_python().unwrap().command("delta_rows.py");
    let output = command.args([location, ""]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Shard, sequence number and bytes of each dead letter.
fn letters(folder: &Path) -> BTreeSet<(String, String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for file in std::fs::read_dir(folder).unwrap() {
        for line in std::fs::read_to_string(file.unwrap().path()).unwrap().lines() {
            let letter: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| letter[name].as_str().unwrap_or_else(|| panic!("{name}: {line}")).to_owned();
            assert!(!text("reason").is_empty() && text("arrival").contains('T'), "{line}");
            assert_eq!(
                (&letter["sub_sequence"], &letter["row_index"]),
                (&Value::from(0), &Value::from(0)),
                "{line}"
            );
            let position = text("sequence_number").trim_start_matches('0').to_owned();
            let new = found.insert((text("shard"), position, STANDARD.decode(text("bytes")).unwrap()));
            assert!(new, "twice: {line}");
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_records_are_kept_beside_the_table_and_counted() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let client = kinesis::client(&running.endpoint);
    put(&client, 0..10).await;
    let mut bad = BTreeSet::new();
    for (key, bytes) in [
        ("a", b"no json".as_slice()),
        ("b", b"{\"n\":\"seven\"}"),
        ("c", b"\xff\xfe\x00"),
        ("d", b"{\"n\":1}{\"n\":2}"),
    ] {
        let call = client.put_record().stream_name("numbers").partition_key(key).data(Blob::new(bytes));
        let reply = call.send().await.unwrap();
        bad.insert((reply.shard_id, reply.sequence_number, bytes.to_vec()));
    }
    put(&client, 10..20).await;
    let directory = directory("offload-bad");
    let server = start(&directory, &running.endpoint);
    let create = |job: &str, how: &str| {
        format!(
            "CREATE OFFLOAD {job} STORED AS DELTA LOCATION '{}' OPTIONS (every '1s', start 'trim_horizon', iteration_max '200B', bad_records '{how}') \
             AS SELECT n FROM numbers",
            file_url(&directory.join("lake").join(job))
        )
    };
    for (job, how, nulls) in [("without", "skip", 0), ("with_nulls", "null_row", bad.len())] {
        run(&server, &create(job, how)).await;
        let of_job = format!("from kinesis.system.offloads where name = '{job}'");
        until(&server, &format!("select \"rows\" {of_job}"), 20 + nulls as i64).await;
        until(&server, &format!("select bad_records {of_job}"), bad.len() as i64).await;
        let mut held: Vec<Option<i64>> = rows(&file_url(&directory.join("lake").join(job)))
            .iter()
            .map(|row| row["n"].as_i64())
            .collect();
        held.sort_unstable();
        let expected: Vec<Option<i64>> = std::iter::repeat_n(None, nulls).chain((0..20).map(Some)).collect();
        assert_eq!(held, expected, "{job}");
        assert_eq!(
            letters(&directory.join("lake").join(job).join("_dead_letters").join(job)),
            bad,
            "{job}"
        );
        let metrics = http::get(&server.http, "/metrics").unwrap();
        let line = format!("shardflight_offload_bad_records_total{{offload=\"{job}\"}} {}", bad.len());
        assert!(metrics.lines().any(|found| found == line), "{metrics}");
    }
    run(&server, &create("stops", "fail")).await;
    let stopped = "from kinesis.system.offloads where name = 'stops' and last_error is not null";
    until(&server, &format!("select count(*) {stopped}"), 1).await;
    until(&server, &format!("select bad_records {stopped}"), 0).await;
    until(&server, &format!("select errors > 1 {stopped}"), 1).await;
}

/// How many versions a table has.
fn versions(location: &str) -> i64 {
    let mut command = python().unwrap().command("lake_rows.py");
    let output = command.args([location, "-", "versions"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    told["commits"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_rests_and_goes_on_and_is_made_anew_while_its_stream_is_written() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let directory = directory("offload-statements");
    let server = start(&directory, &running.endpoint);
    let location = file_url(&directory.join("lake/numbers"));
    let create = format!(
        "CREATE OFFLOAD numbers_lake STORED AS DELTA LOCATION '{location}' \
         OPTIONS (every '1s', start 'trim_horizon', iteration_max '8kB') AS SELECT * FROM numbers"
    );
    run(&server, &create).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut producer = JoinSet::new();
    producer.spawn(put_on(running.endpoint.clone(), Arc::clone(&stop)));
    let mut held = lake_with(&location, "-", 1).await.rows;
    for _ in 0..2 {
        run(&server, "ALTER OFFLOAD numbers_lake PAUSE").await;
        let paused = versions(&location);
        // some times as long as it waits between two looks at the stream
        tokio::time::sleep(Duration::from_secs(3)).await;
        let later = versions(&location);
        assert!(later <= paused + 1, "more than what was under way: {paused} {later}");
        run(&server, "ALTER OFFLOAD numbers_lake RESUME").await;
        held = lake_with(&location, "-", held + 1).await.rows;
        run(&server, "DROP OFFLOAD numbers_lake").await;
        run(&server, &create).await;
        held = lake_with(&location, "-", held + 1).await.rows;
    }
    // the table of the definition gains a column
    let mut wider = TABLE.to_owned();
    wider.push_str("  - { name: key, path: key, type: varchar }\n");
    std::fs::write(directory.join("tables/numbers.yaml"), wider).unwrap();
    let known = "select count(*) from information_schema.columns where table_name = 'numbers' and column_name = 'key'";
    until(&server, known, 1).await;
    stop.store(true, Ordering::Relaxed);
    let count = producer.join_next().await.unwrap().unwrap();
    let client = kinesis::client(&running.endpoint);
    for n in count..count + 5 {
        let call = client.put_record().stream_name("numbers").partition_key("key");
        call.data(Blob::new(format!("{{\"n\":{n},\"key\":\"key {n}\"}}")))
            .send()
            .await
            .unwrap();
    }
    let held = lake_with(&location, "-", count + 5).await;
    assert_eq!(held, Held::below(count + 5), "{}", server.process.output());
    for row in rows(&location) {
        let n = row["n"].as_i64().unwrap();
        let key = (n >= count).then(|| format!("key {n}"));
        assert_eq!(row["key"].as_str(), key.as_deref(), "{row}");
    }
    let mut client = Client::connect(server.flight, Mode::Single).await.unwrap();
    let wrong = client
        .query("select name from kinesis.system.offloads where last_error is not null")
        .await;
    assert!(
        wrong.unwrap().batches.iter().all(|batch| batch.num_rows() == 0),
        "{}",
        server.process.output()
    );
}
