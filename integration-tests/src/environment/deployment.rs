//! What checks the files of `deploy/`: linters and schemas from the Python package index, Helm's engine from the Go module proxy.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::anyhow;

use super::{prepare, run};

const REQUIREMENTS: &str = include_str!("../../python/deploy_requirements.txt");
const CHART: [&str; 3] = [
    include_str!("../../chart/go.mod"),
    include_str!("../../chart/go.sum"),
    include_str!("../../chart/main.go"),
];

/// The linters' `bin` directory, built by the first caller.
pub fn linters() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build_linters().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!(error.clone()))
}

/// The program that renders Helm charts, built by the first caller.
pub fn chart_renderer() -> anyhow::Result<&'static Path> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    BUILT
        .get_or_init(|| build_renderer().map_err(|error| format!("{error:#}")))
        .as_deref()
        .map_err(|error| anyhow!(error.clone()))
}

fn build_linters() -> anyhow::Result<PathBuf> {
    let interpreter = run(
        Command::new("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]),
        "looking for python3",
    )?;
    let directory = prepare("linters", &[REQUIREMENTS.as_bytes(), interpreter.as_bytes()], |directory| {
        run(Command::new("python3").args(["-m", "venv"]).arg(directory), "python3 -m venv")?;
        let requirements = directory.join("requirements.txt");
        std::fs::write(&requirements, REQUIREMENTS)?;
        let mut install = Command::new(directory.join("bin/python"));
        install.args([
            "-m",
            "pip",
            "--no-input",
            "--disable-pip-version-check",
            "install",
            "--quiet",
            "--no-deps",
        ]);
        run(install.arg("--requirement").arg(&requirements), "pip install")?;
        Ok(())
    })?;
    Ok(directory.join("bin"))
}

fn build_renderer() -> anyhow::Result<PathBuf> {
    let toolchain = run(Command::new("go").arg("version"), "looking for go (1.24 or newer)")?;
    let mut pins: Vec<&[u8]> = CHART.iter().map(|source| source.as_bytes()).collect();
    pins.push(toolchain.as_bytes());
    let directory = prepare("chart", &pins, |directory| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("chart");
        let mut build = Command::new("go");
        build
            .args(["build", "-mod=readonly", "-trimpath", "-o"])
            .arg(directory.join("chart"));
        run(build.arg(".").current_dir(source), "go build")?;
        Ok(())
    })?;
    Ok(directory.join("chart"))
}
