//! Consistent reads.

use aws_sdk_dynamodb::types::AttributeValue;
use futures::{StreamExt, TryStreamExt};

use super::DynamoDbCheckpoints;
use super::errors::classify;
use super::items::{self, Attributes};
use super::keys::{self, CONSUMER, CONSUMERS, ITEM, ITERATIONS, Key};
use crate::checkpoints::model::{Base, Consumer, Head, Iteration, IterationNumber};
use crate::checkpoints::store::CheckpointError;
use crate::checkpoints::transitions::{ItemKey, StoredHead};

/// So many reads of a list are under way at a time.
pub(super) const AT_ONCE: usize = 16;

impl DynamoDbCheckpoints {
    pub(super) async fn get(&self, key: &Key) -> Result<Option<Attributes>, CheckpointError> {
        let reply = self
            .reads
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.attributes()))
            .consistent_read(true)
            .send()
            .await;
        let reply = reply.map_err(|error| self.told(classify(&error, &format!("GetItem of {}, {}", key.consumer, key.item))))?;
        Ok(reply.item)
    }

    /// All items of a partition whose sort keys begin so. `attributes`: only these.
    pub(super) async fn query(
        &self,
        partition: &str,
        prefix: &str,
        attributes: Option<&[&str]>,
    ) -> Result<Vec<Attributes>, CheckpointError> {
        let mut request = self
            .reads
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .expression_attribute_names("#consumer", CONSUMER)
            .expression_attribute_values(":consumer", AttributeValue::S(partition.to_owned()));
        let mut condition = "#consumer = :consumer".to_owned();
        if !prefix.is_empty() {
            condition += " AND begins_with(#item, :prefix)";
            request = request
                .expression_attribute_names("#item", ITEM)
                .expression_attribute_values(":prefix", AttributeValue::S(prefix.to_owned()));
        }
        if let Some(attributes) = attributes {
            let names: Vec<String> = attributes.iter().map(|name| format!("#a_{name}")).collect();
            request = request.projection_expression(names.join(", "));
            for (placeholder, name) in names.into_iter().zip(attributes) {
                request = request.expression_attribute_names(placeholder, *name);
            }
        }
        let mut pages = request.key_condition_expression(condition).into_paginator().send();
        let mut all = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| self.told(classify(&error, &format!("Query of {partition}"))))?;
            all.extend(page.items.unwrap_or_default());
        }
        Ok(all)
    }

    pub(super) async fn read_head(&self, consumer: &Consumer) -> Result<Option<StoredHead>, CheckpointError> {
        let attributes = self.get(&keys::head(consumer)).await?;
        attributes.map(|attributes| items::to_head(consumer, &attributes)).transpose()
    }

    /// Heads of several, in their order.
    pub(super) async fn read_heads(&self, consumers: Vec<Consumer>) -> Result<Vec<(Consumer, Option<StoredHead>)>, CheckpointError> {
        let read = |consumer: Consumer| async move {
            let head = self.read_head(&consumer).await?;
            Ok((consumer, head))
        };
        futures::stream::iter(consumers.into_iter().map(read))
            .buffered(AT_ONCE)
            .try_collect()
            .await
    }

    pub(super) async fn list_consumers(&self) -> Result<Vec<(Consumer, Head)>, CheckpointError> {
        let listed = self.query(CONSUMERS, "", None).await?;
        let listed: Vec<Consumer> = listed.iter().map(items::to_listed).collect::<Result<_, _>>()?;
        let heads = self.read_heads(listed).await?;
        // one without a head was deleted in between
        let mut all: Vec<(Consumer, Head)> = heads
            .into_iter()
            .filter_map(|(consumer, stored)| Some((consumer, stored?.head)))
            .collect();
        all.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(all)
    }

    pub(super) async fn read_iteration(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Iteration>, CheckpointError> {
        let key = keys::numbered(consumer, ItemKey::Iteration(number));
        let (head, item) = tokio::try_join!(self.read_head(consumer), self.get(&key))?;
        match (head, item) {
            (Some(head), Some(item)) => items::to_iteration(consumer, &item, head.life, self.clock.now_ms()),
            _ => Ok(None),
        }
    }

    pub(super) async fn read_iterations(&self, consumer: &Consumer) -> Result<Vec<Iteration>, CheckpointError> {
        let partition = keys::partition(consumer);
        let (head, found) = tokio::try_join!(self.read_head(consumer), self.query(&partition, ITERATIONS, None))?;
        let Some(head) = head else { return Ok(Vec::new()) };
        let now_ms = self.clock.now_ms();
        let read = |item| items::to_iteration(consumer, item, head.life, now_ms).transpose();
        found.iter().filter_map(read).collect()
    }

    pub(super) async fn read_base(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Base>, CheckpointError> {
        let key = keys::numbered(consumer, ItemKey::Base(number));
        let (head, item) = tokio::try_join!(self.read_head(consumer), self.get(&key))?;
        match (head, item) {
            (Some(head), Some(item)) => items::to_base(consumer, number, &item, head.life, self.clock.now_ms()),
            _ => Ok(None),
        }
    }
}
