//! Child processes that never outlive the tests.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

/// How long a child may take to become ready. Generous: the machine may be busy with other builds.
pub const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// Lines of output kept for failure messages.
const KEPT_LINES: usize = 4000;

/// Runs the program in a process group of its own, and ends that group when this process closes its end of the pipe, whether by dropping the handle
/// or by dying: even `kill -9` of the tests leaves nothing behind.
const SUPERVISE: &str = r#"exec 3<&0; { read -r _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" 3<&- </dev/null"#;

/// A running child; dropping it ends it and everything it started.
pub struct Process {
    name: String,
    child: Child,
    lifeline: Option<ChildStdin>,
    output: Arc<Output>,
}

#[derive(Default)]
struct Output {
    state: Mutex<OutputState>,
    changed: Condvar,
}

#[derive(Default)]
struct OutputState {
    stdout: VecDeque<String>,
    stderr: VecDeque<String>,
    open_streams: usize,
}

#[derive(Clone, Copy, Debug)]
enum Stream {
    Stdout,
    Stderr,
}

impl Process {
    /// Starts a program; its output is captured.
    pub fn start(name: &str, command: &Command) -> anyhow::Result<Self> {
        let mut supervised = Command::new("sh");
        supervised
            .args(["-c", SUPERVISE, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => supervised.env(key, value),
                None => supervised.env_remove(key),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            supervised.current_dir(directory);
        }
        supervised
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = supervised.spawn().with_context(|| format!("starting {name}"))?;
        let output = Arc::new(Output::default());
        output.lock().open_streams = 2;
        capture(&output, Stream::Stdout, child.stdout.take().context("no stdout")?);
        capture(&output, Stream::Stderr, child.stderr.take().context("no stderr")?);
        let lifeline = child.stdin.take();
        Ok(Self {
            name: name.to_owned(),
            child,
            lifeline,
            output,
        })
    }

    /// Starts a server on a free loopback port and waits until it accepts connections. `command` is given the port; where another process took it in
    /// between, the next free one is tried.
    pub fn serve(name: &str, command: impl Fn(u16) -> anyhow::Result<Command>) -> anyhow::Result<(Self, SocketAddr)> {
        Self::serve_at(name, Ipv4Addr::LOCALHOST, command)
    }

    /// As [`Self::serve`], at an address of another host.
    pub fn serve_at(name: &str, host: Ipv4Addr, command: impl Fn(u16) -> anyhow::Result<Command>) -> anyhow::Result<(Self, SocketAddr)> {
        let mut failures = String::new();
        for _ in 0..3 {
            let port = free_port()?;
            let mut process = Self::start(name, &command(port)?)?;
            let address = SocketAddr::from((host, port));
            match process.wait_until_listening(address) {
                Ok(()) => return Ok((process, address)),
                Err(error) => failures.push_str(&format!("{error:#}\n")),
            }
        }
        bail!("{name} did not start: {failures}")
    }

    /// Waits until something accepts connections at `address`.
    pub fn wait_until_listening(&mut self, address: SocketAddr) -> anyhow::Result<()> {
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            // Nothing signals that a foreign program listens; connecting is the only question that can be asked.
            if TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok() {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended with {status} before it listened on {address}\n{}",
                    self.name,
                    self.output()
                );
            }
            if Instant::now() > deadline {
                bail!(
                    "{} does not listen on {address} after {READY_TIMEOUT:?}\n{}",
                    self.name,
                    self.output()
                );
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The first line of stdout that `pick` accepts, as soon as it is there.
    pub fn wait_for_line<T>(&self, timeout: Duration, what: &str, pick: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        self.wait_for(Stream::Stdout, timeout, what, pick)
    }

    /// The first line of stderr, where programs log, that `pick` accepts, as soon as it is there.
    pub fn wait_for_log<T>(&self, timeout: Duration, what: &str, pick: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        self.wait_for(Stream::Stderr, timeout, what, pick)
    }

    fn wait_for<T>(&self, stream: Stream, timeout: Duration, what: &str, pick: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let deadline = Instant::now() + timeout;
        let mut state = self.output.lock();
        loop {
            let lines = match stream {
                Stream::Stdout => &state.stdout,
                Stream::Stderr => &state.stderr,
            };
            if let Some(found) = lines.iter().find_map(|line| pick(line)) {
                return Ok(found);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open_streams == 0 || left.is_zero() {
                drop(state);
                bail!("{}: no line of {stream:?} that says {what}\n{}", self.name, self.output());
            }
            state = self
                .output
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Waits for the child to end by itself.
    pub fn wait(&mut self, timeout: Duration) -> anyhow::Result<ExitStatus> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let mut state = self.output.lock();
                while state.open_streams > 0 && Instant::now() < deadline {
                    // The supervisor closed its copies, so both streams end with the program unless it left children behind.
                    state = self
                        .output
                        .changed
                        .wait_timeout(state, Duration::from_millis(200))
                        .unwrap_or_else(PoisonError::into_inner)
                        .0;
                }
                return Ok(status);
            }
            if Instant::now() > deadline {
                bail!("{} still runs after {timeout:?}\n{}", self.name, self.output());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends a signal by name (`TERM`, `INT`) to the program alone.
    pub fn signal(&self, signal: &str) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .args(["-s", signal, "--"])
            .arg(self.child.id().to_string())
            .status()?;
        if !status.success() {
            bail!("sending {signal} to {} failed: {status}", self.name);
        }
        Ok(())
    }

    /// The program's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// All lines of stdout so far.
    pub fn stdout(&self) -> Vec<String> {
        self.output.lock().stdout.iter().cloned().collect()
    }

    /// Both streams, for failure messages.
    pub fn output(&self) -> String {
        let state = self.output.lock();
        let show = |name: &str, lines: &VecDeque<String>| {
            let text: String = lines
                .iter()
                .skip(lines.len().saturating_sub(200))
                .map(|line| format!("  {line}\n"))
                .collect();
            format!("--- {} {name}:\n{text}", self.name)
        };
        show("stdout", &state.stdout) + &show("stderr", &state.stderr)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // An error here means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process")
            .field("name", &self.name)
            .field("id", &self.child.id())
            .finish_non_exhaustive()
    }
}

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, OutputState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn capture(output: &Arc<Output>, stream: Stream, pipe: impl Read + Send + 'static) {
    let output = Arc::clone(output);
    // Ends with the pipe, that is, with the child.
    std::thread::spawn(move || {
        let mut reader = BufReader::new(pipe);
        let mut line = Vec::new();
        while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
            let text = String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned();
            line.clear();
            let mut state = output.lock();
            let lines = match stream {
                Stream::Stdout => &mut state.stdout,
                Stream::Stderr => &mut state.stderr,
            };
            if lines.len() == KEPT_LINES {
                lines.pop_front();
            }
            lines.push_back(text);
            output.changed.notify_all();
        }
        output.lock().open_streams -= 1;
        output.changed.notify_all();
    });
}

/// A loopback port that was free a moment ago.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .context("looking for a free port")?
        .local_addr()?
        .port())
}

/// A loopback port that was free a moment ago and that systems do not hand out by themselves (the ports of connections and of port 0 begin at 32768 on
/// Linux, RFC 6335 has them from 49152): to listen on later, and again after a restart.
pub fn lasting_port() -> anyhow::Result<u16> {
    const FIRST: u32 = 18_000;
    const COUNT: u32 = 14_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        // processes beside each other begin at different places
        let number = std::process::id()
            .wrapping_mul(97)
            .wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + number % COUNT)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no port from {FIRST} on is free")
}

