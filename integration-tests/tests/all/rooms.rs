//! The rules between rooms that `ARCHITECTURE.md` gives, from what cargo resolved and from the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

const QUERY_ENGINE: &[&str] = &["datafusion", "sqlparser"];
const GRPC: &[&str] = &["tonic", "arrow-flight"];
const AWS: &[&str] = &["aws-config", "aws-sdk", "aws-smithy", "aws-runtime", "aws-sigv4"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The resolved workspace, for this platform.
struct Resolved {
    /// Package id to (name, version).
    packages: BTreeMap<String, (String, String)>,
    /// Package id to the ids that its library and programs need, tests and build scripts apart.
    needs: BTreeMap<String, Vec<String>>,
}

static RESOLVED: LazyLock<Resolved> = LazyLock::new(|| {
    let version = Command::new("rustc").arg("-vV").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            host,
            "--manifest-path",
        ])
        .arg(root().join("Cargo.toml"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let nodes = metadata["resolve"]["nodes"].as_array().unwrap();
    let present: BTreeSet<String> = nodes.iter().map(|node| text(&node["id"])).collect();
    let packages = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|package| present.contains(package["id"].as_str().unwrap()));
    let packages = packages
        .map(|package| (text(&package["id"]), (text(&package["name"]), text(&package["version"]))))
        .collect();
    let needs = nodes.iter().map(|node| {
        let normal = node["deps"].as_array().unwrap().iter().filter(|dependency| {
            let kinds = dependency["dep_kinds"].as_array().unwrap();
            kinds.iter().any(|kind| kind["kind"].is_null())
        });
        (text(&node["id"]), normal.map(|dependency| text(&dependency["pkg"])).collect())
    });
    Resolved {
        packages,
        needs: needs.collect(),
    }
});

impl Resolved {
    /// Names of everything that a crate of the workspace needs, however far down.
    fn closure(&self, room: &str) -> BTreeSet<&str> {
        let start = self
            .packages
            .iter()
            .find(|(id, (name, _))| name == room && id.contains("path+file"))
            .unwrap()
            .0;
        let mut seen = BTreeSet::new();
        let mut open = vec![start];
        while let Some(id) = open.pop() {
            for needed in &self.needs[id] {
                if seen.insert(needed) {
                    open.push(needed);
                }
            }
        }
        seen.into_iter().map(|id| self.packages[id].0.as_str()).collect()
    }

    fn versions(&self, package: &str) -> Vec<&str> {
        self.packages
            .values()
            .filter(|(name, _)| name == package)
            .map(|(_, version)| version.as_str())
            .collect()
    }
}

fn files_below(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path
                .file_name()
                .is_some_and(|name| name == "target" || name == ".git" || name == "node_modules" || name == "test-environments")
            {
                files_below(&path, extension, found);
            }
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
}

fn sources(directory: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    files_below(&root().join(directory), "rs", &mut found);
    assert!(!found.is_empty(), "no sources in {directory}");
    found
}

/// Lines of a source that are no comments, with their numbers.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// Uses of a path that starts with one of the names, as `file:line: text`.
fn uses(directory: &str, names: &[&str]) -> Vec<String> {
    let pattern = Regex::new(&format!(
        r"(^|[^\w:.])(::)?({})(_\w+)?::|\b(use|extern crate)\s+(::)?({})(_\w+)?\b",
        names.join("|"),
        names.join("|")
    ))
    .unwrap();
    let mut found = Vec::new();
    for file in sources(directory) {
        let source = std::fs::read_to_string(&file).unwrap();
        for (number, line) in code(&source) {
            if pattern.is_match(line) {
                found.push(format!(
                    "{}:{number}: {}",
                    file.strip_prefix(root()).unwrap().display(),
                    line.trim()
                ));
            }
        }
    }
    found
}

#[track_caller]
fn assert_free_of(room: &str, forbidden: &[&[&str]]) {
    let closure = RESOLVED.closure(room);
    let found: Vec<_> = closure
        .iter()
        .filter(|name| {
            forbidden
                .iter()
                .flat_map(|names| names.iter())
                .any(|prefix| name.starts_with(prefix))
        })
        .collect();
    assert!(found.is_empty(), "{room} must not need {found:?}");
}

#[test]
fn catalog_knows_no_aws_client_no_query_engine_and_no_grpc() {
    assert_free_of("catalog", &[AWS, QUERY_ENGINE, GRPC]);
    assert_eq!(
        uses(
            "catalog/src",
            &[
                "aws",
                "datafusion",
                "tonic",
                "arrow_flight",
                "shard_reader",
                "embedded",
                "flight_server"
            ]
        ),
        Vec::<String>::new()
    );
}

