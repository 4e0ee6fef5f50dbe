//! Changes of heads: read, ask what becomes of it, write that under the condition that it is still the one that was read, and look.

use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, ReturnValue, TransactWriteItem, Update};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::DynamoDbCheckpoints;
use super::errors::{WriteError, of_write};
use super::items::{self, Attributes, EXPIRES, LIFE, OPEN, OWNER, VERSION};
use super::keys::{self, CONSUMER};
use crate::checkpoints::model::{Base, Consumer, Head, IterationStart, OwnerToken};
use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind, Commit};
use crate::checkpoints::transitions::{self, Change, ItemKey, Moment, Step, StoredHead};

/// How long errors that may pass are waited for, and in which steps.
pub(super) struct Patience {
    ends: Instant,
    waits: ExponentialBackoff,
}

impl Patience {
    pub(super) fn new(patience: Duration) -> Self {
        let waits = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(25))
            .with_max_delay(Duration::from_secs(1))
            .with_jitter()
            .without_max_times();
        Self {
            ends: Instant::now() + patience,
            waits: waits.build(),
        }
    }

    /// Returns when it may be tried again.
    ///
    /// # Errors
    /// The error, if it does not pass, or not in time.
    pub(super) async fn after(&mut self, store: &DynamoDbCheckpoints, error: WriteError, what: &str) -> Result<(), CheckpointError> {
        let error = match error {
            WriteError::Other(error) if !error.is_retryable() => return Err(store.told(error)),
            WriteError::Other(error) => error,
            WriteError::Condition => CheckpointError::new(
                CheckpointErrorKind::Unavailable,
                format!("{what}: others changed it all the time, or DynamoDB refuses what it should not"),
            ),
        };
        self.wait(store.told(error)).await
    }

    async fn wait(&mut self, error: CheckpointError) -> Result<(), CheckpointError> {
        let wait = self.waits.next().unwrap_or(Duration::from_secs(1));
        if !error.is_retryable() || Instant::now() + wait > self.ends {
            return Err(error);
        }
        sleep(wait).await;
        Ok(())
    }
}

/// A change, and the head that it is a change of.
struct Write<'a> {
    change: Box<Change<'a>>,
    seen: Option<StoredHead>,
    /// The commit that it is.
    commits: Option<&'a Commit>,
}

