//! What is superseded expires. It is said as well as it can be, for nothing depends on it.

use std::time::Duration;

use futures::future::{join, join_all};
use tokio::time::timeout;

use super::DynamoDbCheckpoints;
use super::changes::{Patience, expires};
use super::errors::{WriteError, of_write};
use super::items::{self, Attributes, EXPIRES, LIFE};
use super::keys::{self, CONSUMER, ITEM};
use crate::checkpoints::model::IterationNumber;
use crate::checkpoints::store::CheckpointError;
use crate::checkpoints::transitions::{Change, ItemKey, Moment, StoredHead};

/// A commit that happened waits no longer for this.
const PATIENCE: Duration = Duration::from_secs(2);

impl DynamoDbCheckpoints {
    /// What commits superseded.
    pub(super) async fn expire(&self, changes: &[Box<Change<'_>>], moment: Moment) {
        let items = join_all(changes.iter().map(|change| self.expire_items(change, moment)));
        let runs = join_all(changes.iter().map(|change| self.expire_runs(change, moment)));
        if timeout(PATIENCE, join(items, runs)).await.is_err() {
            tracing::warn!(table = self.table, "old iterations stay: saying that they expire took too long");
        }
    }

    async fn expire_items(&self, change: &Change<'_>, moment: Moment) {
        let stored = &change.head;
        for key in &change.superseded {
            let key = keys::numbered(&stored.consumer, *key).attributes();
            logged(stored, self.expire_item(key, Some(stored.life), moment).await);
        }
    }

    /// Runs go with their iteration.
    pub(super) async fn expire_runs(&self, change: &Change<'_>, moment: Moment) {
        for key in &change.superseded {
            let ItemKey::Iteration(number) = key else { continue };
            logged(&change.head, self.expire_runs_of(&change.head, *number, moment).await);
        }
    }

    async fn expire_runs_of(&self, stored: &StoredHead, number: IterationNumber, moment: Moment) -> Result<(), CheckpointError> {
        let partition = keys::partition(&stored.consumer);
        for key in self.query(&partition, &keys::runs_of(number), Some(&[CONSUMER, ITEM])).await? {
            self.expire_item(key, None, moment).await?;
        }
        Ok(())
    }

    /// `life`: only if it is still an item of this life.
    async fn expire_item(&self, key: Attributes, life: Option<u64>, moment: Moment) -> Result<(), CheckpointError> {
        let what = "expiry of an old item";
        let mut patience = Patience::new(PATIENCE);
        loop {
            let request = self
                .writes
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key.clone()))
                .update_expression("SET #expires = :expires")
                .expression_attribute_names("#expires", EXPIRES)
                .expression_attribute_values(":expires", expires(moment));
            let request = match life {
                Some(life) => request
                    .condition_expression("#life = :life")
                    .expression_attribute_names("#life", LIFE)
                    .expression_attribute_values(":life", items::number(&life)),
                None => request
                    .condition_expression("attribute_exists(#consumer)")
                    .expression_attribute_names("#consumer", CONSUMER),
            };
            match request.send().await.map_err(|error| of_write(&error, what)) {
                // it is gone already
                Ok(_) | Err(WriteError::Condition) => return Ok(()),
                Err(error) => patience.after(self, error, what).await?,
            }
        }
    }
}

fn logged(stored: &StoredHead, done: Result<(), CheckpointError>) {
    if let Err(error) = done {
        tracing::warn!(consumer = %stored.consumer, "an old iteration stays in the table: {error}");
    }
}
