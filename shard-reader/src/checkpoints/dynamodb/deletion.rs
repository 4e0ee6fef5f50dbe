//! Deletion of a consumer.

use aws_sdk_dynamodb::types::{AttributeValue, Delete, TransactWriteItem};
use futures::TryStreamExt;

use super::DynamoDbCheckpoints;
use super::changes::{Patience, incomplete};
use super::errors::{WriteError, of_write};
use super::items::{self, Attributes, LIFE, VERSION};
use super::keys::{self, CONSUMER, HEAD, ITEM};
use super::reads::AT_ONCE;
use crate::checkpoints::model::Consumer;
use crate::checkpoints::store::CheckpointError;
use crate::checkpoints::transitions::StoredHead;

impl DynamoDbCheckpoints {
    /// The head goes first, with the entry in the list: from then on the consumer has no past, whatever is still there of it. What is left by a deletion
    /// that broke off goes with the next one.
    pub(super) async fn delete_all(&self, consumer: &Consumer) -> Result<bool, CheckpointError> {
        let what = format!("deletion of {consumer}");
        let mut patience = Patience::new(self.patience);
        let mut tried = false;
        loop {
            // listed before the head goes: what a new consumer of this name writes is not among it
            let found = self.query(&keys::partition(consumer), "", Some(&[CONSUMER, ITEM, LIFE])).await?;
            let Some(stored) = self.read_head(consumer).await? else {
                self.delete_items(found, &what).await?;
                return Ok(tried);
            };
            match self.delete_head(&stored, &what).await {
                Ok(()) => {
                    self.delete_items(found, &what).await?;
                    return Ok(true);
                }
                Err(error) => {
                    // it may have happened
                    tried |= matches!(error, WriteError::Other(_));
                    patience.after(self, error, &what).await?;
                }
            }
        }
    }

    async fn delete_head(&self, stored: &StoredHead, what: &str) -> Result<(), WriteError> {
        let broken = |error| WriteError::Other(incomplete(error));
        let head = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(keys::head(&stored.consumer).attributes()))
            .condition_expression("#version = :version AND #life = :life")
            .expression_attribute_names("#version", VERSION)
            .expression_attribute_names("#life", LIFE)
            .expression_attribute_values(":version", items::number(&stored.head.version))
            .expression_attribute_values(":life", items::number(&stored.life));
        let listed = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(keys::listed(&stored.consumer).map_err(WriteError::Other)?.attributes()));
        let reply = self
            .writes
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().delete(head.build().map_err(broken)?).build())
            .transact_items(TransactWriteItem::builder().delete(listed.build().map_err(broken)?).build())
            .send()
            .await;
        reply.map(|_| ()).map_err(|error| of_write(&error, what))
    }

    /// Items of a consumer that has no head; each only if it is still the one that was listed.
    async fn delete_items(&self, found: Vec<Attributes>, what: &str) -> Result<(), CheckpointError> {
        let is_head = |item: &Attributes| item.get(ITEM) == Some(&AttributeValue::S(HEAD.to_owned()));
        let items = found.into_iter().filter(|item| !is_head(item));
        futures::stream::iter(items.map(|item| Ok(self.delete_item(item, what))))
            .try_buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }

    async fn delete_item(&self, mut item: Attributes, what: &str) -> Result<(), CheckpointError> {
        let life = item.remove(LIFE);
        let condition = if life.is_some() {
            "#life = :life"
        } else {
            "attribute_not_exists(#life)"
        };
        let mut patience = Patience::new(self.patience);
        loop {
            let reply = self
                .writes
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(item.clone()))
                .condition_expression(condition)
                .expression_attribute_names("#life", LIFE)
                .set_expression_attribute_values(life.clone().map(|life| Attributes::from([(":life".to_owned(), life)])))
                .send()
                .await;
            match reply.map_err(|error| of_write(&error, what)) {
                Ok(_) | Err(WriteError::Condition) => return Ok(()),
                Err(error) => patience.after(self, error, what).await?,
            }
        }
    }
}