impl DynamoDbCheckpoints {
    /// Changes one head. `step` gets the head, and the base that it starts at.
    pub(super) async fn change<'a>(
        &self,
        consumer: &Consumer,
        moment: Moment,
        doing: &str,
        step: impl Fn(Option<&StoredHead>, Option<&Base>) -> Result<Step<'a>, CheckpointError> + Send + Sync,
    ) -> Result<Head, CheckpointError> {
        let what = format!("{doing} {consumer}");
        let mut patience = Patience::new(self.patience);
        // what may have happened without our hearing of it
        let mut tried: Option<Box<Change<'a>>> = None;
        loop {
            let (stored, base) = match self.read_with_base(consumer).await {
                Ok(read) => read,
                Err(error) => {
                    patience.wait(error).await?;
                    continue;
                }
            };
            let change = match step(stored.as_ref(), base.as_ref())? {
                Step::Done(head) => {
                    if let Some(change) = tried {
                        self.expire_runs(&change, moment).await;
                    }
                    return Ok(head);
                }
                Step::Write(change) => change,
            };
            let write = Write {
                change,
                seen: stored,
                commits: None,
            };
            let writes = [write];
            let written = self.write(&writes, moment, &what).await;
            let [Write { change, .. }] = writes;
            match written {
                Ok(()) => {
                    self.expire_runs(&change, moment).await;
                    return Ok(change.head.head);
                }
                Err(error) => patience.after(self, error, &what).await?,
            }
            tried = Some(change);
        }
    }

    async fn read_with_base(&self, consumer: &Consumer) -> Result<(Option<StoredHead>, Option<Base>), CheckpointError> {
        let stored = self.read_head(consumer).await?;
        let base = match stored.as_ref().map(|stored| stored.head.start) {
            Some(IterationStart::Base(number)) => self.read_base(consumer, number).await?,
            _ => None,
        };
        Ok((stored, base))
    }

    /// Commits all of them or none.
    pub(super) async fn commit_all(&self, commits: &[Commit]) -> Result<Vec<Head>, CheckpointError> {
        let moment = self.moment();
        let what = match commits {
            [commit] => format!("commit of iteration {} of {}", commit.number, commit.consumer),
            several => format!("commit of {} checkpoints", several.len()),
        };
        let mut patience = Patience::new(self.patience);
        // what may have happened without our hearing of it
        let mut tried: Vec<Box<Change<'_>>> = Vec::new();
        loop {
            let consumers = commits.iter().map(|commit| commit.consumer.clone()).collect();
            let stored = match self.read_heads(consumers).await {
                Ok(stored) => stored,
                Err(error) => {
                    patience.wait(error).await?;
                    continue;
                }
            };
            let mut heads = Vec::with_capacity(commits.len());
            let mut writes = Vec::new();
            for (commit, (_, seen)) in commits.iter().zip(stored) {
                match transitions::commit(seen.as_ref(), commit, moment)? {
                    Step::Done(head) => heads.push(head),
                    Step::Write(change) => {
                        heads.push(change.head.head.clone());
                        writes.push(Write {
                            change,
                            seen,
                            commits: Some(commit),
                        });
                    }
                }
            }
            if writes.is_empty() {
                self.expire(&tried, moment).await;
                return Ok(heads);
            }
            let written = self.write(&writes, moment, &what).await;
            tried = writes.into_iter().map(|write| write.change).collect();
            match written {
                Ok(()) => {
                    self.expire(&tried, moment).await;
                    return Ok(heads);
                }
                Err(error) => patience.after(self, error, &what).await?,
            }
        }
    }

    /// Writes all of it or nothing, and makes sure that it is there.
    async fn write(&self, writes: &[Write<'_>], moment: Moment, what: &str) -> Result<(), WriteError> {
        let unseen = match writes {
            [write] if write.is_one_item() => self.update(write, what).await?,
            several => {
                self.transact(several, moment, what).await?;
                several.iter().collect()
            }
        };
        let consumers = unseen.iter().map(|write| write.change.head.consumer.clone()).collect();
        let stored = self.read_heads(consumers).await.map_err(WriteError::Other)?;
        for (write, (_, stored)) in unseen.into_iter().zip(stored) {
            write.check(stored.as_ref(), what).map_err(WriteError::Other)?;
        }
        Ok(())
    }

    /// Writes a head alone. What is returned still has to be looked for.
    async fn update<'w, 'a>(&self, write: &'w Write<'a>, what: &str) -> Result<Vec<&'w Write<'a>>, WriteError> {
        let (condition, mut names, mut values) = write.condition();
        let (mut set, mut remove) = (Vec::new(), Vec::new());
        for (name, value) in items::of_head(&write.change.head).map_err(WriteError::Other)? {
            names.push((format!("#{name}"), name));
            match value {
                Some(value) => {
                    set.push(format!("#{name} = :new_{name}"));
                    values.push((format!(":new_{name}"), value));
                }
                None => remove.push(format!("#{name}")),
            }
        }
        let mut update = format!("SET {}", set.join(", "));
        if !remove.is_empty() {
            update += &format!(" REMOVE {}", remove.join(", "));
        }
        let consumer = &write.change.head.consumer;
        let reply = self
            .writes
            .update_item()
            .table_name(&self.table)
            .set_key(Some(keys::head(consumer).attributes()))
            .condition_expression(condition)
            .update_expression(update)
            .set_expression_attribute_names(Some(names.into_iter().map(|(name, of)| (name, of.to_owned())).collect()))
            .set_expression_attribute_values(Some(values.into_iter().collect()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        let reply = reply.map_err(|error| of_write(&error, what))?;
        match reply.attributes {
            Some(attributes) => {
                let stored = items::to_head(consumer, &attributes).map_err(WriteError::Other)?;
                write.check(Some(&stored), what).map_err(WriteError::Other)?;
                Ok(Vec::new())
            }
            None => Ok(vec![write]),
        }
    }

    async fn transact(&self, writes: &[Write<'_>], moment: Moment, what: &str) -> Result<(), WriteError> {
        let mut actions = Vec::new();
        for write in writes {
            self.actions(write, moment, &mut actions).map_err(WriteError::Other)?;
        }
        // the SDK adds a token of idempotence, new for each call
        let reply = self.writes.transact_write_items().set_transact_items(Some(actions)).send().await;
        reply.map(|_| ()).map_err(|error| of_write(&error, what))
    }

    fn actions(&self, write: &Write<'_>, moment: Moment, actions: &mut Vec<TransactWriteItem>) -> Result<(), CheckpointError> {
        let change = &write.change;
        let (consumer, life) = (&change.head.consumer, change.head.life);
        let mut attributes = keys::head(consumer).attributes();
        attributes.extend(
            items::of_head(&change.head)?
                .into_iter()
                .filter_map(|(name, value)| Some((name.to_owned(), value?))),
        );
        let (condition, names, values) = write.condition();
        let values: Attributes = values.into_iter().collect();
        let head = Put::builder()
            .table_name(&self.table)
            .set_item(Some(attributes))
            .condition_expression(condition)
            .set_expression_attribute_names(Some(names.into_iter().map(|(name, of)| (name, of.to_owned())).collect()))
            .set_expression_attribute_values((!values.is_empty()).then_some(values));
        actions.push(TransactWriteItem::builder().put(head.build().map_err(incomplete)?).build());
        let mut puts = Vec::new();
        if let Some(item) = change.item {
            puts.push(items::of_item(consumer, life, item)?);
        }
        if write.seen.is_none() {
            puts.push(items::of_listed(consumer)?);
        }
        for item in puts {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(item))
                .build()
                .map_err(incomplete)?;
            actions.push(TransactWriteItem::builder().put(put).build());
        }
        for number in &change.forgotten {
            let key = keys::numbered(consumer, ItemKey::Iteration(*number)).attributes();
            let delete = Delete::builder()
                .table_name(&self.table)
                .set_key(Some(key))
                .build()
                .map_err(incomplete)?;
            actions.push(TransactWriteItem::builder().delete(delete).build());
        }
        if write.commits.is_some() {
            return Ok(());
        }
        for key in &change.superseded {
            let update = Update::builder()
                .table_name(&self.table)
                .set_key(Some(keys::numbered(consumer, *key).attributes()))
                .update_expression("SET #expires = :expires")
                .expression_attribute_names("#expires", EXPIRES)
                .expression_attribute_values(":expires", expires(moment));
            actions.push(TransactWriteItem::builder().update(update.build().map_err(incomplete)?).build());
        }
        Ok(())
    }
}

/// Seconds since the epoch.
pub(super) fn expires(moment: Moment) -> AttributeValue {
    items::number(&moment.expires_ms().div_euclid(1000).max(0))
}

pub(super) fn incomplete(error: aws_smithy_types::error::operation::BuildError) -> CheckpointError {
    CheckpointError::new(CheckpointErrorKind::Invalid, "a request that is incomplete").because(error)
}

type Condition = (String, Vec<(String, &'static str)>, Vec<(String, AttributeValue)>);

impl Write<'_> {
    /// Whether nothing but the head is written.
    fn is_one_item(&self) -> bool {
        let change = &self.change;
        let beside = change.item.is_none() && change.forgotten.is_empty();
        beside && self.seen.is_some() && (self.commits.is_some() || change.superseded.is_empty())
    }

    /// That the head is the one that was read.
    fn condition(&self) -> Condition {
        let Some(seen) = &self.seen else {
            return (
                "attribute_not_exists(#consumer)".to_owned(),
                vec![("#consumer".to_owned(), CONSUMER)],
                Vec::new(),
            );
        };
        let mut condition = "#version = :version AND #life = :life".to_owned();
        let mut names = vec![("#version".to_owned(), VERSION), ("#life".to_owned(), LIFE)];
        let mut values = vec![
            (":version".to_owned(), items::number(&seen.head.version)),
            (":life".to_owned(), items::number(&seen.life)),
        ];
        if let Some(Commit { number, owner, .. }) = self.commits {
            condition += " AND #open = :open AND #owner = :owner";
            names.extend([("#open".to_owned(), OPEN), ("#owner".to_owned(), OWNER)]);
            values.extend([
                (":open".to_owned(), items::number(number)),
                (":owner".to_owned(), AttributeValue::S(owner.to_string())),
            ]);
        }
        (condition, names, values)
    }

    /// Whether what was acknowledged is there.
    fn check(&self, stored: Option<&StoredHead>, what: &str) -> Result<(), CheckpointError> {
        let new = &self.change.head;
        let there = stored.is_some_and(|stored| {
            let committed = |commit: &Commit| {
                let done: (_, &OwnerToken) = (commit.number, &commit.owner);
                stored.commits.iter().any(|(number, owner)| (*number, owner) == done)
            };
            let later = stored.life == new.life && stored.head.version > new.head.version;
            stored == new || later && self.commits.is_none_or(committed)
        });
        if there {
            return Ok(());
        }
        let found = stored.map_or("none".to_owned(), |stored| format!("version {}", stored.head.version));
        Err(CheckpointError::new(
            CheckpointErrorKind::Corrupt,
            format!(
                "{what}: DynamoDB acknowledged version {} of the head, and has {found}; nothing can be said of what is stored",
                new.head.version
            ),
        ))
    }
}
