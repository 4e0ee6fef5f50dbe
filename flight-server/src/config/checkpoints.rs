//! Where checkpoints are kept.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use shard_reader::checkpoints::DEFAULT_KEEP;

use super::Config;
use super::model::named;
use super::units::duration;

/// `checkpoints:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointsSection {
    /// File [default: `checkpoints.redb` in `data_dir`].
    pub local: Option<PathBuf>,
    /// DynamoDB table instead of a file; `dynamodb:` alone is a table by its defaults.
    #[serde(deserialize_with = "named")]
    pub dynamodb: Option<DynamoDbSection>,
    /// Superseded iterations are kept for so long.
    #[serde(deserialize_with = "duration")]
    pub keep: Duration,
}

impl Default for CheckpointsSection {
    fn default() -> Self {
        Self {
            local: None,
            dynamodb: None,
            keep: DEFAULT_KEEP,
        }
    }
}

/// `checkpoints.dynamodb:`; what is absent is AWS's default chain, with the region and profile of `kinesis:`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DynamoDbSection {
    /// Name of the table.
    pub table: String,
    /// Create it when it is missing.
    pub create: bool,
    /// Region.
    pub region: Option<String>,
    /// Endpoint URL.
    pub endpoint: Option<String>,
    /// Profile of the AWS configuration.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id for it.
    pub external_id: Option<String>,
}

impl Default for DynamoDbSection {
    fn default() -> Self {
        Self {
            table: "shardflight".to_owned(),
            create: true,
            region: None,
            endpoint: None,
            profile: None,
            role_arn: None,
            external_id: None,
        }
    }
}

impl CheckpointsSection {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.keep < Duration::from_secs(3600) {
            return Err("checkpoints.keep: must be at least 1h, so that what just was replaced can be looked at".to_owned());
        }
        let Some(dynamodb) = &self.dynamodb else { return Ok(()) };
        if self.local.is_some() {
            return Err("checkpoints: either `local` or `dynamodb` keeps them, not both".to_owned());
        }
        let arn = dynamodb.table.starts_with("arn:");
        let named = (3..=255).contains(&dynamodb.table.len())
            && dynamodb
                .table
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
        if !arn && !named {
            return Err(format!(
                "checkpoints.dynamodb.table: {:?} is no table's name: 3 to 255 of a-z, A-Z, 0-9, `_`, `.` and `-`",
                dynamodb.table
            ));
        }
        if dynamodb.external_id.is_some() && dynamodb.role_arn.is_none() {
            return Err("checkpoints.dynamodb.external_id: needs role_arn".to_owned());
        }
        Ok(())
    }
}

impl Config {
    /// The file of checkpoints.
    pub fn checkpoints_file(&self) -> PathBuf {
        self.checkpoints
            .local
            .clone()
            .unwrap_or_else(|| self.data_dir.join("checkpoints.redb"))
    }
}
