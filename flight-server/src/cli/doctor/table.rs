//! The table of checkpoints.

use shard_reader::WallClock;
use shard_reader::checkpoints::{CheckpointStore, DynamoDbCheckpoints};

use super::super::checkpoint_store::dynamodb_settings;
use super::report::{Outcome, Report};
use crate::config::Config;

/// Looks at the table, and reads it where it is there. Makes none.
pub(super) async fn check(config: &Config, report: &mut Report) {
    if config.checkpoints.dynamodb.is_none() {
        let file = config.checkpoints_file();
        let text = format!("{}: of this machine alone; a cluster needs `checkpoints.dynamodb`", file.display());
        return report.add("configuration", "checkpoints", Outcome::Note, text);
    }
    let mut settings = dynamodb_settings(config);
    // whoever looks makes no table
    let create = std::mem::replace(&mut settings.create, false);
    let about = format!("table {}", settings.table);
    let store = match DynamoDbCheckpoints::connect(&settings, config.checkpoints.keep, WallClock::default()).await {
        Ok(store) => store,
        Err(error) => return report.add(&about, "settings", Outcome::Failed, error.to_string()),
    };
    match store.table_state().await {
        Ok(Some(state)) if state == "ACTIVE" => report.add(&about, "DescribeTable", Outcome::Ok, state),
        Ok(Some(state)) => return report.add(&about, "DescribeTable", Outcome::Warning, state),
        Ok(None) if create => {
            return report.add(
                &about,
                "DescribeTable",
                Outcome::Note,
                "is missing; the first checkpoint makes it (`create: true`)",
            );
        }
        Ok(None) => {
            return report.add(
                &about,
                "DescribeTable",
                Outcome::Failed,
                "is missing, and `create: false` makes none",
            );
        }
        // with `create: false` a server never asks
        Err(error) if create => return report.add(&about, "DescribeTable", Outcome::Failed, error.to_string()),
        Err(error) => report.add(&about, "DescribeTable", Outcome::Unknown, error.to_string()),
    }
    match store.consumers().await {
        Ok(consumers) => report.add(&about, "Query", Outcome::Ok, format!("{} consumers", consumers.len())),
        Err(error) => report.add(&about, "Query", Outcome::Failed, error.to_string()),
    }
    report.add(
        &about,
        "writes",
        Outcome::Unknown,
        "PutItem, UpdateItem and DeleteItem have no dry run: the policy below says what they need",
    );
}
