//! Tables of the connectors for Presto and Hive, and of the Kinesis Client Library.

use aws_sdk_dynamodb::types::AttributeValue;

use super::super::old::OldRow;
use super::super::store::CheckpointError;
use super::DynamoDbCheckpoints;
use super::errors::classify;

impl DynamoDbCheckpoints {
    /// All rows with a `leaseKey` of another table of the same account and region, read consistently.
    ///
    /// # Errors
    /// As for reading checkpoints; `NotFound` if there is no such table.
    pub async fn old_rows(&self, table: &str) -> Result<Vec<OldRow>, CheckpointError> {
        let scan = self.reads.scan().table_name(table).consistent_read(true);
        let mut pages = scan.into_paginator().send();
        let mut rows = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(&error, &format!("Scan of table {table}")))?;
            for item in page.items.unwrap_or_default() {
                let Some(AttributeValue::S(key)) = item.get("leaseKey") else {
                    continue;
                };
                let text = |name: &str| match item.get(name) {
                    Some(AttributeValue::S(text) | AttributeValue::N(text)) => Some(text.clone()),
                    _ => None,
                };
                rows.push(OldRow {
                    key: key.clone(),
                    checkpoint: text("checkpoint"),
                    sub: text("checkpointSubSequenceNumber").and_then(|sub| sub.parse().ok()),
                });
            }
        }
        Ok(rows)
    }
}
