//! From the configuration to object storage.

use shard_reader::{KinesisSettings, RemoteOptions};

use crate::config::Config;

/// How the buckets are reached that `allow` names.
pub(super) fn of_lake(config: &Config) -> RemoteOptions {
    let section = &config.lake;
    let mut options = options(config, section.endpoint.as_ref(), section.region.as_ref());
    // the role is assumed in the region of the storage
    options.aws.region = section.region.clone().or(options.aws.region);
    options.aws.role_arn.clone_from(&section.role_arn);
    options.aws.external_id.clone_from(&section.external_id);
    options
}

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