#[test]
fn shard_reader_knows_no_query_engine_and_no_grpc() {
    assert_free_of("shard-reader", &[QUERY_ENGINE, GRPC]);
    assert_eq!(
        uses("shard-reader/src", &["datafusion", "tonic", "arrow_flight", "flight_server"]),
        Vec::<String>::new()
    );
}

#[test]
fn embedded_is_a_service_of_its_own() {
    // no client of AWS; the frames of its event streams are another matter
    let client = &[
        "aws-config",
        "aws-sdk",
        "aws-runtime",
        "aws-sigv4",
        "aws-smithy-http",
        "aws-smithy-runtime",
    ];
    assert_free_of("embedded", &[client, QUERY_ENGINE, GRPC, &["catalog", "shard-reader", "arrow"]]);
}

#[test]
fn lake_knows_no_grpc_and_no_server() {
    assert_free_of("lake", &[GRPC]);
    assert_eq!(uses("lake/src", &["tonic", "arrow_flight", "flight_server"]), Vec::<String>::new());
}

#[test]
fn engine_names_neither_tonic_nor_arrow_flight() {
    assert_eq!(uses("flight-server/src/engine", &["tonic", "arrow_flight"]), Vec::<String>::new());
}

#[test]
fn the_rooms_of_the_program_point_one_way() {
    assert_eq!(
        uses(
            "flight-server/src/engine",
            &["crate::service", "crate::cli", "crate::config", "crate::offload"]
        ),
        Vec::<String>::new()
    );
    assert_eq!(
        uses("flight-server/src/service", &["crate::cli", "crate::config"]),
        Vec::<String>::new()
    );
}

#[test]
fn the_search_for_uses_finds_them() {
    assert!(!uses("integration-tests/src", &["aws"]).is_empty());
    assert!(!uses("integration-tests/src", &["crate::process"]).is_empty());
    assert!(RESOLVED.closure("shard-reader").contains("aws-sdk-kinesis"));
    assert!(RESOLVED.closure("flight-server").contains("datafusion"));
}

#[test]
fn what_must_be_one_version_is() {
    for package in [
        "arrow",
        "arrow-array",
        "arrow-schema",
        "arrow-flight",
        "datafusion",
        "datafusion-common",
        "sqlparser",
        "tonic",
        "axum",
        "tokio",
    ] {
        assert_eq!(
            RESOLVED.versions(package).len(),
            1,
            "versions of {package}: {:?}",
            RESOLVED.versions(package)
        );
    }
    for (package, line) in [("rustls", "0.23."), ("hyper", "1."), ("http", "1."), ("h2", "0.4.")] {
        let versions = RESOLVED.versions(package);
        assert!(
            matches!(versions[..], [version] if version.starts_with(line)),
            "{package} must be {line}x alone: {versions:?}"
        );
    }
}

#[test]
fn tls_is_rustls_with_ring() {
    for package in ["openssl-sys", "openssl", "native-tls"] {
        assert!(RESOLVED.versions(package).is_empty(), "{package} is in the tree");
    }
    assert_eq!(RESOLVED.versions("ring").len(), 1);
    // deltalake brings a second provider into the build; nothing of ours may name it
    for room in ["shard-reader/src", "lake/src", "flight-server/src"] {
        assert_eq!(uses(room, &["aws_lc_rs", "rustls::crypto::aws_lc_rs"]), Vec::<String>::new());
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let mut files = Vec::new();
    for extension in ["rs", "py", "js"] {
        files_below(root(), extension, &mut files);
    }
    let long: Vec<_> = files
        .iter()
        .map(|file| {
            (
                file.strip_prefix(root()).unwrap().display().to_string(),
                std::fs::read_to_string(file).unwrap().lines().count(),
            )
        })
        .filter(|(_, lines)| *lines > 500)
        .collect();
    assert!(long.is_empty(), "{long:?}");
}

#[test]
fn no_module_is_named_for_leftovers() {
    let mut files = Vec::new();
    files_below(root(), "rs", &mut files);
    let leftovers: Vec<_> = files
        .iter()
        .filter(|file| {
            file.file_stem()
                .is_some_and(|stem| ["utils", "util", "common", "helpers", "misc"].iter().any(|name| stem == *name))
        })
        .collect();
    assert!(leftovers.is_empty(), "{leftovers:?}");
}
