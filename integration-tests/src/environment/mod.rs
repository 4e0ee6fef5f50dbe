//! Environments of other languages, built below the target directory the first time a test needs them.
//!
//! An environment is keyed by a hash of everything that it is made from, so a change of a pin makes a new one and nothing else does. It is built
//! under a file lock: test executables that run at the same time wait for the one that builds. What was interrupted is built again.

mod deployment;
mod go;
mod java;
mod node;
mod python;
mod scratch;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};

pub use deployment::{chart_renderer, linters};
pub use go::grafana;
pub use java::{Java, java};
pub use node::{Node, node};
pub use python::{Python, lake_python, python};
pub use scratch::scratch_directory;

/// Written last; an environment without it is a half-built one.
const COMPLETE: &str = ".complete";

/// The target directory of the build that this executable belongs to: `<target>/<profile>/deps/<executable>`.
pub fn target_directory() -> anyhow::Result<PathBuf> {
    Ok(profile_directory()?
        .parent()
        .context("the profile's directory has no parent")?
        .to_path_buf())
}

/// `<target>/<profile>`, where the workspace's programs lie.
pub fn profile_directory() -> anyhow::Result<PathBuf> {
    let executable = std::env::current_exe().context("this executable's own path")?;
    let deps = executable.parent().context("this executable has no directory")?;
    if deps.file_name().is_none_or(|name| name != "deps" && name != "examples") {
        bail!(
            "{} is not where cargo puts test executables (<target>/<profile>/deps)",
            executable.display()
        );
    }
    Ok(deps.parent().context("the deps directory has no parent")?.to_path_buf())
}

/// The directory of environment `kind` made from `pins`, built by `build` if it is not there yet.
fn prepare(kind: &str, pins: &[&[u8]], build: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<PathBuf> {
    let base = target_directory()?.join("test-environments");
    fs::create_dir_all(&base).with_context(|| format!("creating {}", base.display()))?;
    let lock_file = base.join(format!("{kind}.lock"));
    let lock = File::create(&lock_file).with_context(|| format!("creating {}", lock_file.display()))?;
    lock.lock().with_context(|| format!("locking {}", lock_file.display()))?;

    let directory = base.join(format!("{kind}-{}", key(pins)));
    if directory.join(COMPLETE).exists() {
        return Ok(directory);
    }
    match fs::remove_dir_all(&directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(error).with_context(|| format!("removing the half-built {}", directory.display()));
        }
        _ => {}
    }
    fs::create_dir_all(&directory)?;
    build(&directory).with_context(|| format!("building the tests' {kind} environment in {}", directory.display()))?;
    File::create(directory.join(COMPLETE))?;
    Ok(directory)
}

fn key(pins: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    for pin in pins {
        hash.update((pin.len() as u64).to_be_bytes());
        hash.update(pin);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Runs a command to its end; its output is in the error if it fails.
fn run(command: &mut Command, purpose: &str) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("{purpose}: starting {:?}", command.get_program()))?;
    if !output.status.success() {
        bail!(
            "{purpose} failed ({}). If a package registry is out of reach, that is why; the tests need it once.\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_depends_on_every_pin_and_on_where_one_ends() {
        assert_eq!(key(&[b"a", b"b"]), key(&[b"a", b"b"]));
        assert_ne!(key(&[b"a", b"b"]), key(&[b"ab"]));
        assert_ne!(key(&[b"a", b"b"]), key(&[b"a", b"c"]));
    }

    #[test]
    fn what_was_interrupted_is_built_again_and_what_is_complete_is_not() {
        let kind = format!("prepare-test-{}", std::process::id());
        let failed = prepare(&kind, &[b"1"], |directory| {
            fs::write(directory.join("half"), "")?;
            bail!("interrupted")
        });
        assert!(format!("{:#}", failed.unwrap_err()).contains("interrupted"));
        let built = prepare(&kind, &[b"1"], |directory| {
            assert!(!directory.join("half").exists(), "the half-built one is removed first");
            Ok(())
        })
        .unwrap();
        assert_eq!(prepare(&kind, &[b"1"], |_| bail!("built twice")).unwrap(), built);
        fs::remove_dir_all(&built).unwrap();
        fs::remove_file(built.with_file_name(format!("{kind}.lock"))).unwrap();
    }

    #[test]
    fn a_failing_command_shows_its_output() {
        let error = run(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), "a step")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("a step failed") && error.contains("out\n") && error.contains("err\n"),
            "{error}"
        );
    }
}
