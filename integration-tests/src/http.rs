//! A GET request, for health, metrics and the control ports of test services.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Context as _;

/// The whole answer to `GET path` at `base` (`http://host:port`), status line and headers included.
pub fn get(base: &str, path: &str) -> anyhow::Result<String> {
    let address = base.strip_prefix("http://").with_context(|| format!("{base} is no http address"))?;
    let mut connection = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
    connection.set_read_timeout(Some(Duration::from_secs(30)))?;
    write!(connection, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
