//! Where a configuration says that checkpoints are kept.

use std::sync::Arc;

use anyhow::Context;
use shard_reader::WallClock;
use shard_reader::checkpoints::{CheckpointStore, DynamoDbCheckpoints, DynamoDbSettings, LocalCheckpoints};

use crate::config::{Config, DynamoDbSection};

/// The store. Nothing is opened or called before a checkpoint is named.
pub(super) async fn build(config: &Config) -> anyhow::Result<Arc<dyn CheckpointStore>> {
    let (keep, clock) = (config.checkpoints.keep, WallClock::default());
    let Some(section) = &config.checkpoints.dynamodb else {
        return Ok(Arc::new(LocalCheckpoints::with(config.checkpoints_file(), keep, clock)));
    };
    let store = DynamoDbCheckpoints::connect(&settings(config, section), keep, clock)
        .await
        .context("checkpoints.dynamodb")?;
    Ok(Arc::new(store))
}

/// How DynamoDB is reached, whether checkpoints are kept there or not.
pub(super) fn dynamodb_settings(config: &Config) -> DynamoDbSettings {
    let section = config.checkpoints.dynamodb.clone().unwrap_or_default();
    settings(config, &section)
}

/// Where the streams are, and as whom they are read, the table is and is used, unless it says otherwise. A role to read streams is no role to write tables.
fn settings(config: &Config, section: &DynamoDbSection) -> DynamoDbSettings {
    let section = section.clone();
    DynamoDbSettings {
        table: section.table,
        create: section.create,
        region: section.region.or_else(|| config.kinesis.region.clone()),
        endpoint: section.endpoint,
        profile: section.profile.or_else(|| config.kinesis.profile.clone()),
        role_arn: section.role_arn,
        external_id: section.external_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(yaml: &str) -> Config {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("shardflight.yaml");
        std::fs::write(&file, yaml).unwrap();
        Config::load(Some(&file), []).unwrap()
    }

    #[tokio::test]
    async fn a_file_in_the_data_directory_unless_it_is_said_otherwise() {
        let store = build(&config("data_dir: /nowhere/data\n")).await.unwrap();
        assert_eq!(store.describe(), "file /nowhere/data/checkpoints.redb");
        let store = build(&config("checkpoints: { local: /nowhere/c.redb }\n")).await.unwrap();
        assert_eq!(store.describe(), "file /nowhere/c.redb");
        let yaml = "checkpoints:\n  dynamodb: { region: eu-central-1 }\n";
        assert_eq!(build(&config(yaml)).await.unwrap().describe(), "DynamoDB table shardflight");
    }

    #[test]
    fn what_is_said_of_kinesis_holds_for_the_table_but_for_endpoint_and_role() {
        let kinesis = "kinesis: { region: eu-west-1, profile: p, endpoint: 'http://k:1', role_arn: 'arn:k', external_id: e }\n";
        let of = |section: &str| {
            let config = config(&format!("{kinesis}checkpoints: {{ dynamodb: {section} }}\n"));
            settings(&config, config.checkpoints.dynamodb.as_ref().unwrap())
        };
        let text = |text: &str| Some(text.to_owned());
        let defaults = DynamoDbSettings {
            table: "shardflight".to_owned(),
            create: true,
            region: text("eu-west-1"),
            endpoint: None,
            profile: text("p"),
            role_arn: None,
            external_id: None,
        };
        assert_eq!(of("{}"), defaults);
        let all = "{ table: t12, create: false, region: r, endpoint: 'http://d:2', profile: q, role_arn: 'arn:d', external_id: f }";
        let said = DynamoDbSettings {
            table: "t12".to_owned(),
            create: false,
            region: text("r"),
            endpoint: text("http://d:2"),
            profile: text("q"),
            role_arn: text("arn:d"),
            external_id: text("f"),
        };
        assert_eq!(of(all), said);
    }
}
