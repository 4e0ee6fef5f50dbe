//! The table: made when it is missing, and waited for.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::create_table::CreateTableError;
use aws_sdk_dynamodb::operation::describe_table::DescribeTableError;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription, TableStatus,
    TimeToLiveSpecification, TimeToLiveStatus,
};
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::{Instant, sleep};

use super::errors::classify;
use super::items::EXPIRES;
use super::keys::{CONSUMER, ITEM};
use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind};

/// A new table is there after so long.
const CREATION: Duration = Duration::from_secs(120);

/// Whether it can be used.
enum Found {
    Active,
    /// Not yet.
    Soon(String),
    Missing,
}

/// Creates the table when it is missing, by whomever of several, and returns when it can be used.
pub(super) async fn ensure(client: &Client, table: &str) -> Result<(), CheckpointError> {
    let started = Instant::now();
    let mut waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(3))
        .with_jitter()
        .without_max_times()
        .build();
    let mut created = false;
    loop {
        let state = match find(client, table).await? {
            Found::Active => break,
            Found::Soon(state) => state,
            Found::Missing if created => "being created".to_owned(),
            Found::Missing => {
                create(client, table).await?;
                created = true;
                continue;
            }
        };
        if started.elapsed() > CREATION {
            return Err(CheckpointError::new(
                CheckpointErrorKind::Unavailable,
                format!("it is {state}, after {} s still", CREATION.as_secs()),
            ));
        }
        sleep(waits.next().unwrap_or(Duration::from_secs(3))).await;
    }
    if let Err(error) = expire(client, table).await {
        // what is superseded stays in the table then, and nothing depends on it
        tracing::warn!(table, "items do not expire: {error}");
    }
    Ok(())
}

/// The table's state; `None` where it is missing.
pub(super) async fn state(client: &Client, table: &str) -> Result<Option<String>, CheckpointError> {
    Ok(match find(client, table).await? {
        Found::Active => Some(TableStatus::Active.to_string()),
        Found::Soon(state) => Some(state),
        Found::Missing => None,
    })
}

async fn find(client: &Client, table: &str) -> Result<Found, CheckpointError> {
    let description = match client.describe_table().table_name(table).send().await {
        Ok(reply) => reply.table,
        Err(error)
            if error
                .as_service_error()
                .is_some_and(DescribeTableError::is_resource_not_found_exception) =>
        {
            return Ok(Found::Missing);
        }
        Err(error) => return Err(classify(&error, "DescribeTable")),
    };
    let unusable = |why: String| Err(CheckpointError::new(CheckpointErrorKind::Invalid, format!("it {why}")));
    let Some(description) = description else {
        return unusable("is not described by DescribeTable's reply".to_owned());
    };
    if !has_our_keys(&description) {
        return unusable(format!(
            "has other keys than `{CONSUMER}` (partition) and `{ITEM}` (sort), both texts; name another table in `checkpoints.dynamodb.table`"
        ));
    }
    match description.table_status() {
        Some(TableStatus::Active | TableStatus::Updating) => Ok(Found::Active),
        Some(state @ (TableStatus::Creating | TableStatus::Deleting)) => Ok(Found::Soon(state.to_string())),
        Some(other) => unusable(format!("cannot be used: its state is {other}")),
        None => unusable("has no state".to_owned()),
    }
}

fn has_our_keys(description: &TableDescription) -> bool {
    let has = |name: &str, kind: KeyType| {
        let key = description
            .key_schema()
            .iter()
            .any(|key| key.attribute_name() == name && *key.key_type() == kind);
        let text = description
            .attribute_definitions()
            .iter()
            .any(|attribute| attribute.attribute_name() == name && *attribute.attribute_type() == ScalarAttributeType::S);
        key && text
    };
    description.key_schema().len() == 2 && has(CONSUMER, KeyType::Hash) && has(ITEM, KeyType::Range)
}

/// Asks for the table, unless somebody else just did.
async fn create(client: &Client, table: &str) -> Result<(), CheckpointError> {
    let what = "CreateTable";
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, kind) in [(CONSUMER, KeyType::Hash), (ITEM, KeyType::Range)] {
        let incomplete = |error| CheckpointError::new(CheckpointErrorKind::Invalid, what).because(error);
        let attribute = AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S);
        let key = KeySchemaElement::builder().attribute_name(name).key_type(kind);
        request = request
            .attribute_definitions(attribute.build().map_err(incomplete)?)
            .key_schema(key.build().map_err(incomplete)?);
    }
    match request.send().await {
        Ok(_) => {
            tracing::info!(table, "created the DynamoDB table of checkpoints");
            Ok(())
        }
        Err(error) if error.as_service_error().is_some_and(CreateTableError::is_resource_in_use_exception) => Ok(()),
        Err(error) => Err(classify(&error, what)),
    }
}

/// Lets items expire, unless they do already.
async fn expire(client: &Client, table: &str) -> Result<(), CheckpointError> {
    let reply = client.describe_time_to_live().table_name(table).send().await;
    let reply = reply.map_err(|error| classify(&error, "DescribeTimeToLive"))?;
    let description = reply.time_to_live_description();
    let status = description.and_then(|description| description.time_to_live_status());
    if matches!(status, Some(TimeToLiveStatus::Enabled | TimeToLiveStatus::Enabling)) {
        return match description.and_then(|description| description.attribute_name()) {
            Some(EXPIRES) => Ok(()),
            other => Err(CheckpointError::new(
                CheckpointErrorKind::Invalid,
                format!("the table's TTL attribute is {other:?}, not `{EXPIRES}`"),
            )),
        };
    }
    let specification = TimeToLiveSpecification::builder().attribute_name(EXPIRES).enabled(true).build();
    let specification =
        specification.map_err(|error| CheckpointError::new(CheckpointErrorKind::Invalid, "UpdateTimeToLive").because(error))?;
    let reply = client
        .update_time_to_live()
        .table_name(table)
        .time_to_live_specification(specification)
        .send()
        .await;
    match reply {
        Ok(_) => Ok(()),
        // somebody else just did
        Err(error) if already_enabled(&error) => Ok(()),
        Err(error) => Err(classify(&error, "UpdateTimeToLive")),
    }
}

fn already_enabled<E: aws_sdk_dynamodb::error::ProvideErrorMetadata, R>(error: &aws_sdk_dynamodb::error::SdkError<E, R>) -> bool {
    error
        .as_service_error()
        .and_then(|error| error.message())
        .is_some_and(|message| message.contains("already enabled"))
}
