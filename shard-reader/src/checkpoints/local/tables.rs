//! What the file holds.

use std::ops::RangeInclusive;

use redb::{Database, ReadableTable, TableDefinition};

use super::error::Failure;
use crate::checkpoints::encoding::{from_json, unpack};
use crate::checkpoints::model::{Base, Consumer, IterationNumber, OwnerToken};
use crate::checkpoints::store::CheckpointError;
use crate::checkpoints::transitions::StoredHead;

/// Version of the layout.
const FORMAT: u64 = 1;

type Numbered<'a> = (&'a str, &'a str, u64);
type RunKey<'a> = (&'a str, &'a str, u64, &'a str, &'a str);
/// The last two: 0 for an iteration, 1 for a base; and its number.
type Superseded<'a> = (&'a str, &'a str, i64, u8, u64);

const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");
pub(super) const HEADS: TableDefinition<'static, (&'static str, &'static str), &'static [u8]> = TableDefinition::new("heads");
pub(super) const ITERATIONS: TableDefinition<'static, Numbered<'static>, &'static [u8]> = TableDefinition::new("iterations");
pub(super) const BASES: TableDefinition<'static, Numbered<'static>, &'static [u8]> = TableDefinition::new("bases");
pub(super) const RUNS: TableDefinition<'static, RunKey<'static>, &'static [u8]> = TableDefinition::new("runs");
pub(super) const SUPERSEDED: TableDefinition<'static, Superseded<'static>, ()> = TableDefinition::new("superseded");

/// Keys of a consumer.
pub(super) trait Consumers {
    fn key(&self) -> (&str, &str);
    fn numbered(&self, number: IterationNumber) -> Numbered<'_>;
    fn all_numbers(&self) -> RangeInclusive<Numbered<'_>>;
    fn run<'a>(&'a self, number: IterationNumber, owner: &'a OwnerToken, statement: &'a str) -> RunKey<'a>;
    fn superseded(&self, until_ms: i64) -> RangeInclusive<Superseded<'_>>;
}

impl Consumers for Consumer {
    fn key(&self) -> (&str, &str) {
        (self.name.as_str(), &self.stream)
    }

    fn numbered(&self, number: IterationNumber) -> Numbered<'_> {
        (self.name.as_str(), &self.stream, number.0)
    }

    fn all_numbers(&self) -> RangeInclusive<Numbered<'_>> {
        self.numbered(IterationNumber::FIRST)..=self.numbered(IterationNumber(u64::MAX))
    }

    fn run<'a>(&'a self, number: IterationNumber, owner: &'a OwnerToken, statement: &'a str) -> RunKey<'a> {
        (self.name.as_str(), &self.stream, number.0, &owner.0, statement)
    }

    fn superseded(&self, until_ms: i64) -> RangeInclusive<Superseded<'_>> {
        let (name, stream) = self.key();
        (name, stream, i64::MIN, 0, 0)..=(name, stream, until_ms, u8::MAX, u64::MAX)
    }
}

/// Makes the tables, or refuses those of another version.
pub(super) fn prepare(database: &Database) -> Result<(), Failure> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        let found = meta.get("format")?.map(|format| format.value());
        match found {
            Some(FORMAT) => return Ok(()),
            Some(other) => return Err(Failure::Format(other)),
            None => meta.insert("format", FORMAT)?,
        };
        transaction.open_table(HEADS)?;
        transaction.open_table(ITERATIONS)?;
        transaction.open_table(BASES)?;
        transaction.open_table(RUNS)?;
        transaction.open_table(SUPERSEDED)?;
    }
    transaction.commit()?;
    Ok(())
}

pub(super) fn head(
    heads: &impl ReadableTable<(&'static str, &'static str), &'static [u8]>,
    consumer: &Consumer,
) -> Result<Option<StoredHead>, Failure> {
    let value = heads.get(consumer.key())?;
    Ok(value
        .map(|value| from_json(&format!("{consumer}, its head"), value.value()))
        .transpose()?)
}

pub(super) fn base(
    bases: &impl ReadableTable<Numbered<'static>, &'static [u8]>,
    consumer: &Consumer,
    number: IterationNumber,
) -> Result<Option<Base>, Failure> {
    let value = bases.get(consumer.numbered(number))?;
    let read = value.map(|value| unpack(&format!("{consumer}, base {number}"), value.value()));
    Ok(read.transpose().map_err(|error: CheckpointError| error)?)
}
