//! From settings to a client.

use std::sync::OnceLock;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::retry::RetryConfig;
use aws_sdk_kinesis::config::timeout::TimeoutConfig;
use aws_smithy_http_client::tls;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::{SourceError, SourceErrorKind};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);
const OPERATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Where Kinesis is and as whom to call it. What is not set comes from AWS's default chain (environment, profile, container, instance).
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct KinesisSettings {
    /// Region.
    pub region: Option<String>,
    /// Endpoint URL instead of AWS's.
    pub endpoint: Option<String>,
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id for it.
    pub external_id: Option<String>,
    /// Session name for it.
    pub session_name: Option<String>,
}

/// One pool of connections, and one set of root certificates, for all calls of the process but subscriptions beyond the first ones.
pub(crate) fn http_client() -> SharedHttpClient {
    static CLIENT: OnceLock<SharedHttpClient> = OnceLock::new();
    CLIENT.get_or_init(new_http_client).clone()
}

/// A pool of its own.
pub(super) fn new_http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .pool_idle_timeout(Duration::from_secs(60))
        .build_https()
}

impl KinesisSettings {
    /// AWS's default chain, with the region and the profile of these settings. Makes no call.
    pub(crate) async fn shared(&self) -> aws_config::SdkConfig {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(OPERATION_TIMEOUT)
            .build();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http_client())
            .timeout_config(timeouts)
            .retry_config(RetryConfig::standard());
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(region) = &self.region {
            loader = loader.region(Region::new(region.clone()));
        }
        loader.load().await
    }

    /// The default chain with the role of these settings, which are those of `section`. Makes no call but, when credentials are needed, to assume the
    /// role.
    ///
    /// # Errors
    /// `Invalid` when the settings make no sense together or no region is known.
    pub async fn with_role(&self, section: &str) -> Result<aws_config::SdkConfig, SourceError> {
        let invalid = |message: String| SourceError::new(SourceErrorKind::Invalid, message);
        if self.role_arn.is_none() && (self.external_id.is_some() || self.session_name.is_some()) {
            return Err(invalid("external_id and session_name need role_arn".into()));
        }
        let shared = self.shared().await;
        if shared.region().is_none() {
            return Err(invalid(format!(
                "no AWS region is known: set {section}.region, AWS_REGION or a profile's region"
            )));
        }
        let Some(role) = &self.role_arn else { return Ok(shared) };
        let mut assume = AssumeRoleProvider::builder(role)
            .configure(&shared)
            .session_name(self.session_name.clone().unwrap_or_else(|| "shardflight".into()));
        if let Some(external_id) = &self.external_id {
            assume = assume.external_id(external_id);
        }
        let credentials = SharedCredentialsProvider::new(assume.build().await);
        Ok(shared.into_builder().credentials_provider(credentials).build())
    }

    /// A client with the SDK's standard retries. Makes no call to Kinesis.
    ///
    /// # Errors
    /// `Invalid` when the settings make no sense together or no region is known.
    pub async fn client(&self) -> Result<Client, SourceError> {
        let shared = self.with_role("kinesis").await?;
        let mut config = aws_sdk_kinesis::config::Builder::from(&shared);
        if let Some(endpoint) = &self.endpoint {
            // only Kinesis is there: the role above is assumed at AWS's own STS, or where AWS_ENDPOINT_URL_STS says
            config = config.endpoint_url(endpoint);
        }
        Ok(Client::from_conf(config.build()))
    }
}
