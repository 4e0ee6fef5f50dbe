//! A virtual environment with the clients and services that are written in Python.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::anyhow;

use super::{prepare, run};

const REQUIREMENTS: &str = include_str!("../../python/requirements.txt");
const LAKE_REQUIREMENTS: &str = include_str!("../../python/lake_requirements.txt");

/// The built environment.
#[derive(Debug)]
pub struct Python {
    directory: PathBuf,
}

/// The Python environment, built by the first caller.
pub fn python() -> anyhow::Result<&'static Python> {
    static PYTHON: OnceLock<Result<Python, String>> = OnceLock::new();
    PYTHON
        .get_or_init(|| build("python", REQUIREMENTS).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!(error.clone()))
}

/// What reads and writes tables of a lake: large packages that the other tests can do without. Built by the first caller.
pub fn lake_python() -> anyhow::Result<&'static Python> {
    static PYTHON: OnceLock<Result<Python, String>> = OnceLock::new();
    PYTHON
        .get_or_init(|| build("lake", LAKE_REQUIREMENTS).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!(error.clone()))
}

fn build(kind: &str, requirements: &str) -> anyhow::Result<Python> {
    // A virtual environment is bound to its interpreter, so the interpreter is part of the key.
    let interpreter = run(
        Command::new("python3").args(["-c", "import sys; print(sys.executable, sys.version)"]),
        "looking for python3",
    )?;
    let directory = prepare(kind, &[requirements.as_bytes(), interpreter.as_bytes()], |directory| {
        run(Command::new("python3").args(["-m", "venv"]).arg(directory), "python3 -m venv")?;
        let list = directory.join("requirements.txt");
        std::fs::write(&list, requirements)?;
        let pip = |arguments: &[&str]| {
            let mut command = Command::new(directory.join("bin/python"));
            command
                .args(["-m", "pip", "--no-input", "--disable-pip-version-check"])
                .args(arguments);
            command
        };
        // The list is complete, so nothing may be added to it by resolution.
        run(pip(&["install", "--quiet", "--no-deps", "--requirement"]).arg(&list), "pip install")?;
        run(&mut pip(&["check"]), "pip check")?;
        Ok(())
    })?;
    Ok(Python { directory })
}

impl Python {
    /// A program of the environment: `python`, `roto-server`, `ministack`, `microburst`.
    pub fn program(&self, name: &str) -> PathBuf {
        self.directory.join("bin").join(name)
    }

    /// A script of `integration-tests/python`.
    pub fn script(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
    }

    /// A command that runs a script of `integration-tests/python`, unbuffered, with a clean AWS environment.
    pub fn command(&self, script: &str) -> Command {
        let mut command = Command::new(self.program("python"));
        command.arg("-u").arg(Self::script(script));
        crate::process::without_aws_settings(&mut command);
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command
    }
}
