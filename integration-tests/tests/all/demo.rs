//! `shardflight demo`: what a new user runs first, with real clients.

use std::process::Command;
use std::time::{Duration, Instant};

use integration_tests::environment::{profile_directory, python, scratch_directory};
use integration_tests::http;
use integration_tests::process::{Process, without_aws_settings};
use integration_tests::server::{self, Demo};

/// A signal must end the program within this time.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

fn stop(mut demo: Demo, signal: &str) {
    demo.process.signal(signal).unwrap();
    let status = demo.process.wait(STOP_TIMEOUT).unwrap();
    assert_eq!(status.code(), Some(0), "after SIG{signal}: {status}\n{}", demo.process.output());
}

#[test]
fn it_serves_real_clients_until_it_is_told_to_stop() {
    let demo = Demo::start(&[]).unwrap();
    let printed = demo.process.stdout().join("\n");
    for number in ["20395584", "18750653", "20000", "321739411"] {
        assert!(printed.contains(number), "{number} is not in\n{printed}");
    }
    assert!(http::get(&demo.http, "/healthz").unwrap().starts_with("HTTP/1.1 200"));
    assert!(http::get(&demo.http, "/readyz").unwrap().starts_with("HTTP/1.1 200"));
    server::run_script("adbc_client.py", &[&demo.flight]).unwrap();
    server::run_script("pyarrow_client.py", &[&demo.flight]).unwrap();
    server::run_script("put_and_query.py", &[&demo.flight, &demo.kinesis]).unwrap();
    assert!(http::get(&demo.http, "/metrics").unwrap().contains("shardflight_"));
    stop(demo, "TERM");
}

/// A line for a client, run by a shell as a user would who has copied it.
fn copied(demo: &Demo, client: &str) -> String {
    let printed = demo.process.stdout();
    let line = printed
        .iter()
        .find_map(|line| line.strip_prefix(client)?.strip_prefix(": "))
        .unwrap();
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../flight-server/demo/nasa_aug01_first20000.log");
    let programs = [python().unwrap().program("."), profile_directory().unwrap()];
    let inherited = std::env::var_os("PATH").unwrap();
    let path = programs.into_iter().chain(std::env::split_paths(&inherited));
    let mut shell = Command::new("sh");
    without_aws_settings(&mut shell);
    // as on a machine where AWS was never set up
    shell.env_remove("AWS_REGION").env_remove("AWS_DEFAULT_REGION");
    shell
        .args(["-c", &line.replace("FILE", log)])
        .env("PATH", std::env::join_paths(path).unwrap());
    let mut process = Process::start(client, &shell).unwrap();
    let status = process.wait(Duration::from_secs(120)).unwrap();
    assert!(status.success(), "{line}\n{status}\n{}", process.output());
    process.output()
}

#[test]
fn its_lines_for_clients_work_as_they_are() {
    let demo = Demo::start(&[]).unwrap();
    for client in ["adbc", "pyarrow"] {
        let answer = copied(&demo, client);
        assert!(answer.contains("20395584") && answer.contains("18750653"), "{client}: {answer}");
    }
    assert!(copied(&demo, "boto3").contains("nasahttp"));
    let report = copied(&demo, "datagen");
    assert!(report.contains("Acknowledged 20000 records"), "{report}");
    stop(demo, "TERM");
}

#[test]
fn its_data_may_lie_anywhere() {
    let directory = scratch_directory("demo-anywhere").unwrap();
    std::fs::create_dir_all(directory.join("a")).unwrap();
    // the second cannot be in a location, so there is no line for a lake
    for (name, has_lake) in [("a/../b c", true), ("50%", false)] {
        let data = directory.join(name).display().to_string();
        let printed = server::run(&["demo", "--once", "--data-dir", &data], Duration::from_secs(120)).unwrap();
        assert!(printed.iter().any(|line| line.contains("20395584")), "{printed:?}");
        assert_eq!(printed.iter().any(|line| line.starts_with("offload: ")), has_lake, "{printed:?}");
    }
}

