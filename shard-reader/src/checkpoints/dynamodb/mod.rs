//! Checkpoints in one DynamoDB table, for servers that share them.
//!
//! ```text
//! consumer (S, partition)   item (S, sort)                               attributes beside `format`
//! STREAM#NAME               head                                         version, life, open, owner (of the open one), body: JSON
//! STREAM#NAME               iteration#NUMBER                             life, body: CBOR in zstd, expires
//! STREAM#NAME               base#NUMBER                                  life, body: CBOR in zstd, expires
//! STREAM#NAME               runs#NUMBER#OWNER#STATEMENT                  statement, query, sql, parts, delivered (NS), expires
//! consumers                 STREAM#NAME                                  name, stream
//! ```
//!
//! STREAM is an ARN; in it, in OWNER and in STATEMENT, `#` and `%` are written as `%23` and `%25`. NUMBER has 20 digits. `life` is the version of the
//! consumer's first head: items of another life are what a consumer of the same name left when it was deleted, and count for nothing. `expires` (s since
//! the epoch) is the table's TTL attribute: what is superseded has one, and is not seen after it, deleted or not.
//!
//! Every write of a head has the condition that it is the head that was read, and goes in one transaction with the item that it names first. Neither
//! tokens of idempotence nor what replies say are relied on: after an error, and after a condition that did not hold, the head is read again and tells
//! what happened; and after a success the head must show it. All reads are consistent.

mod changes;
mod deletion;
mod errors;
mod expiry;
mod items;
mod keys;
mod old_tables;
mod reads;
mod runs;
mod table;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use tokio::sync::OnceCell;

use super::model::{Base, Consumer, Head, Iteration, IterationNumber, OwnerToken, Run, Runs};
use super::store::{CheckpointError, CheckpointErrorKind, CheckpointStore, Commit};
use super::transitions::{self, Moment};
use crate::{KinesisSettings, StreamIdentity, WallClock};

/// An item has at most 400 KB: that much does not take longer.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(5);
/// Errors that may pass are waited for so long.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the table is and as whom to call it. What is not set comes from AWS's default chain, as for [`KinesisSettings`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamoDbSettings {
    /// Name or ARN of the table.
    pub table: String,
    /// Create it when it is missing.
    pub create: bool,
    /// Region.
    pub region: Option<String>,
    /// Endpoint URL instead of AWS's.
    pub endpoint: Option<String>,
    /// Profile of the AWS configuration files.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id for it.
    pub external_id: Option<String>,
}

/// Checkpoints in a DynamoDB table. See the module.
pub struct DynamoDbCheckpoints {
    /// With the SDK's standard retries, for what may be asked twice.
    reads: Client,
    /// Without: what a write that failed left is looked at before it is tried again.
    writes: Client,
    table: String,
    create: bool,
    keep: Duration,
    patience: Duration,
    clock: WallClock,
    /// Set once the table was there.
    ready: OnceCell<()>,
}

impl fmt::Debug for DynamoDbCheckpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoDbCheckpoints")
            .field("table", &self.table)
            .finish_non_exhaustive()
    }
}

impl DynamoDbCheckpoints {
    /// Checkpoints by these settings. Makes no call to DynamoDB.
    ///
    /// # Errors
    /// `Invalid` when the settings cannot make a client.
    pub async fn connect(settings: &DynamoDbSettings, keep: Duration, clock: WallClock) -> Result<Self, CheckpointError> {
        // credentials are found in the same way, whatever the service
        let chain = KinesisSettings {
            region: settings.region.clone(),
            endpoint: None,
            profile: settings.profile.clone(),
            role_arn: settings.role_arn.clone(),
            external_id: settings.external_id.clone(),
            session_name: None,
        };
        let shared = chain.with_role("checkpoints.dynamodb").await.map_err(|error| {
            let message = format!("DynamoDB table {}: {error}", settings.table);
            CheckpointError::new(CheckpointErrorKind::Invalid, message).because(error)
        })?;
        let mut config = aws_sdk_dynamodb::config::Builder::from(&shared);
        if let Some(endpoint) = &settings.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Ok(Self::with_client(
            &Client::from_conf(config.build()),
            &settings.table,
            settings.create,
            keep,
            clock,
        ))
    }

