//! The pages of `docs/clients`: what they show is what is run here, as it is.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::environment::{java, profile_directory, python};

use super::{demo, finish, place};

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/clients");
/// Two of the log's totals.
const TOP: [&str; 4] = ["www-relay.pa-x.dec.com", "20395584", "130.110.74.81", "18750653"];

pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(PAGES).join("examples").join(name)
}

fn files(directory: &Path, extension: Option<&str>) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    entries
        .filter(|path| path.is_file() && extension.is_none_or(|wanted| path.extension().is_some_and(|extension| extension == wanted)))
        .collect()
}

/// Code blocks of a page in languages that are run.
fn blocks(page: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in page.lines() {
        match (open.take(), line.strip_prefix("```")) {
            (Some(text), Some(_)) => blocks.push(text),
            (Some(text), None) => open = Some(text + line + "\n"),
            (None, Some("python" | "java" | "rust" | "sql")) => open = Some(String::new()),
            (None, _) => {}
        }
    }
    blocks
}

#[test]
fn pages_show_the_examples_as_they_are() {
    let examples: BTreeSet<String> = files(&example(""), None)
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let shown: Vec<String> = files(Path::new(PAGES), Some("md"))
        .iter()
        .flat_map(|path| blocks(&fs::read_to_string(path).unwrap()))
        .collect();
    for block in &shown {
        assert!(examples.contains(block), "a page shows what is no example:\n{block}");
    }
    for text in &examples {
        assert!(shown.contains(text), "no page shows\n{text}");
    }
}

/// Runs an example of Python; its output must have all the words.
fn python_example(name: &str, address: &str, words: &[&str]) {
    let mut command = Command::new(python().unwrap().program("python"));
    command.arg("-u").arg(example(name)).arg(address);
    said(name, &mut command, words);
}

fn said(name: &str, command: &mut Command, words: &[&str]) {
    let printed = finish(name, command).join("\n");
    for word in words {
        assert!(printed.contains(word), "{name}: {word} is not in\n{printed}");
    }
}

#[test]
fn adbc() {
    let mut words = TOP.to_vec();
    words.extend(["20000 rows", "20000 rows in 4 partitions of ['code', 'bytes']"]);
    python_example("adbc_quickstart.py", &demo().flight, &words);
}

#[test]
fn pandas() {
    // the sums were computed from the log by hand
    python_example(
        "pandas_frames.py",
        &demo().flight,
        &["20000 rows", "321721159", "18252", "1995-08-01 04:00:00", "27574759"],
    );
}

#[test]
fn polars() {
    let mut words = TOP.to_vec();
    words.push("20000 rows by address");
    python_example("polars_frames.py", &demo().flight, &words);
}

#[test]
fn pyarrow() {
    python_example("pyarrow_flight.py", &demo().flight, &["187 rows from 4 endpoints"]);
}

#[test]
fn sqlalchemy() {
    let words = ["'nasahttp'", "['host', 'at', 'request', 'code', 'bytes']", "200 18083", "404 187"];
    python_example("sqlalchemy_engine.py", place(&demo().flight), &words);
}

#[test]
fn jdbc() {
    let mut command = java().unwrap().command(&example("TopHosts.java"));
    command.arg(place(&demo().flight));
    said(
        "TopHosts.java",
        &mut command,
        &["www-relay.pa-x.dec.com\t20395584", "130.110.74.81\t18750653"],
    );
}

#[test]
fn rust() {
    let mut command = Command::new(profile_directory().unwrap().join("examples/rust_client"));
    command.arg(demo().flight.replace("grpc://", "http://"));
    let mut words = TOP.to_vec();
    words.push("187 rows from 4 endpoints");
    said("rust_client", &mut command, &words);
}
