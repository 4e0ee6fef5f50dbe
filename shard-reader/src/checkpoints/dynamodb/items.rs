//! What items hold.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::keys::{self, Key};
use crate::checkpoints::encoding::{from_json, pack, to_json, unpack};
use crate::checkpoints::model::{Base, Consumer, Iteration, IterationNumber, Run};
use crate::checkpoints::store::{CheckpointError, CheckpointErrorKind};
use crate::checkpoints::transitions::{Item, ItemKey, StoredHead};

/// Attributes by name.
pub(super) type Attributes = HashMap<String, AttributeValue>;

/// Version of what is stored in an item.
const FORMAT: u64 = 1;
/// DynamoDB's bound of an item, in bytes: names and values together.
const MOST_BYTES: usize = 400 * 1024;

pub(super) const FORMAT_ATTRIBUTE: &str = "format";
pub(super) const LIFE: &str = "life";
pub(super) const VERSION: &str = "version";
pub(super) const OPEN: &str = "open";
pub(super) const OWNER: &str = "owner";
pub(super) const BODY: &str = "body";
pub(super) const EXPIRES: &str = "expires";
pub(super) const QUERY: &str = "query";
pub(super) const DELIVERED: &str = "delivered";
const STATEMENT: &str = "statement";
const SQL: &str = "sql";
const PARTS: &str = "parts";
const NAME: &str = "name";
const STREAM: &str = "stream";

pub(super) fn number(value: &impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn corrupt(what: &str, why: impl std::fmt::Display) -> CheckpointError {
    CheckpointError::new(CheckpointErrorKind::Corrupt, format!("{what}: {why}"))
}

fn text<'a>(attributes: &'a Attributes, name: &str, what: &str) -> Result<&'a str, CheckpointError> {
    let text = attributes.get(name).and_then(|value| value.as_s().ok());
    text.map(String::as_str)
        .ok_or_else(|| corrupt(what, format_args!("what is stored has no text `{name}`")))
}

/// A number; `None` if there is none.
fn numeric(attributes: &Attributes, name: &str) -> Option<u64> {
    attributes.get(name)?.as_n().ok()?.parse().ok()
}

/// Refuses what a later version wrote.
fn check_format(attributes: &Attributes, what: &str) -> Result<(), CheckpointError> {
    match numeric(attributes, FORMAT_ATTRIBUTE) {
        Some(FORMAT) => Ok(()),
        Some(other) => Err(CheckpointError::new(
            CheckpointErrorKind::Invalid,
            format!("{what}: format {other} of it was written by a later version of shardflight than this one; use that"),
        )),
        None => Err(corrupt(what, "what is stored has no `format`")),
    }
}

/// A head's attributes but its keys. What conditions are about stands beside the body.
pub(super) fn of_head(stored: &StoredHead) -> Result<Vec<(&'static str, Option<AttributeValue>)>, CheckpointError> {
    let open = stored.head.open.as_ref();
    Ok(vec![
        (FORMAT_ATTRIBUTE, Some(number(&FORMAT))),
        (LIFE, Some(number(&stored.life))),
        (VERSION, Some(number(&stored.head.version))),
        (OPEN, open.map(|open| number(&open.number))),
        (OWNER, open.map(|open| AttributeValue::S(open.owner.to_string()))),
        (BODY, Some(AttributeValue::S(to_json(&stored.consumer.to_string(), stored)?))),
    ])
}

/// What [`of_head`] made.
pub(super) fn to_head(consumer: &Consumer, attributes: &Attributes) -> Result<StoredHead, CheckpointError> {
    let what = format!("{consumer}, its head");
    check_format(attributes, &what)?;
    let stored: StoredHead = from_json(&what, text(attributes, BODY, &what)?.as_bytes())?;
    let agrees = |name: &str, value: Option<AttributeValue>| attributes.get(name) == value.as_ref();
    for (name, value) in of_head(&stored)? {
        if name != BODY && !agrees(name, value) {
            return Err(corrupt(&what, format_args!("`{name}` contradicts `{BODY}`")));
        }
    }
    if stored.consumer != *consumer {
        return Err(corrupt(&what, format_args!("it is the head of {}", stored.consumer)));
    }
    Ok(stored)
}

/// A consumer's entry in the list of consumers.
pub(super) fn of_listed(consumer: &Consumer) -> Result<Attributes, CheckpointError> {
    let mut attributes = keys::listed(consumer)?.attributes();
    attributes.insert(FORMAT_ATTRIBUTE.to_owned(), number(&FORMAT));
    attributes.insert(NAME.to_owned(), AttributeValue::S(consumer.name.to_string()));
    attributes.insert(STREAM.to_owned(), AttributeValue::S(consumer.stream.to_string()));
    Ok(attributes)
}

/// What [`of_listed`] made.
pub(super) fn to_listed(attributes: &Attributes) -> Result<Consumer, CheckpointError> {
    let what = "the list of checkpoints";
    check_format(attributes, what)?;
    let name = text(attributes, NAME, what)?;
    Ok(Consumer {
        name: name.parse().map_err(|error| corrupt(what, error))?,
        stream: text(attributes, STREAM, what)?.into(),
    })
}