#[test]
fn its_line_for_a_lake_works_as_it_is() {
    let demo = Demo::start(&[]).unwrap();
    copied(&demo, "offload");
    let deadline = Instant::now() + Duration::from_secs(120);
    let query = "select \"rows\" from kinesis.system.offloads where name = 'nasa_lake' and last_iteration is not null";
    while server::run(
        &["sql", "--url", &demo.flight, "--format", "csv", "-e", query],
        Duration::from_secs(60),
    )
    .unwrap()
        != ["rows", "20000"]
    {
        assert!(Instant::now() < deadline, "{}", demo.process.output());
        std::thread::sleep(Duration::from_millis(200));
    }
    let printed = demo.process.stdout().join("\n");
    let location = printed
        .split_once("LOCATION '")
        .and_then(|(_, rest)| rest.split_once('\''))
        .unwrap()
        .0;
    server::run_script("lake_rows.py", &[location, "-", "nasa"]).unwrap();
    stop(demo, "TERM");
}

/// What the log's lines become, and the tables that read it, against the log's own totals.
#[test]
fn records_of_every_format_give_the_logs_totals() {
    let demo = Demo::start(&[]).unwrap();
    let log = concat!(env!("CARGO_MANIFEST_DIR"), "/../flight-server/demo/nasa_aug01_first20000.log");
    let columns = "host varchar, at timestamp(s) path 'time', request varchar, code int path 'status', bytes bigint";
    let by_position = "host varchar, at timestamp(s) format '%d/%b/%Y:%H:%M:%S %z', request varchar, code int, bytes bigint";
    for (format, columns, read) in [("csv", by_position, "csv"), ("raw", columns, "clf")] {
        let mut load = server::command(&[
            "datagen", "-f", log, "--create", "-n", format, "-s", "2", "--format", format, "--verify",
        ])
        .unwrap();
        load.args(["--endpoint", &demo.kinesis]);
        let mut load = Process::start("datagen", &load).unwrap();
        let status = load.wait(Duration::from_secs(240)).unwrap();
        assert!(status.success(), "{}", load.output());
        let query = |sql: &str| {
            server::run(
                &["sql", "--url", &demo.flight, "--format", "csv", "-e", sql],
                Duration::from_secs(120),
            )
            .unwrap()
        };
        let location = format!("stored as kinesis location 'kinesis://{format}'");
        query(&format!(
            "create external table {format}_log ({columns}) {location} options (format '{read}')"
        ));
        let total = query(&format!(
            "select count(*), sum(bytes), count(distinct host), min(at) from {format}_log where _message_valid"
        ));
        assert_eq!(total[1], "20000,321739411,1656,1995-08-01T04:00:01", "{format}");
    }
    stop(demo, "TERM");
}

#[test]
fn its_data_and_its_tickets_outlive_it() {
    let directory = scratch_directory("demo").unwrap();
    let tickets = directory.join("tickets");
    let data = directory.join("data");
    let arguments = ["--data-dir", data.to_str().unwrap(), "--shards", "3"];
    let demo = Demo::start(&arguments).unwrap();
    server::run_script("tickets.py", &["save", &demo.flight, tickets.to_str().unwrap()]).unwrap();
    stop(demo, "INT");
    let demo = Demo::start(&arguments).unwrap();
    server::run_script("tickets.py", &["read", &demo.flight, tickets.to_str().unwrap()]).unwrap();
    let printed = demo.process.stdout().join("\n");
    assert!(
        printed.contains("20000") && printed.contains("321739411"),
        "pushed again?\n{printed}"
    );
    stop(demo, "TERM");
}

#[test]
fn once_prints_and_ends() {
    let printed = server::run(&["demo", "--once"], Duration::from_secs(240)).unwrap().join("\n");
    for text in [
        "www-relay.pa-x.dec.com",
        "20395584",
        "130.110.74.81",
        "18750653",
        "20000",
        "321739411",
    ] {
        assert!(printed.contains(text), "{text} is not in\n{printed}");
    }
}
