//! The drivers of `integration-tests/java/pom.xml`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, anyhow};

use super::{prepare, run};

const PINS: &str = include_str!("../../java/pom.xml");

/// The built environment.
#[derive(Debug)]
pub struct Java {
    driver: PathBuf,
}

/// The Java environment, built by the first caller.
pub fn java() -> anyhow::Result<&'static Java> {
    static JAVA: OnceLock<Result<Java, String>> = OnceLock::new();
    JAVA.get_or_init(|| build().map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|error| anyhow!(error.clone()))
}

fn build() -> anyhow::Result<Java> {
    run(Command::new("java").arg("-version"), "looking for java (17 or newer)")?;
    let directory = prepare("java", &[PINS.as_bytes()], |directory| {
        std::fs::write(directory.join("pom.xml"), PINS)?;
        run(
            Command::new("mvn")
                .args(["--batch-mode", "--quiet", "--strict-checksums", "dependency:copy-dependencies"])
                .arg("-DexcludeTransitive=true")
                .arg("-DoutputDirectory=drivers")
                .current_dir(directory),
            "mvn dependency:copy-dependencies",
        )?;
        Ok(())
    })?;
    let drivers = directory.join("drivers");
    let driver = std::fs::read_dir(&drivers)
        .with_context(|| format!("listing {}", drivers.display()))?
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .find(|path| path.extension().is_some_and(|extension| extension == "jar"))
        .with_context(|| format!("no driver in {}", drivers.display()))?;
    Ok(Java { driver })
}

impl Java {
    /// A command that compiles and runs a program of one file, with the JDBC driver on its class path.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("java");
        // Arrow's memory asks for the first; the others keep a short program short.
        command
            .args(["--add-opens=java.base/java.nio=ALL-UNNAMED", "-XX:TieredStopAtLevel=1", "-Xmx512m"])
            .arg("--class-path")
            .arg(&self.driver)
            .arg(program);
        command
    }

    /// A program of `integration-tests/java`.
    pub fn program(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("java").join(name)
    }
}
