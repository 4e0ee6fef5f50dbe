//! DynamoDB to test against.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_smithy_http_client::Builder;

use crate::process::Process;
use crate::stand_in::StandIn;

/// A running service without tables.
#[derive(Debug)]
pub struct RunningTables {
    /// `http://127.0.0.1:port`
    pub endpoint: String,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    process: Process,
}

impl StandIn {
    /// A service of one's own that speaks DynamoDB.
    pub fn start_tables(self) -> anyhow::Result<RunningTables> {
        let (process, endpoint) = self.serve("dynamodb")?;
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
