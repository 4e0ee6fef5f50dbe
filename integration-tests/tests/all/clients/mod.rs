//! Clients that others wrote, against the program itself.

mod capped;
mod dictionaries;
mod documented;
mod endpoints;
mod failures;
mod frames;
mod grafana;
mod jdbc;
mod load;
mod secured;
mod types;
mod written;

use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use integration_tests::environment::{Java, java};
use integration_tests::process::{Process, without_aws_settings};
use integration_tests::server::Demo;

/// How long a client may take, on a busy machine.
const CLIENT_TIMEOUT: Duration = Duration::from_secs(240);

/// The demonstration, which all tests here share: they only read.
pub(crate) fn demo() -> &'static Demo {
    static DEMO: OnceLock<Demo> = OnceLock::new();
    DEMO.get_or_init(|| Demo::start(&[]).unwrap())
}

/// An address without its scheme.
pub(crate) fn place(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, place)| place)
}

/// Runs a client to its end, which must be good.
pub(crate) fn finish(name: &str, command: &mut Command) -> Vec<String> {
    let (done, process) = end(name, command);
    assert!(done, "{name}\n{}", process.output());
    process.stdout()
}

/// Runs a client to its end, which must be bad; all that it said.
pub(crate) fn fail(name: &str, command: &mut Command) -> String {
    let (done, process) = end(name, command);
    assert!(!done, "{name} did not fail\n{}", process.output());
    process.output()
}

fn end(name: &str, command: &mut Command) -> (bool, Process) {
    without_aws_settings(command);
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let mut process = Process::start(name, command).unwrap();
    let status = process.wait(CLIENT_TIMEOUT).unwrap();
    (status.success(), process)
}

/// `EveryType.java`, which prints the rows of a statement.
pub(crate) fn jdbc_rows(flight: &str, sql: &str, properties: &[&str]) -> Command {
    let mut command = java().unwrap().command(&Java::program("EveryType.java"));
    command.args([place(flight), sql]).args(properties);
    command
}
