//! From the configuration to object storage.

use shard_reader::{KinesisSettings, RemoteOptions};

use crate::config::Config;

/// How the operator's own buckets are reached: a role for the streams is not for them.
pub(super) fn options(config: &Config, endpoint: Option<&String>, region: Option<&String>) -> RemoteOptions {
    RemoteOptions {
        endpoint: endpoint.cloned(),
        region: region.cloned(),
        aws: KinesisSettings {
            profile: config.kinesis.profile.clone(),
            region: config.kinesis.region.clone(),
            ..KinesisSettings::default()
        },
        call_timeout: None,
    }
}
