//! Object storage that nodes share: the same names as on disk, below a prefix.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use bytes::Bytes;
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, CredentialProvider, ObjectStore, ObjectStoreExt, PutMode, PutOptions, RetryConfig};

use crate::KinesisSettings;

/// A call that takes longer is given up; Kinesis is asked instead.
const CALL_TIMEOUT: Duration = Duration::from_secs(20);
const RETRIES: usize = 3;

/// Why object storage cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("object storage {url}: {message}")]
pub struct RemoteError {
    /// As it was given.
    pub url: String,
    /// What is wrong and what to do.
    pub message: String,
    /// Cause.
    #[source]
    pub source: Option<object_store::Error>,
}

/// Where object storage is, and as whom it is called.
#[derive(Clone, Debug, Default)]
pub struct RemoteOptions {
    /// Endpoint URL instead of AWS's.
    pub endpoint: Option<String>,
    /// Region; else as for Kinesis.
    pub region: Option<String>,
    /// Credentials and region are found as for Kinesis.
    pub aws: KinesisSettings,
    /// How long a call may take, with all its attempts; 20 s where nothing is said.
    pub call_timeout: Option<Duration>,
}

/// Object storage and a prefix in it: `s3://BUCKET/PREFIX`, or `file:///DIRECTORY`, which is made. Makes no call.
///
/// # Errors
/// When the URL or the settings make no sense.
pub async fn connect_object_store(url: &str, options: &RemoteOptions) -> Result<(Arc<dyn ObjectStore>, Path), RemoteError> {
    let failed = |message: String, source: Option<object_store::Error>| RemoteError {
        url: url.to_owned(),
        message,
        source,
    };
    if let Some(directory) = url.strip_prefix("file://") {
        if !directory.starts_with('/') {
            return Err(failed("a directory is given as file:///DIRECTORY".into(), None));
        }
        std::fs::create_dir_all(directory).map_err(|error| failed(error.to_string(), None))?;
        let store = LocalFileSystem::new_with_prefix(directory).map_err(|error| failed(error.to_string(), Some(error)))?;
        return Ok((Arc::new(store), Path::default()));
    }
    let Some((bucket, prefix)) = url.strip_prefix("s3://").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) else {
        return Err(failed("expected s3://BUCKET/PREFIX or file:///DIRECTORY".into(), None));
    };
    if bucket.is_empty() {
        return Err(failed("the bucket is missing".into(), None));
    }
    let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|error| failed(error.to_string(), None))?;
    let aws = match options.aws.role_arn {
        Some(_) => {
            let assumed = options.aws.with_role("the object storage").await;
            assumed.map_err(|error| failed(error.to_string(), None))?
        }
        None => options.aws.shared().await,
    };
    let region = options.region.clone().or_else(|| aws.region().map(ToString::to_string));
    let Some(region) = region else {
        return Err(failed(
            "no AWS region is known: set the region beside the URL in the configuration (segments.store_region, catalog.region), or AWS_REGION".into(),
            None,
        ));
    };
    let endpoint = options.endpoint.clone().or_else(|| aws.endpoint_url().map(str::to_owned));
    let plain = endpoint.as_deref().is_some_and(|endpoint| endpoint.starts_with("http://"));
    if plain && !endpoint.as_deref().is_some_and(is_loopback) {
        return Err(failed("without TLS only an endpoint of this machine can be used".into(), None));
    }
    let call_timeout = options.call_timeout.unwrap_or(CALL_TIMEOUT);
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(bucket)
        .with_region(region)
        .with_allow_http(plain)
        .with_client_options(ClientOptions::new().with_timeout(call_timeout).with_allow_http(plain))
        .with_retry(RetryConfig {
            backoff: BackoffConfig::default(),
            max_retries: RETRIES,
            retry_timeout: call_timeout,
        });
    if let Some(endpoint) = endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(provider) = aws.credentials_provider() {
        builder = builder.with_credentials(Arc::new(AwsChain(provider)));
    }
    let store = builder.build().map_err(|error| failed(error.to_string(), Some(error)))?;
    Ok((Arc::new(store), prefix))
}

