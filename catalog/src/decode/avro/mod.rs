//! Apache Avro (1.12): single data with or without a header that names the writer's schema, and object container files, which give a row for each object.
//!
//! A column is the value at its path in whatever schema the record was written with: fields of records, keys of maps, indexes of arrays, through unions. Where
//! a schema has none it is NULL, so writers' schemas may come and go; names and types are not promoted or aliased, a value converts by the rules of its
//! column's type.
//!
//! | Avro | value |
//! |---|---|
//! | null, boolean, int, long, float, double | itself |
//! | string, enum | text |
//! | bytes, fixed | bytes |
//! | decimal | an exact number |
//! | date, time-millis, time-micros, (local-)timestamp-millis, -micros, -nanos | date, time of day, instant |
//! | uuid | its text |
//! | duration | text, `P1M2DT3.004S` |
//! | array, map, record | array, map, row; JSON for all other columns |
//!
//! A record is gone over from end to end before any of its values is a column's, by a program that is made of the schema and the columns (see `program`): it
//! tells whether the record is a datum at all, so that no column has a value of what is none, and keeps the scalars that columns ask for, those of arrays and
//! maps too. Other values of parts are read again where they were found. What some hundred data came to is then added column by column (see `batch`).
//!
//! `arrow-avro` decodes whole batches of one schema, cannot go on after a datum that is broken, and has no bounds for arrays of nulls or compressed blocks: it
//! computes fingerprints here, and is what the tests compare with.

mod batch;
mod container;
mod cursor;
mod declared;
mod parts;
mod program;
#[cfg(test)]
mod reference;
mod run;
mod scalars;
mod schema;
#[cfg(test)]
mod tests;
mod value;
mod walk;
mod writers;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use self::batch::Batch;
use self::container::Containers;
use self::cursor::{Broken, Cursor};
pub(crate) use self::declared::declared;
use self::program::Program;
pub(crate) use self::schema::{Id, Node, Schema};
use self::walk::Step;
use self::writers::ONLY;
pub(crate) use self::writers::{Writers, check_path, compile, key};
use super::RowFormat;
use super::contents::DecodeError;
use super::framing::{self, Glue};
use super::rows::Rows;
use super::sink::{Refusal, Sink, Told};
use crate::{AvroFormat, AvroFraming};

/// Magic of a single object.
const SINGLE_OBJECT: [u8; 2] = [0xc3, 0x01];

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: &AvroFormat, rows: &Rows) -> Result<Box<dyn RowFormat>, String> {
    let paths: Vec<Vec<String>> = (0..rows.width()).map(|place| rows.column(place).path.clone()).collect();
    Ok(match format.framing {
        AvroFraming::Container => Box::new(Containers::new(paths)),
        framing => {
            let writers = compile(format)?;
            let known = writers
                .by_id
                .iter()
                .map(|(id, schema)| (*id, Arc::new(Bound::new(Arc::clone(schema), &paths))))
                .collect();
            Box::new(Data {
                framing,
                known,
                glue: Glue::default(),
            })
        }
    })
}

/// A writer's schema and what columns take of it.
#[derive(Debug)]
struct Bound {
    schema: Arc<Schema>,
    program: Program,
}

impl Bound {
    fn new(schema: Arc<Schema>, paths: &[Vec<String>]) -> Self {
        let paths: Vec<(usize, &[String])> = paths.iter().enumerate().map(|(place, path)| (place, &**path)).collect();
        let step = Step::bind(&schema, schema.root, &paths);
        Self {
            program: Program::new(&schema, step.as_ref()),
            schema,
        }
    }

    /// Adds a value of parts.
    fn append(&self, id: schema::Id, cursor: &mut Cursor<'_>, sink: &mut Sink) -> Told {
        self.schema.append(id, cursor, sink).unwrap_or_else(|broken| {
            Some(Box::new(Refusal {
                inside: String::new(),
                reason: broken.to_string(),
            }))
        })
    }

    fn value(&self, place: usize, id: schema::Id, cursor: &mut Cursor<'_>, rows: &mut Rows) {
        if self.schema.is_nested(id) {
            rows.parts(place, |sink| self.append(id, cursor, sink));
        } else if let Err(broken) = self.schema.scalar(id, cursor, |cell| rows.cell(place, cell)) {
            rows.broken(place, &broken.to_string());
        }
    }
}

/// A datum a record.
#[derive(Debug)]
struct Data {
    framing: AvroFraming,
    known: HashMap<u128, Arc<Bound>>,
    glue: Glue,
}

impl RowFormat for Data {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut batch = Batch::new(rows.width());
        let mut last: Option<(u128, Arc<Bound>)> = None;
        for record in records {
            let (id, datum) = match self.datum(record) {
                Ok(found) => found,
                Err(reason) => {
                    take(&mut batch, rows)?;
                    rows.bad_record(reason)?;
                    continue;
                }
            };
            if let Cow::Owned(inflated) = &datum {
                rows.repeat(inflated.len())?;
            }
            if last.as_ref().is_none_or(|(known, _)| *known != id) {
                last = self.known.get(&id).map(|bound| (id, Arc::clone(bound)));
            }
            let Some((_, bound)) = &last else {
                take(&mut batch, rows)?;
                rows.bad_record(self.unknown(id))?;
                continue;
            };
            if batch.is_full_for(bound) {
                take(&mut batch, rows)?;
            }
            // Nothing may follow: a datum of another schema seldom ends where one of this would.
            if let Err(broken) = batch.push(bound, datum) {
                take(&mut batch, rows)?;
                rows.bad_record(not_a_datum(&broken))?;
            }
        }
        take(&mut batch, rows)
    }
}

/// Adds the rows that wait, each a record's.
fn take(batch: &mut Batch<'_>, rows: &mut Rows) -> Result<(), DecodeError> {
    let count = batch.columns(rows)?;
    rows.one_row_each(count)
}

impl Data {
    /// The id of the writer's schema, and the datum.
    fn datum<'a>(&mut self, record: &'a [u8]) -> Result<(u128, Cow<'a, [u8]>), String> {
        match self.framing {
            AvroFraming::SingleObject => match record.split_first_chunk::<10>() {
                Some(([first, second, id @ ..], datum)) if [*first, *second] == SINGLE_OBJECT => {
                    Ok((u128::from(u64::from_le_bytes(*id)), Cow::Borrowed(datum)))
                }
                _ => Err("no header of a single object: c3 01 and eight bytes of the schema's fingerprint".to_owned()),
            },
            AvroFraming::Confluent => framing::confluent(record).map(|(id, datum)| (u128::from(id), Cow::Borrowed(datum))),
            AvroFraming::Glue => self.glue.payload(record),
            AvroFraming::Datum | AvroFraming::Container => Ok((ONLY, Cow::Borrowed(record))),
        }
    }

    fn unknown(&self, id: u128) -> String {
        match self.framing {
            AvroFraming::SingleObject => format!("no schema has the fingerprint {id:016x}"),
            AvroFraming::Glue => format!("no schema has the id {}", uuid::Uuid::from_u128(id)),
            _ => format!("no schema has the id {id}"),
        }
    }
}

fn not_a_datum(broken: &Broken) -> String {
    format!("not a datum of the schema: {broken}")
}
