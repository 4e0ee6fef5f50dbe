//! A plain client of a Kinesis endpoint, built apart from the program's own so that one mistake cannot hide in both.

use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_sdk_kinesis::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kinesis::types::StreamStatus;

/// The region that every test service is told.
pub const REGION: &str = "us-east-1";

/// A client without retries: a test sees what the service said. Make one per test: its pooled connections belong to the test's runtime.
pub fn client(endpoint: &str) -> Client {
    let timeouts = TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(60))
        .connect_timeout(Duration::from_secs(10))
        .build();
    let config = aws_sdk_kinesis::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .credentials_provider(Credentials::new("test", "test", None, None, "tests"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .build();
    Client::from_conf(config)
}

/// Waits until a stream is active.
///
/// # Errors
/// Any of DescribeStreamSummary; a minute without that state.
pub async fn active(client: &Client, stream: &str) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    loop {
        let reply = client.describe_stream_summary().stream_name(stream).send().await?;
        let summary = reply.stream_description_summary();
        if summary.is_some_and(|summary| *summary.stream_status() == StreamStatus::Active) {
            return Ok(());
        }
        anyhow::ensure!(tokio::time::Instant::now() < deadline, "{stream} does not become active");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
