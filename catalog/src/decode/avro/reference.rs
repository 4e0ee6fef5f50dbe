//! Data taken one by one, as plainly as can be: what the programs and batches of the parent are held to.

use std::sync::Arc;

use super::super::cell::Cell;
use super::super::rows::Rows;
use super::cursor::{Broken, Cursor};
use super::schema::{Id, Node, Schema};
use super::walk::{Next, Step, skip};
use super::{Bound, not_a_datum};
use crate::{Decoded, TableDefinition};

/// Where a column's value is.
pub(super) type Found = Option<(Id, usize)>;

/// Decodes data of that schema into all columns.
pub(super) fn decode(table: &Arc<TableDefinition>, schema: &str, records: &[&[u8]]) -> Decoded {
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let mut rows = Rows::new(table, &all).unwrap();
    let paths: Vec<Vec<String>> = table.columns.iter().map(|column| column.path.clone()).collect();
    let bound = Bound::new(Arc::new(Schema::parse(schema).unwrap()), &paths);
    let paths: Vec<(usize, &[String])> = paths.iter().enumerate().map(|(place, path)| (place, &**path)).collect();
    let step = Step::bind(&bound.schema, bound.schema.root, &paths);
    for record in records {
        let mut found = vec![None; paths.len()];
        let mut cursor = Cursor::new(record);
        let read = datum(&bound.schema, step.as_ref(), &mut cursor, &mut found).and_then(|()| match cursor.rest() {
            0 => Ok(()),
            rest => Err(Broken::Rest(rest)),
        });
        if let Err(broken) = read {
            rows.bad_record(not_a_datum(&broken)).unwrap();
            continue;
        }
        for (place, found) in found.iter().enumerate() {
            match found {
                None => rows.cell(place, Cell::Null),
                Some((id, at)) => bound.value(place, *id, &mut cursor.again(*at), &mut rows),
            }
        }
        rows.one_row_each(1).unwrap();
    }
    rows.finish().unwrap()
}

/// Goes over one datum.
fn datum(schema: &Schema, step: Option<&Step>, cursor: &mut Cursor<'_>, found: &mut [Found]) -> Result<(), Broken> {
    walk(schema, schema.root, step, cursor, found)
}

fn walk(schema: &Schema, id: Id, step: Option<&Step>, cursor: &mut Cursor<'_>, found: &mut [Found]) -> Result<(), Broken> {
    let Some(step) = step else {
        return skip(schema, id, cursor);
    };
    for place in &step.places {
        found[*place] = Some((id, cursor.position()));
    }
    match (schema.node(id), &step.next) {
        (Node::Record(fields), Next::Each(steps)) => {
            cursor.enter()?;
            for ((_, field), step) in fields.iter().zip(steps) {
                walk(schema, *field, step.as_ref(), cursor, found)?;
            }
            cursor.leave();
        }
        (Node::Union(branches), Next::Each(steps)) => {
            let index = cursor.index(branches.len(), Broken::Branch)?;
            cursor.enter()?;
            walk(schema, branches[index], steps[index].as_ref(), cursor, found)?;
            cursor.leave();
        }
        (Node::Map(values), Next::Keys(keys)) => {
            cursor.enter()?;
            while let Some((count, end)) = cursor.block(false)? {
                for _ in 0..count {
                    let key = cursor.bytes()?;
                    let step = keys.iter().find(|(name, _)| name.as_bytes() == key).map(|(_, step)| step);
                    walk(schema, *values, step, cursor, found)?;
                }
                cursor.block_ends(end)?;
            }
            cursor.leave();
        }
        (Node::Array(items), Next::Indexes(indexes)) => {
            cursor.enter()?;
            let mut index = 0;
            while let Some((count, end)) = cursor.block(schema.may_be_empty(*items))? {
                for _ in 0..count {
                    let step = indexes.iter().find(|(wanted, _)| *wanted == index).map(|(_, step)| step);
                    walk(schema, *items, step, cursor, found)?;
                    index += 1;
                }
                cursor.block_ends(end)?;
            }
            cursor.leave();
        }
        _ => skip(schema, id, cursor)?,
    }
    Ok(())
}
