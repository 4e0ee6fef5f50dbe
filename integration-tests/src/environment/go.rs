//! The program of `integration-tests/go`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::anyhow;

use super::{prepare, run};

const SOURCES: [&str; 6] = [
    include_str!("../../go/go.mod"),
    include_str!("../../go/go.sum"),
    include_str!("../../go/main.go"),
    include_str!("../../go/frames.go"),
    include_str!("../../go/info.go"),
    include_str!("../../go/macros.go"),
];

/// The stand-in for Grafana's Flight SQL plugin, built by the first caller.
pub fn grafana() -> anyhow::Result<&'static Path> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PROGRAM
        .get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!(error.clone()))
}

fn build() -> anyhow::Result<PathBuf> {
    let toolchain = run(Command::new("go").arg("version"), "looking for go (1.21 or newer)")?;
    let mut pins: Vec<&[u8]> = SOURCES.iter().map(|source| source.as_bytes()).collect();
    pins.push(toolchain.as_bytes());
    let directory = prepare("go", &pins, |directory| {
        run(
            Command::new("go")
                .args(["build", "-mod=readonly", "-trimpath", "-o"])
                .arg(directory.join("grafana"))
                .arg(".")
                .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("go")),
            "go build",
        )?;
        Ok(())
    })?;
    Ok(directory.join("grafana"))
}
