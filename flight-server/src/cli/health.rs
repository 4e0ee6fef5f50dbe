//! `shardflight health`: whether a server on this machine can serve, for images that hold nothing to ask with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use crate::config::Config;

/// Orchestrators give up earlier or later; nobody waits for good.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `shardflight health`
#[derive(Debug, Args)]
pub(crate) struct HealthArgs {
    /// The server's configuration, for its address `http`.
    #[arg(long, value_name = "FILE", conflicts_with = "http")]
    config: Option<PathBuf>,
    /// Health and metrics address [default: that of the configuration, 127.0.0.1:8080].
    #[arg(long, value_name = "ADDR")]
    http: Option<SocketAddr>,
}

/// Fails unless `/readyz` answers 200.
pub(super) async fn run(args: &HealthArgs) -> anyhow::Result<()> {
    let address = address(args)?;
    let client = reqwest::Client::builder().timeout(TIMEOUT).no_proxy().build().context("a client")?;
    let url = format!("http://{address}/readyz");
    let reply = client.get(&url).send().await.with_context(|| format!("{url} does not answer"))?;
    anyhow::ensure!(reply.status().is_success(), "{url} answers {}", reply.status());
    Ok(())
}

fn address(args: &HealthArgs) -> anyhow::Result<SocketAddr> {
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(match args.http {
        Some(address) => address,
        None => reachable(Config::load(args.config.as_deref(), variables)?.http.0),
    })
}

/// Who listens everywhere is asked on this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => address.set_ip(std::net::Ipv4Addr::LOCALHOST.into()),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => address.set_ip(std::net::Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

#[cfg(test)]
mod tests {
    use super::reachable;

    #[test]
    fn an_address_that_means_all_is_asked_on_loopback() {
        let text = |address: &str| reachable(address.parse().unwrap()).to_string();
        assert_eq!(text("0.0.0.0:8080"), "127.0.0.1:8080");
        assert_eq!(text("[::]:8080"), "[::1]:8080");
        assert_eq!(text("10.1.2.3:80"), "10.1.2.3:80");
    }
}
