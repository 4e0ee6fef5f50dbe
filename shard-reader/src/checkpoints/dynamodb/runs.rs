//! Runs, an item each: parts are added to a set, so that many may be at once.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::DynamoDbCheckpoints;
use super::changes::Patience;
use super::errors::{WriteError, of_write};
use super::items::{self, DELIVERED, QUERY};
use super::keys;
use crate::checkpoints::model::{Consumer, IterationNumber, OwnerToken, Run, Runs};
use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind};

/// Consumer, iteration, owner, and hash of the statement.
type Which<'a> = (&'a Consumer, IterationNumber, &'a OwnerToken, &'a str);

impl DynamoDbCheckpoints {
    pub(super) async fn put_run(&self, (consumer, number, owner, statement): Which<'_>, run: &Run) -> Result<(), CheckpointError> {
        let key = keys::run(consumer, number, owner, statement)?;
        let what = format!("{consumer}, a run of iteration {number}");
        let mut patience = Patience::new(self.patience);
        loop {
            let reply = self
                .writes
                .put_item()
                .table_name(&self.table)
                .set_item(Some(items::of_run(&key, statement, run)))
                .send()
                .await;
            match reply.map_err(|error| of_write(&error, &what)) {
                Ok(_) => return Ok(()),
                Err(error) => patience.after(self, error, &what).await?,
            }
        }
    }

    pub(super) async fn add_part(
        &self,
        (consumer, number, owner, statement): Which<'_>,
        query_id: &str,
        part: u32,
    ) -> Result<Option<Run>, CheckpointError> {
        let key = keys::run(consumer, number, owner, statement)?;
        let what = format!("{consumer}, part {part} of a run of iteration {number}");
        let mut patience = Patience::new(self.patience);
        loop {
            let reply = self
                .writes
                .update_item()
                .table_name(&self.table)
                .set_key(Some(key.attributes()))
                .condition_expression("#query = :query")
                .update_expression("ADD #delivered :part")
                .expression_attribute_names("#query", QUERY)
                .expression_attribute_names("#delivered", DELIVERED)
                .expression_attribute_values(":query", AttributeValue::S(query_id.to_owned()))
                .expression_attribute_values(":part", AttributeValue::Ns(vec![part.to_string()]))
                .return_values(ReturnValue::AllNew)
                .send()
                .await;
            let written = match reply.map_err(|error| of_write(&error, &what)) {
                Ok(reply) => reply.attributes,
                Err(WriteError::Condition) => return Ok(None),
                Err(error) => {
                    patience.after(self, error, &what).await?;
                    continue;
                }
            };
            let written = match written {
                Some(written) => Some(written),
                None => self.get(&key).await?,
            };
            let run = written.map(|written| items::to_run(&what, &written)).transpose()?;
            return match run {
                Some((_, run)) if run.query_id != query_id => Ok(None),
                Some((_, run)) if run.delivered.contains(&part) => Ok(Some(run)),
                _ => Err(self.told(CheckpointError::new(
                    CheckpointErrorKind::Corrupt,
                    format!("{what}: DynamoDB acknowledged it, and does not have it"),
                ))),
            };
        }
    }

    pub(super) async fn read_runs(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
    ) -> Result<Runs, CheckpointError> {
        let what = format!("{consumer}, runs of iteration {number}");
        let found = self.query(&keys::partition(consumer), &keys::runs_by(number, owner), None).await?;
        found.iter().map(|item| items::to_run(&what, item)).collect()
    }
}
