//! Changes, each one durable transaction.

use redb::{Database, ReadableTable, WriteTransaction};

use super::error::Failure;
use super::tables::{self, BASES, Consumers, HEADS, ITERATIONS, RUNS, SUPERSEDED};
use crate::checkpoints::encoding::{from_json, pack, to_json};
use crate::checkpoints::model::{Base, Consumer, Head, IterationNumber, IterationStart, OwnerToken, Run};
use crate::checkpoints::store::{CheckpointError, Commit};
use crate::checkpoints::transitions::{self, Change, Item, ItemKey, Moment, Step, StoredHead};

/// Of what has been kept long enough, so many items go with one change; no change waits for more.
const MOST_PURGED: usize = 64;

/// Reads one head, asks what becomes of it, and writes that.
pub(super) fn one<'a>(
    database: &Database,
    consumer: &Consumer,
    moment: Moment,
    step: impl FnOnce(Option<&StoredHead>, Option<&Base>) -> Result<Step<'a>, CheckpointError>,
) -> Result<Head, Failure> {
    let transaction = database.begin_write()?;
    let stored = tables::head(&transaction.open_table(HEADS)?, consumer)?;
    let written = match stored.as_ref().map(|stored| stored.head.start) {
        Some(IterationStart::Base(number)) => tables::base(&transaction.open_table(BASES)?, consumer, number)?,
        _ => None,
    };
    match step(stored.as_ref(), written.as_ref())? {
        Step::Done(head) => Ok(head),
        Step::Write(change) => {
            write(&transaction, consumer, &change, moment)?;
            transaction.commit()?;
            Ok(change.head.head)
        }
    }
}

/// Commits all of them or none.
pub(super) fn commit(database: &Database, commits: &[Commit], moment: Moment) -> Result<Vec<Head>, Failure> {
    let transaction = database.begin_write()?;
    let mut heads = Vec::with_capacity(commits.len());
    let mut changed = false;
    for commit in commits {
        let stored = tables::head(&transaction.open_table(HEADS)?, &commit.consumer)?;
        match transitions::commit(stored.as_ref(), commit, moment)? {
            Step::Done(head) => heads.push(head),
            Step::Write(change) => {
                write(&transaction, &commit.consumer, &change, moment)?;
                heads.push(change.head.head);
                changed = true;
            }
        }
    }
    if changed {
        transaction.commit()?;
    }
    Ok(heads)
}

fn write(transaction: &WriteTransaction, consumer: &Consumer, change: &Change<'_>, moment: Moment) -> Result<(), Failure> {
    let head = to_json(&consumer.to_string(), &change.head)?;
    transaction.open_table(HEADS)?.insert(consumer.key(), head.as_bytes())?;
    match change.item {
        None => {}
        Some(Item::Iteration(iteration)) => {
            let bytes = pack(&format!("{consumer}, iteration {}", iteration.number), iteration)?;
            let mut iterations = transaction.open_table(ITERATIONS)?;
            iterations.insert(consumer.numbered(iteration.number), bytes.as_slice())?;
        }
        Some(Item::Base(number, base)) => {
            let bytes = pack(&format!("{consumer}, base {number}"), base)?;
            transaction.open_table(BASES)?.insert(consumer.numbered(number), bytes.as_slice())?;
        }
    }
    {
        let (name, stream) = consumer.key();
        let mut superseded = transaction.open_table(SUPERSEDED)?;
        for key in &change.superseded {
            let (kind, number) = match key {
                ItemKey::Iteration(number) => (0, number.0),
                ItemKey::Base(number) => (1, number.0),
            };
            superseded.insert((name, stream, moment.now_ms, kind, number), ())?;
        }
    }
    for number in &change.forgotten {
        remove(transaction, consumer, ItemKey::Iteration(*number))?;
    }
    purge(transaction, consumer, moment)
}

/// What was superseded so long ago that it is no longer kept.
fn purge(transaction: &WriteTransaction, consumer: &Consumer, moment: Moment) -> Result<(), Failure> {
    let mut superseded = transaction.open_table(SUPERSEDED)?;
    let mut gone = Vec::new();
    for entry in superseded.range(consumer.superseded(moment.kept_from_ms()))?.take(MOST_PURGED) {
        let (key, _) = entry?;
        let (_, _, at_ms, kind, number) = key.value();
        gone.push((at_ms, kind, number));
    }
    let (name, stream) = consumer.key();
    for (at_ms, kind, number) in gone {
        let item = match kind {
            0 => ItemKey::Iteration(IterationNumber(number)),
            _ => ItemKey::Base(IterationNumber(number)),
        };
        remove(transaction, consumer, item)?;
        superseded.remove((name, stream, at_ms, kind, number))?;
    }
    Ok(())
}

fn remove(transaction: &WriteTransaction, consumer: &Consumer, item: ItemKey) -> Result<(), Failure> {
    match item {
        ItemKey::Base(number) => {
            transaction.open_table(BASES)?.remove(consumer.numbered(number))?;
        }
        ItemKey::Iteration(number) => {
            transaction.open_table(ITERATIONS)?.remove(consumer.numbered(number))?;
            remove_runs(transaction, consumer, number, number)?;
        }
    }
    Ok(())
}

fn remove_runs(transaction: &WriteTransaction, consumer: &Consumer, first: IterationNumber, last: IterationNumber) -> Result<(), Failure> {
    let nobody = OwnerToken("".into());
    let mut runs = transaction.open_table(RUNS)?;
    let mut gone = Vec::new();
    for entry in runs.range(consumer.run(first, &nobody, "")..)? {
        let (key, _) = entry?;
        let (name, stream, number, owner, statement) = key.value();
        if (name, stream) != consumer.key() || number > last.0 {
            break;
        }
        gone.push((IterationNumber(number), OwnerToken(owner.into()), statement.to_owned()));
    }
    for (number, owner, statement) in gone {
        runs.remove(consumer.run(number, &owner, &statement))?;
    }
    Ok(())
}

/// Forgets a consumer.
pub(super) fn delete(database: &Database, consumer: &Consumer) -> Result<bool, Failure> {
    let transaction = database.begin_write()?;
    let found = transaction.open_table(HEADS)?.remove(consumer.key())?.is_some();
    transaction
        .open_table(ITERATIONS)?
        .retain_in(consumer.all_numbers(), |_, _| false)?;
    transaction.open_table(BASES)?.retain_in(consumer.all_numbers(), |_, _| false)?;
    transaction
        .open_table(SUPERSEDED)?
        .retain_in(consumer.superseded(i64::MAX), |_, ()| false)?;
    remove_runs(&transaction, consumer, IterationNumber::FIRST, IterationNumber(u64::MAX))?;
    transaction.commit()?;
    Ok(found)
}

/// Writes what becomes of a run; `None` leaves it as it is.
pub(super) fn run(
    database: &Database,
    consumer: &Consumer,
    number: IterationNumber,
    owner: &OwnerToken,
    statement: &str,
    become_of: impl FnOnce(Option<Run>) -> Option<Run>,
) -> Result<Option<Run>, Failure> {
    let what = format!("{consumer}, iteration {number}, a run");
    let transaction = database.begin_write()?;
    let key = consumer.run(number, owner, statement);
    let new = {
        let mut runs = transaction.open_table(RUNS)?;
        let old = match runs.get(key)? {
            Some(value) => Some(from_json(&what, value.value())?),
            None => None,
        };
        let Some(new) = become_of(old) else { return Ok(None) };
        runs.insert(key, to_json(&what, &new)?.as_bytes())?;
        new
    };
    transaction.commit()?;
    Ok(Some(new))
}
