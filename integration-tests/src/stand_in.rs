//! Stand-ins for AWS that nobody here wrote, from the Python package index.

use std::process::Command;

use crate::environment::python;
use crate::process::{Process, without_aws_settings};

/// One of them. Each has buckets ([`crate::buckets`]) and tables ([`crate::tables`]).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StandIn {
    /// `moto`.
    Moto,
    /// `ministack`.
    Ministack,
}

impl StandIn {
    /// A process of one's own for a service (`s3`, `dynamodb`), and its `http://127.0.0.1:port`.
    pub(crate) fn serve(self, service: &str) -> anyhow::Result<(Process, String)> {
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
                    .env("SERVICES", service)
                    .env("LOG_LEVEL", "WARNING"),
            };
            Ok(command)
        })?;
        Ok((process, format!("http://{address}")))
    }
}
