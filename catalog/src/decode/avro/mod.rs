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
//! A record is gone over twice: once from end to end, which finds the values that columns ask for and tells whether it is a datum at all, so that no column has
//! a value of what is none; and once for these values. `arrow-avro` decodes whole batches of one schema, cannot go on after a datum that is broken, and has no
//! bounds for arrays of nulls or compressed blocks: it computes fingerprints here, and is what the tests compare with.

mod container;
mod cursor;
mod schema;
#[cfg(test)]
mod tests;
mod value;
mod walk;
mod writers;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use self::container::Containers;
use self::cursor::{Broken, Cursor};
use self::schema::Schema;
use self::walk::{Found, Step};
use self::writers::ONLY;
pub(crate) use self::writers::{Writers, check_path, compile};
use super::RowFormat;
use super::cell::Cell;
use super::contents::DecodeError;
use super::framing::{self, Glue};
use super::rows::Rows;
use super::sink::Refusal;
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
                .map(|(id, schema)| (*id, Bound::new(Arc::clone(schema), &paths)))
                .collect();
            Box::new(Data {
                framing,
                known,
                found: vec![None; paths.len()],
                glue: Glue::default(),
            })
        }
    })
}

/// A writer's schema and what columns take of it.
#[derive(Debug)]
struct Bound {
    schema: Arc<Schema>,
    step: Option<Step>,
}

impl Bound {
    fn new(schema: Arc<Schema>, paths: &[Vec<String>]) -> Self {
        let paths: Vec<(usize, &[String])> = paths.iter().enumerate().map(|(place, path)| (place, &**path)).collect();
        Self {
            step: Step::bind(&schema, schema.root, &paths),
            schema,
        }
    }

    /// Adds the datum that begins here as a row, unless it is broken. Where it is `alone`, nothing may follow: a datum of another schema seldom ends where
    /// one of this would.
    fn row(&self, cursor: &mut Cursor<'_>, alone: bool, found: &mut [Found], rows: &mut Rows) -> Result<(), Broken> {
        found.fill(None);
        walk::datum(&self.schema, self.step.as_ref(), cursor, found)?;
        if alone && cursor.rest() > 0 {
            return Err(Broken::Rest(cursor.rest()));
        }
        for (place, found) in found.iter().enumerate() {
            match found {
                None => rows.cell(place, Cell::Null),
                Some((id, at)) => self.value(place, *id, &mut cursor.again(*at), rows),
            }
        }
        Ok(())
    }

    fn value(&self, place: usize, id: schema::Id, cursor: &mut Cursor<'_>, rows: &mut Rows) {
        if self.schema.is_nested(id) {
            rows.parts(place, |sink| {
                self.schema.append(id, cursor, sink).unwrap_or_else(|broken| {
                    Some(Box::new(Refusal {
                        inside: String::new(),
                        reason: broken.to_string(),
                    }))
                })
            });
        } else if let Err(broken) = self.schema.scalar(id, cursor, |cell| rows.cell(place, cell)) {
            rows.broken(place, &broken.to_string());
        }
    }
}

/// A datum a record.
#[derive(Debug)]
struct Data {
    framing: AvroFraming,
    known: HashMap<u128, Bound>,
    found: Vec<Found>,
    glue: Glue,
}

impl RowFormat for Data {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for record in records {
            let (id, datum) = match self.datum(record) {
                Ok(found) => found,
                Err(reason) => {
                    rows.bad_record(reason)?;
                    continue;
                }
            };
            if let Cow::Owned(inflated) = &datum {
                rows.repeat(inflated.len())?;
            }
            let Some(bound) = self.known.get(&id) else {
                rows.bad_record(self.unknown(id))?;
                continue;
            };
            match bound.row(&mut Cursor::new(&datum), true, &mut self.found, rows) {
                Ok(()) => rows.one_row_each(1)?,
                Err(broken) => rows.bad_record(not_a_datum(&broken))?,
            }
        }
        Ok(())
    }
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
