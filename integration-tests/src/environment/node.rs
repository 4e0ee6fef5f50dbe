//! The packages of `integration-tests/node`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use anyhow::anyhow;

use super::{prepare, run};

const PACKAGE: &str = include_str!("../../node/package.json");
const LOCK: &str = include_str!("../../node/package-lock.json");
const LOOPBACK: &str = include_str!("../../node/loopback.js");

/// The built environment.
#[derive(Debug)]
pub struct Node {
    directory: PathBuf,
}

/// The Node environment, built by the first caller.
pub fn node() -> anyhow::Result<&'static Node> {
    static NODE: OnceLock<Result<Node, String>> = OnceLock::new();
    NODE.get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!(error.clone()))
}

fn build() -> anyhow::Result<Node> {
    run(Command::new("node").arg("--version"), "looking for node")?;
    let directory = prepare("node", &[PACKAGE.as_bytes(), LOCK.as_bytes(), LOOPBACK.as_bytes()], |directory| {
        std::fs::write(directory.join("package.json"), PACKAGE)?;
        std::fs::write(directory.join("package-lock.json"), LOCK)?;
        std::fs::write(directory.join("loopback.js"), LOOPBACK)?;
        run(
            Command::new("npm")
                .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                .current_dir(directory),
            "npm ci",
        )?;
        Ok(())
    })?;
    Ok(Node { directory })
}

impl Node {
    /// The directory of an installed package.
    pub fn package(&self, name: &str) -> PathBuf {
        self.directory.join("node_modules").join(name)
    }

    /// `node`, with every listener bound to loopback whatever the program asks for.
    pub fn command(&self) -> Command {
        let mut command = Command::new("node");
        command.arg("-r").arg(self.directory.join("loopback.js"));
        command
    }
}