/// An iteration or a base, as a whole item.
pub(super) fn of_item(consumer: &Consumer, life: u64, item: Item<'_>) -> Result<Attributes, CheckpointError> {
    let (key, what, shards, body) = match item {
        Item::Iteration(iteration) => {
            let what = format!("{consumer}, iteration {}", iteration.number);
            let body = pack(&what, iteration)?;
            (ItemKey::Iteration(iteration.number), what, iteration.ends.shards.len(), body)
        }
        Item::Base(number, base) => {
            let what = format!("{consumer}, base {number}");
            let body = pack(&what, base)?;
            (ItemKey::Base(number), what, base.ends.shards.len(), body)
        }
    };
    let packed = body.len();
    let mut attributes = keys::numbered(consumer, key).attributes();
    attributes.insert(FORMAT_ATTRIBUTE.to_owned(), number(&FORMAT));
    attributes.insert(LIFE.to_owned(), number(&life));
    attributes.insert(BODY.to_owned(), AttributeValue::B(body.into()));
    // it must be possible to say later when it expires
    let expiry = EXPIRES.len() + 11;
    if size(&attributes) + expiry > MOST_BYTES {
        let message = format!(
            "{what}: the positions of {shards} shards take {packed} bytes, packed; an item of DynamoDB holds {MOST_BYTES} at most. Keep checkpoints of \
             this stream in a file (`checkpoints.local`)"
        );
        return Err(CheckpointError::new(CheckpointErrorKind::Invalid, message));
    }
    Ok(attributes)
}

/// Bytes of an item, by the rules of the developer guide ("DynamoDB item sizes and formats"); a number takes a byte for two digits and one more.
fn size(attributes: &Attributes) -> usize {
    let of_value = |value: &AttributeValue| match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        _ => 0,
    };
    attributes.iter().map(|(name, value)| name.len() + of_value(value)).sum()
}

/// The packed body of an item of this life of a consumer that has not expired.
fn body<'a>(attributes: &'a Attributes, life: u64, now_ms: i64, what: &str) -> Result<Option<&'a [u8]>, CheckpointError> {
    // what an earlier consumer of the same name left, and what is only a date of expiry
    if numeric(attributes, LIFE) != Some(life) {
        return Ok(None);
    }
    let expires_ms = numeric(attributes, EXPIRES).map(|seconds| i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000));
    if expires_ms.is_some_and(|expires| expires <= now_ms) {
        return Ok(None);
    }
    check_format(attributes, what)?;
    let bytes = attributes.get(BODY).and_then(|value| value.as_b().ok());
    bytes
        .map(|bytes| Some(bytes.as_ref()))
        .ok_or_else(|| corrupt(what, format_args!("what is stored has no bytes `{BODY}`")))
}

/// What [`of_item`] made of an iteration; `None` if it no longer counts.
pub(super) fn to_iteration(
    consumer: &Consumer,
    attributes: &Attributes,
    life: u64,
    now_ms: i64,
) -> Result<Option<Iteration>, CheckpointError> {
    let key = text(attributes, keys::ITEM, "a key")?;
    let what = format!("{consumer}, {key}");
    let Some(body) = body(attributes, life, now_ms, &what)? else {
        return Ok(None);
    };
    let iteration: Iteration = unpack(&what, body)?;
    if keys::numbered(consumer, ItemKey::Iteration(iteration.number)).item != key {
        return Err(corrupt(&what, format_args!("it is iteration {}", iteration.number)));
    }
    Ok(Some(iteration))
}

/// What [`of_item`] made of a base; `None` if it no longer counts.
pub(super) fn to_base(
    consumer: &Consumer,
    number: IterationNumber,
    attributes: &Attributes,
    life: u64,
    now_ms: i64,
) -> Result<Option<Base>, CheckpointError> {
    let what = format!("{consumer}, base {number}");
    body(attributes, life, now_ms, &what)?.map(|body| unpack(&what, body)).transpose()
}

/// A run, as a whole item.
pub(super) fn of_run(key: &Key, statement: &str, run: &Run) -> Attributes {
    let mut attributes = key.attributes();
    attributes.insert(FORMAT_ATTRIBUTE.to_owned(), number(&FORMAT));
    attributes.insert(STATEMENT.to_owned(), AttributeValue::S(statement.to_owned()));
    attributes.insert(QUERY.to_owned(), AttributeValue::S(run.query_id.clone()));
    attributes.insert(SQL.to_owned(), AttributeValue::S(run.sql.clone()));
    attributes.insert(PARTS.to_owned(), number(&run.parts));
    // there is no empty set
    if !run.delivered.is_empty() {
        let parts = run.delivered.iter().map(ToString::to_string).collect();
        attributes.insert(DELIVERED.to_owned(), AttributeValue::Ns(parts));
    }
    attributes
}

/// What [`of_run`] made, and what was delivered since: the hash of the statement, and its run.
pub(super) fn to_run(what: &str, attributes: &Attributes) -> Result<(String, Run), CheckpointError> {
    check_format(attributes, what)?;
    let parts = match attributes.get(DELIVERED) {
        None => &[],
        Some(value) => value
            .as_ns()
            .map_err(|_| corrupt(what, format_args!("`{DELIVERED}` is no set of numbers")))?
            .as_slice(),
    };
    let delivered = parts.iter().map(|part| part.parse()).collect::<Result<_, _>>();
    let count = numeric(attributes, PARTS).and_then(|parts| u32::try_from(parts).ok());
    let run = Run {
        query_id: text(attributes, QUERY, what)?.to_owned(),
        sql: text(attributes, SQL, what)?.to_owned(),
        parts: count.ok_or_else(|| corrupt(what, format_args!("what is stored has no number `{PARTS}`")))?,
        delivered: delivered.map_err(|error| corrupt(what, error))?,
    };
    Ok((text(attributes, STATEMENT, what)?.to_owned(), run))
}
