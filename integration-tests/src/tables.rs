//! DynamoDB to test against: services that nobody here wrote.

use std::process::Command;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::Builder;

use crate::environment::python;
use crate::process::{Process, without_aws_settings};

/// A service that speaks DynamoDB.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TableService {
    /// `moto` from the Python package index.
    Moto,
    /// `ministack` from the Python package index.
    Ministack,
}

/// A running service without tables.
#[derive(Debug)]
pub struct RunningTables {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    process: Process,
}

impl TableService {
    /// A service of one's own.
    pub fn start(self) -> anyhow::Result<RunningTables> {
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
                    .env("SERVICES", "dynamodb")
                    .env("LOG_LEVEL", "WARNING"),
            };
            Ok(command)
        })?;
        let endpoint = format!("http://{address}");
        Ok(RunningTables { endpoint, process })
    }
}

impl RunningTables {
    /// A client of it.
    pub fn client(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(Builder::new().build_http())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(&self.endpoint);
        Client::from_conf(config.build())
    }
}
