//! Object storage to test against: services that nobody here wrote.

use std::process::Command;

use crate::environment::python;
use crate::process::{Process, without_aws_settings};
use crate::server::run_script;

/// A service that speaks S3.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ObjectStorage {
    /// `moto` from the Python package index.
    Moto,
    /// `ministack` from the Python package index.
    Ministack,
}

/// A running service with a bucket.
#[derive(Debug)]
pub struct RunningStorage {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    process: Process,
}

impl ObjectStorage {
    /// A service of one's own, with an empty bucket.
    pub fn start(self, bucket: &str) -> anyhow::Result<RunningStorage> {
        let name = match self {
            Self::Moto => "moto_server",
            Self::Ministack => "ministack",
        };
        let program = python()?.program(name);
        let (process, address) = Process::serve(name, |port| {
            let mut command = Command::new(&program);
            without_aws_settings(&mut command);
            let port = port.to_string();
            match self {
                Self::Moto => command.args(["--host", "127.0.0.1", "--port", &port]),
                // It would listen on every interface, and start services that the tests do not need.
                Self::Ministack => command
                    .env("BIND_HOST", "127.0.0.1")
                    .env("GATEWAY_PORT", &port)
                    .env("SERVICES", "s3")
                    .env("LOG_LEVEL", "WARNING"),
            };
            Ok(command)
        })?;
        let endpoint = format!("http://{address}");
        run_script("make_bucket.py", &[&endpoint, bucket])?;
        Ok(RunningStorage { endpoint, process })
    }
}