/// Takes the caller's AWS settings away from a child, so that no test depends on, or reaches, anybody's account.
pub fn without_aws_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("AWS_") {
            command.env_remove(name);
        }
    }
    command
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_DEFAULT_REGION", "us-east-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn dropping_ends_the_children_of_the_child_too() {
        let process = Process::start("family", &shell("sleep 600 & echo child $!; wait")).unwrap();
        let grandchild = process
            .wait_for_line(READY_TIMEOUT, "child", |line| line.strip_prefix("child ").map(str::to_owned))
            .unwrap();
        let alive = |id: &str| std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(alive(&grandchild));
        drop(process);
        let deadline = Instant::now() + Duration::from_secs(10);
        while alive(&grandchild) {
            assert!(Instant::now() < deadline, "a grandchild outlived the process");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_program_that_ends_is_reported_with_its_output() {
        let error = Process::serve("failing", |_| Ok(shell("echo no such option >&2; exit 7"))).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("no such option") && text.contains("exit status: 7"), "{text}");
    }

    #[test]
    fn a_missing_line_fails_as_soon_as_the_program_has_ended() {
        let process = Process::start("silent", &shell("echo something")).unwrap();
        // Nothing holds the streams open but the supervisor, whose own are closed.
        let error = process
            .wait_for_line(Duration::from_secs(60), "ready", |line| (line == "ready").then_some(()))
            .unwrap_err();
        assert!(error.to_string().contains("something"), "{error}");
    }

    #[test]
    fn signals_reach_the_program() {
        let mut process = Process::start("trap", &shell("trap 'exit 9' TERM; echo up; while :; do sleep 0.05; done")).unwrap();
        process
            .wait_for_line(READY_TIMEOUT, "up", |line| (line == "up").then_some(()))
            .unwrap();
        process.signal("TERM").unwrap();
        assert_eq!(process.wait(Duration::from_secs(10)).unwrap().code(), Some(9));
    }
}
