//! `shardflight demo`: what a new user runs first, with real clients.

use std::time::Duration;

use integration_tests::environment::scratch_directory;
use integration_tests::http;
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
