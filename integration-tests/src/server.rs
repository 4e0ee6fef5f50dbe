//! The program itself, as a process.

use std::ffi::OsStr;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::environment::{Python, lake_python, profile_directory, python};
use crate::process::{Process, READY_TIMEOUT, free_port, without_aws_settings};

/// How long the demonstration may take to load its data, unoptimized, on a busy machine.
const DEMO_TIMEOUT: Duration = Duration::from_secs(240);

/// How long a script of checks may take.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(240);

/// The program that cargo built beside this test executable.
pub fn program() -> anyhow::Result<PathBuf> {
    let path = profile_directory()?.join("shardflight");
    if !path.exists() {
        bail!("{} is missing: `cargo test --workspace` builds it", path.display());
    }
    Ok(path)
}

/// A command of the program, with a clean AWS environment and no settings of the caller.
pub fn command(arguments: &[&str]) -> anyhow::Result<Command> {
    let mut command = Command::new(program()?);
    command.args(arguments);
    without_aws_settings(&mut command);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("SHARDFLIGHT_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

/// A running `shardflight demo`.
#[derive(Debug)]
pub struct Demo {
    /// The process.
    pub process: Process,
    /// `grpc://127.0.0.1:port`
    pub flight: String,
    /// `http://127.0.0.1:port` of the stream service.
    pub kinesis: String,
    /// `http://127.0.0.1:port` of health and metrics.
    pub http: String,
    /// Directory of its definitions.
    pub tables: String,
}

impl Demo {
    /// Starts the demonstration on free ports and waits until it serves.
    pub fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let mut command = command(&[
            "demo",
            "--listen",
            "127.0.0.1:0",
            "--http",
            "127.0.0.1:0",
            "--kinesis",
            "127.0.0.1:0",
        ])?;
        command.args(arguments);
        let process = Process::start("shardflight demo", &command)?;
        process.wait_for_line(DEMO_TIMEOUT, "ready", |line| (line.trim() == "ready").then_some(()))?;
        let lines = process.stdout();
        let value = |name: &str| {
            let found = lines.iter().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            found
                .map(str::to_owned)
                .with_context(|| format!("no line `{name}: ...` in\n{}", lines.join("\n")))
        };
        let (flight, kinesis, http) = (value("flight")?, value("kinesis")?, value("http")?);
        Ok(Self {
            tables: value("tables")?,
            process,
            flight,
            kinesis,
            http,
        })
    }
}

/// Where a server runs.
#[derive(Debug, Clone)]
pub struct Host {
    /// Where it listens.
    pub address: Ipv4Addr,
    /// The words before a command that runs it there.
    pub enter: Vec<String>,
}

impl Default for Host {
    fn default() -> Self {
        Self {
            address: Ipv4Addr::LOCALHOST,
            enter: Vec::new(),
        }
    }
}

impl Host {
    /// The same command there.
    fn command(&self, command: &Command) -> Command {
        let mut words = self.enter.iter().map(OsStr::new);
        let mut entering = Command::new(words.next().unwrap_or(command.get_program()));
        entering.args(words);
        if !self.enter.is_empty() {
            entering.arg(command.get_program());
        }
        entering.args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => entering.env(name, value),
                None => entering.env_remove(name),
            };
        }
        entering
    }
}

/// A running `shardflight serve`.
#[derive(Debug)]
pub struct Server {
    /// The process.
    pub process: Process,
    /// Where Flight SQL is served.
    pub flight: SocketAddr,
    /// `http://127.0.0.1:port` of health and metrics.
    pub http: String,
}

impl Server {
    /// Serves the tables of a directory from a Kinesis endpoint; `settings` are further lines of the configuration.
    pub fn start(directory: &Path, endpoint: &str, settings: &str) -> anyhow::Result<Self> {
        let catalog = format!("path: \"{}\"", directory.join("tables").display());
        Self::with_catalog(directory, endpoint, &catalog, settings)
    }

    /// As [`Self::start`], with keys of the configuration's `catalog`. `@FLIGHT_PORT@` in the settings is the port where Flight SQL is served.
    pub fn with_catalog(directory: &Path, endpoint: &str, catalog: &str, settings: &str) -> anyhow::Result<Self> {
        Self::at(&Host::default(), directory, endpoint, catalog, settings)
    }

    /// As [`Self::with_catalog`], on another host.
    pub fn at(host: &Host, directory: &Path, endpoint: &str, catalog: &str, settings: &str) -> anyhow::Result<Self> {
        let configuration = directory.join("shardflight.yaml");
        let data = directory.join("data");
        let http = std::cell::RefCell::new(String::new());
        let address = host.address;
        let (process, flight) = Process::serve_at("shardflight serve", address, |port| {
            let http_port = free_port()?;
            http.replace(format!("http://{address}:{http_port}"));
            let text = format!(
                "listen: {address}:{port}\nhttp: {address}:{http_port}\nkinesis: {{ region: us-east-1, endpoint: \"{endpoint}\" }}\n\
                 catalog: {{ {catalog}, refresh: 1s }}\ndata_dir: \"{data}\"\n{settings}",
                data = data.display(),
                settings = settings.replace("@FLIGHT_PORT@", &port.to_string()),
            );
            std::fs::write(&configuration, text)?;
            let served = command(&["serve", "--config"])?;
            let mut command = host.command(&served);
            command.arg(&configuration).current_dir(directory);
            Ok(command)
        })?;
        Ok(Self {
            process,
            flight,
            http: http.into_inner(),
        })
    }
}

/// Runs the program to its end and gives its stdout; anything but exit code 0 is an error with its output.
pub fn run(arguments: &[&str], timeout: Duration) -> anyhow::Result<Vec<String>> {
    let mut process = Process::start("shardflight", &command(arguments)?)?;
    let status = process.wait(timeout)?;
    if !status.success() {
        bail!("shardflight {}: {status}\n{}", arguments.join(" "), process.output());
    }
    Ok(process.stdout())
}

/// Runs a script of `integration-tests/python` to its end; its checks print what failed.
pub fn run_script(script: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run_in(python()?, script, arguments)
}

/// The same with what reads and writes tables of a lake.
pub fn run_lake_script(script: &str, arguments: &[&str]) -> anyhow::Result<()> {
    run_in(lake_python()?, script, arguments)
}

fn run_in(environment: &Python, script: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let mut command: Command = environment.command(script);
    command.args(arguments);
    let mut process = Process::start(script, &command)?;
    let status = process.wait(SCRIPT_TIMEOUT.max(READY_TIMEOUT))?;
    if !status.success() {
        bail!(
            "{} {}: {status}\n{}",
            Python::script(script).display(),
            arguments.join(" "),
            process.output()
        );
    }
    for line in process.stdout() {
        println_line(&line);
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the harness captures it and shows it with a failure")]
fn println_line(line: &str) {
    println!("{line}");
}
