//! Several hosts on one machine: network namespaces, joined by a bridge, whose links can be cut so that packets are lost without a word.
//!
//! A process may make them where it is root of a network namespace of its own. [`in_own_network`] runs a test in one, if the machine allows that.

use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::process::{Process, READY_TIMEOUT};

/// Says to a test executable that it runs in a network of its own.
const INSIDE: &str = "SHARDFLIGHT_TESTS_OWN_NETWORK";
/// How long a test may take there.
const TEST_TIMEOUT: Duration = Duration::from_secs(600);
/// The addresses are reserved for documentation: they lead nowhere else.
const NETWORK: [u8; 3] = [192, 0, 2];

/// Where a test runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// In a network of its own: hosts can be made.
    Inside,
    /// It ran in a network of its own, and that was good.
    Done,
    /// The machine makes no networks.
    Nowhere,
}

/// Runs the test of this name again in a network of its own, unless this is that run.
///
/// # Errors
/// The test failed there.
pub fn in_own_network(test: &str) -> anyhow::Result<Place> {
    if std::env::var_os(INSIDE).is_some() {
        return Ok(Place::Inside);
    }
    let probe = "ip link set lo up && ip link add hub type bridge && ip link add a type veth peer name b && ip link set a master hub && \
                 ip link set a type bridge_slave isolated on && unshare -n true && nsenter --version";
    let probed = Command::new("unshare").args(["-rn", "sh", "-c", probe]).output();
    if !probed.is_ok_and(|probed| probed.status.success()) {
        return Ok(Place::Nowhere);
    }
    let mut command = Command::new("unshare");
    command.args(["-rn", "--"]).arg(std::env::current_exe()?);
    command
        .args(["--exact", test, "--nocapture", "--test-threads", "1"])
        .env(INSIDE, "1");
    let mut process = Process::start(test, &command)?;
    let status = process.wait(TEST_TIMEOUT)?;
    let output = process.output();
    if !status.success() || !output.contains("1 passed") {
        bail!("{test}, in a network of its own: {status}\n{output}");
    }
    Ok(Place::Done)
}

/// Hosts that reach each other, and this process, which is one of them.
#[derive(Debug)]
pub struct Hosts {
    /// A process of each holds its namespace.
    holders: Vec<Process>,
}

fn run(words: &str) -> anyhow::Result<()> {
    let mut words = words.split(' ');
    let mut command = Command::new(words.next().context("no command")?);
    let output = command.args(words).output()?;
    if !output.status.success() {
        bail!("{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

impl Hosts {
    /// So many, besides this process.
    pub fn start(count: u8) -> anyhow::Result<Self> {
        run("ip link set lo up")?;
        run("ip link add hub type bridge")?;
        run(&format!("ip addr add {}/24 dev hub", Self::own()))?;
        run("ip link set hub up")?;
        let mut holders = Vec::new();
        for number in 0..count {
            let mut command = Command::new("unshare");
            command.args(["-n", "sh", "-c", "echo up; exec sleep 3600"]);
            let holder = Process::start("a host", &command)?;
            holder.wait_for_line(READY_TIMEOUT, "up", |line| (line == "up").then_some(()))?;
            let id = holder.id();
            run(&format!("ip link add port{number} type veth peer name end{number}"))?;
            run(&format!("ip link set port{number} master hub up"))?;
            run(&format!("ip link set end{number} netns {id}"))?;
            let inside = format!("nsenter -t {id} -n ip");
            run(&format!("{inside} link set lo up"))?;
            run(&format!("{inside} addr add {}/24 dev end{number}", Self::address(number)))?;
            run(&format!("{inside} link set end{number} up"))?;
            holders.push(holder);
        }
        Ok(Self { holders })
    }

    /// Of a host.
    pub fn address(number: u8) -> Ipv4Addr {
        let [a, b, c] = NETWORK;
        Ipv4Addr::new(a, b, c, number + 1)
    }

    /// Of this process.
    pub fn own() -> Ipv4Addr {
        let [a, b, c] = NETWORK;
        Ipv4Addr::new(a, b, c, 254)
    }

    /// The words before a command that runs it on a host.
    pub fn enter(&self, number: u8) -> Vec<String> {
        let id = self.holders[usize::from(number)].id().to_string();
        ["nsenter", "-t", &id, "-n", "--"].map(str::to_owned).to_vec()
    }

    /// Nothing passes between these two any more. They reach all others.
    pub fn cut(&self, one: u8, other: u8) -> anyhow::Result<()> {
        self.isolate(one, other, "on")
    }

    /// Everything passes again.
    pub fn heal(&self, one: u8, other: u8) -> anyhow::Result<()> {
        self.isolate(one, other, "off")
    }

    /// Isolated ports of a bridge reach only those that are not.
    fn isolate(&self, one: u8, other: u8, state: &str) -> anyhow::Result<()> {
        [one, other]
            .iter()
            .try_for_each(|number| run(&format!("ip link set port{number} type bridge_slave isolated {state}")))
    }
}
