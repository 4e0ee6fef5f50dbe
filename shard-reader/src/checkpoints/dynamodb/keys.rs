//! Keys of items. Numbers have 20 digits, so that they sort as numbers do.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::checkpoints::model::{Consumer, IterationNumber, OwnerToken};
use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind};
use crate::checkpoints::transitions::ItemKey;

/// Partition key.
pub(super) const CONSUMER: &str = "consumer";
/// Sort key.
pub(super) const ITEM: &str = "item";
/// The partition that lists the consumers. No consumer has it: theirs hold a `#`.
pub(super) const CONSUMERS: &str = "consumers";
/// Sort key of the head.
pub(super) const HEAD: &str = "head";
/// What sort keys of iterations begin with.
pub(super) const ITERATIONS: &str = "iteration#";

/// DynamoDB's bound of a sort key, in bytes.
const LONGEST_SORT_KEY: usize = 1024;

/// An item's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) consumer: String,
    pub(super) item: String,
}

impl Key {
    pub(super) fn attributes(&self) -> HashMap<String, AttributeValue> {
        [(CONSUMER, &self.consumer), (ITEM, &self.item)]
            .map(|(name, value)| (name.to_owned(), AttributeValue::S(value.clone())))
            .into()
    }
}

/// `#` separates.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('#', "%23")
}

/// Partition of a consumer.
pub(super) fn partition(consumer: &Consumer) -> String {
    format!("{}#{}", escaped(&consumer.stream), consumer.name)
}

fn of(consumer: &Consumer, item: String) -> Key {
    Key {
        consumer: partition(consumer),
        item,
    }
}

pub(super) fn head(consumer: &Consumer) -> Key {
    of(consumer, HEAD.to_owned())
}

/// The consumer's entry in the list of consumers.
///
/// # Errors
/// `Invalid`, if name and stream are too long together.
pub(super) fn listed(consumer: &Consumer) -> Result<Key, CheckpointError> {
    let key = Key {
        consumer: CONSUMERS.to_owned(),
        item: partition(consumer),
    };
    short_enough(consumer, key)
}

pub(super) fn numbered(consumer: &Consumer, item: ItemKey) -> Key {
    let item = match item {
        ItemKey::Iteration(number) => format!("{ITERATIONS}{:020}", number.0),
        ItemKey::Base(number) => format!("base#{:020}", number.0),
    };
    of(consumer, item)
}

/// What sort keys of an iteration's runs begin with.
pub(super) fn runs_of(number: IterationNumber) -> String {
    format!("runs#{:020}#", number.0)
}

/// What sort keys of an owner's runs in an iteration begin with.
pub(super) fn runs_by(number: IterationNumber, owner: &OwnerToken) -> String {
    format!("{}{}#", runs_of(number), escaped(&owner.0))
}

/// # Errors
/// `Invalid`, if owner and statement are too long together.
pub(super) fn run(consumer: &Consumer, number: IterationNumber, owner: &OwnerToken, statement: &str) -> Result<Key, CheckpointError> {
    let key = of(consumer, runs_by(number, owner) + &escaped(statement));
    short_enough(consumer, key)
}

fn short_enough(consumer: &Consumer, key: Key) -> Result<Key, CheckpointError> {
    if key.item.len() > LONGEST_SORT_KEY {
        let message = format!(
            "{consumer}: a key of {} bytes would be needed; DynamoDB takes {LONGEST_SORT_KEY}",
            key.item.len()
        );
        return Err(CheckpointError::new(CheckpointErrorKind::Invalid, message));
    }
    Ok(key)
}