    /// Checkpoints through a client. Makes no call.
    pub fn with_client(client: &Client, table: &str, create: bool, keep: Duration, clock: WallClock) -> Self {
        let mut timeouts = TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT);
        timeouts.set_connect_timeout(client.config().timeout_config().and_then(TimeoutConfig::connect_timeout));
        let config = client.config().to_builder().timeout_config(timeouts.build());
        let writes = config.clone().retry_config(RetryConfig::disabled());
        Self {
            reads: Client::from_conf(config.build()),
            writes: Client::from_conf(writes.build()),
            table: table.to_owned(),
            create,
            keep,
            patience: PATIENCE,
            clock,
            ready: OnceCell::new(),
        }
    }

    /// With another time than 10 s for errors that may pass.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The table's state, as the service words it; `None` where there is no such table. Makes none.
    ///
    /// # Errors
    /// Those of DescribeTable; `Invalid` for a table with other keys.
    pub async fn table_state(&self) -> Result<Option<String>, CheckpointError> {
        table::state(&self.reads, &self.table).await.map_err(|error| self.told(error))
    }

    fn moment(&self) -> Moment {
        Moment {
            now_ms: self.clock.now_ms(),
            keep: self.keep,
        }
    }

    /// Makes sure of the table, before the first call.
    async fn ready(&self) -> Result<(), CheckpointError> {
        if !self.create {
            return Ok(());
        }
        self.ready
            .get_or_try_init(|| table::ensure(&self.reads, &self.table))
            .await
            .copied()
    }

    /// For whoever called: with the table, and what to do where that is known.
    fn told(&self, mut error: CheckpointError) -> CheckpointError {
        let prefix = format!("DynamoDB table {}: ", self.table);
        if error.message.starts_with(&prefix) {
            return error;
        }
        let hint = match error.kind {
            CheckpointErrorKind::NotFound => {
                "; there is no such table: create it (partition key `consumer`, sort key `item`, both texts) or set `checkpoints.dynamodb.create: true`"
            }
            CheckpointErrorKind::Denied => "; deploy/iam-policy-checkpoints.json says what is needed, and `create: false` needs less",
            _ => "",
        };
        error.message = format!("{prefix}{}{hint}", error.message);
        error
    }
}

#[async_trait]
impl CheckpointStore for DynamoDbCheckpoints {
    fn describe(&self) -> String {
        format!("DynamoDB table {}", self.table)
    }

    async fn consumers(&self) -> Result<Vec<(Consumer, Head)>, CheckpointError> {
        self.ready().await?;
        self.list_consumers().await
    }

    async fn head(&self, consumer: &Consumer) -> Result<Option<Head>, CheckpointError> {
        self.ready().await?;
        Ok(self.read_head(consumer).await?.map(|stored| stored.head))
    }

    async fn iteration(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Iteration>, CheckpointError> {
        self.ready().await?;
        self.read_iteration(consumer, number).await
    }

    async fn iterations(&self, consumer: &Consumer) -> Result<Vec<Iteration>, CheckpointError> {
        self.ready().await?;
        self.read_iterations(consumer).await
    }

    async fn base(&self, consumer: &Consumer, number: IterationNumber) -> Result<Option<Base>, CheckpointError> {
        self.ready().await?;
        self.read_base(consumer, number).await
    }

    async fn set_base(
        &self,
        consumer: &Consumer,
        stream: &StreamIdentity,
        seen: Option<u64>,
        base: &Base,
        by: &str,
    ) -> Result<Head, CheckpointError> {
        self.ready().await?;
        let moment = self.moment();
        self.change(consumer, moment, "the start of", |stored, written| {
            transitions::set_base(stored, written, (consumer, stream, seen, base, by), moment)
        })
        .await
    }

    async fn open(&self, consumer: &Consumer, seen: u64, iteration: &Iteration, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        self.ready().await?;
        let moment = self.moment();
        self.change(consumer, moment, "opening an iteration of", |stored, _| {
            transitions::open(stored, (consumer, seen, iteration, owner), moment)
        })
        .await
    }

    async fn take_over(&self, consumer: &Consumer, seen: u64, owner: &OwnerToken) -> Result<Head, CheckpointError> {
        self.ready().await?;
        let moment = self.moment();
        self.change(consumer, moment, "taking over the iteration of", |stored, _| {
            transitions::take_over(stored, (consumer, seen, owner), moment)
        })
        .await
    }

    async fn abandon(&self, consumer: &Consumer, seen: u64, by: &str) -> Result<Head, CheckpointError> {
        self.ready().await?;
        let moment = self.moment();
        self.change(consumer, moment, "abandoning the iteration of", |stored, _| {
            transitions::abandon(stored, (consumer, seen, by), moment)
        })
        .await
    }

    async fn commit(&self, commits: &[Commit]) -> Result<Vec<Head>, CheckpointError> {
        transitions::check_commits(commits)?;
        self.ready().await?;
        self.commit_all(commits).await
    }

    async fn delete(&self, consumer: &Consumer) -> Result<bool, CheckpointError> {
        self.ready().await?;
        self.delete_all(consumer).await
    }

    async fn begin_run(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        run: &Run,
    ) -> Result<(), CheckpointError> {
        self.ready().await?;
        self.put_run((consumer, number, owner, statement), run).await
    }

    async fn delivered(
        &self,
        consumer: &Consumer,
        number: IterationNumber,
        owner: &OwnerToken,
        statement: &str,
        query_id: &str,
        part: u32,
    ) -> Result<Option<Run>, CheckpointError> {
        self.ready().await?;
        self.add_part((consumer, number, owner, statement), query_id, part).await
    }

    async fn runs(&self, consumer: &Consumer, number: IterationNumber, owner: &OwnerToken) -> Result<Runs, CheckpointError> {
        self.ready().await?;
        self.read_runs(consumer, number, owner).await
    }
}

#[cfg(test)]
mod tests;