/// Segments in object storage.
#[derive(Clone)]
pub struct RemoteSegments {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
}

impl fmt::Debug for RemoteSegments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RemoteSegments({}/{})", self.store, self.prefix)
    }
}

impl RemoteSegments {
    /// Segments below a prefix of a store.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: Path) -> Self {
        Self { store, prefix }
    }

    /// See [`connect_object_store`].
    ///
    /// # Errors
    /// When the URL or the settings make no sense.
    pub async fn connect(url: &str, options: &RemoteOptions) -> Result<Self, RemoteError> {
        let (store, prefix) = connect_object_store(url, options).await?;
        Ok(Self::new(store, prefix))
    }

    fn key(&self, directory: &str, file: &str) -> Path {
        let parts = self.prefix.parts().chain(directory.split('/').map(Into::into));
        let path: Path = parts.collect();
        if file.is_empty() { path } else { path.join(file) }
    }

    /// Puts a file unless it is there.
    pub(super) async fn put(&self, directory: &str, file: &str, bytes: Bytes) -> object_store::Result<()> {
        let options = PutOptions::from(PutMode::Create);
        match self.store.put_opts(&self.key(directory, file), bytes.into(), options).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn get(&self, directory: &str, file: &str) -> object_store::Result<Bytes> {
        self.store.get(&self.key(directory, file)).await?.bytes().await
    }

    pub(super) async fn delete(&self, directory: &str, file: &str) -> object_store::Result<()> {
        match self.store.delete(&self.key(directory, file)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Names and sizes of the files of a directory.
    pub(super) async fn list(&self, directory: &str) -> object_store::Result<Vec<(String, u64)>> {
        let listed = self.store.list(Some(&self.key(directory, "")));
        let name = |meta: object_store::ObjectMeta| {
            let name = meta.location.filename().unwrap_or_default().to_owned();
            (name, meta.size)
        };
        listed.map_ok(name).try_collect().await
    }
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.trim_start_matches("http://");
    let host = host.split('/').next().unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host).trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// AWS's chain of credentials, as for Kinesis.
struct AwsChain(SharedCredentialsProvider);

impl fmt::Debug for AwsChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AwsChain")
    }
}

#[async_trait::async_trait]
impl CredentialProvider for AwsChain {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let credentials = self.0.provide_credentials().await.map_err(|error| object_store::Error::Generic {
            store: "S3",
            source: Box::new(error),
        })?;
        Ok(Arc::new(AwsCredential {
            key_id: credentials.access_key_id().to_owned(),
            secret_key: credentials.secret_access_key().to_owned(),
            token: credentials.session_token().map(str::to_owned),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_loopback() {
        for yes in [
            "http://127.0.0.1:9000",
            "http://localhost:4566/x",
            "http://[::1]:1",
            "http://127.0.0.1",
        ] {
            assert!(is_loopback(yes), "{yes}");
        }
        for no in [
            "http://10.0.0.1:9000",
            "http://localhost.example.com",
            "http://example.com:80",
            "http://",
        ] {
            assert!(!is_loopback(no), "{no}");
        }
    }

    #[tokio::test]
    async fn urls_that_make_no_sense_are_refused() {
        let options = RemoteOptions {
            region: Some("us-east-1".into()),
            ..RemoteOptions::default()
        };
        for (url, why) in [
            ("gs://bucket", "expected s3://"),
            ("file://relative", "file:///DIRECTORY"),
            ("s3://", "bucket"),
            ("s3://bucket/a//b", "mpty"),
        ] {
            let error = RemoteSegments::connect(url, &options).await.unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
        let elsewhere = RemoteOptions {
            endpoint: Some("http://10.0.0.1:9000".into()),
            ..options.clone()
        };
        let error = RemoteSegments::connect("s3://bucket", &elsewhere).await.unwrap_err();
        assert!(error.to_string().contains("TLS"), "{error}");
        assert!(RemoteSegments::connect("s3://bucket/a/b/", &options).await.is_ok());
    }
}
