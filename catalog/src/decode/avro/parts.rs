//! Arrays and maps of scalars, whose elements go into a column together.

use super::super::cell::Cell;
use super::super::rows::Rows;
use super::super::sink::{Refusal, Shape, Sink};
use super::Bound;
use super::batch::Batch;
use super::run::Slot;
use super::scalars::{Inside, scalars};
use super::schema::{Id, Node};

/// An element that is kept, and the row that it is in.
#[derive(Debug, Clone, Copy)]
struct Part {
    element: u32,
    row: u32,
}

impl Batch<'_> {
    /// Adds arrays or maps of that type, or NULL; `false` and nothing added if they have to be added one by one.
    pub(super) fn parts(&self, bound: &Bound, id: Id, place: usize, rows: &mut Rows) -> bool {
        let step = match bound.schema.node(id) {
            Node::Array(_) => 1,
            _ => 2,
        };
        if !bound.schema.is_small() {
            return false;
        }
        let slots = || self.slots.iter().skip(place).step_by(self.width);
        let room = Vec::with_capacity(self.elements.len());
        let Some(parts) = (0_u32..).zip(slots()).try_fold(room, |mut parts, (row, slot)| {
            if slot.id.is_some() {
                self.elements_of(slot)?;
                // Places of elements are 32 bits of a slot.
                parts.extend(slot.range().step_by(step).map(|element| Part {
                    element: element as u32,
                    row,
                }));
            }
            Some(parts)
        }) else {
            return false;
        };
        let part = |index: usize| {
            (
                &self.elements[parts[index].element as usize],
                &*self.data[parts[index].row as usize],
            )
        };
        let mut refused = Vec::new();
        let mut added = false;
        rows.many(place, |sink, told| {
            let ends = slots().map(|slot| (slot.id.is_some(), slot.range().len() / step * usize::from(slot.id.is_some())));
            match sink.shape() {
                Shape::List(list) if step == 1 => {
                    let before = list.elements().len();
                    if !self.elements_into(bound, parts.len(), part, list.elements(), &mut refused) {
                        return;
                    }
                    ends.fold(before, |end, (valid, count)| {
                        list.close_at(end + count, valid);
                        end + count
                    });
                    told.extend(refused.drain(..).map(|(index, refusal)| {
                        let row = parts[index].row;
                        let first = parts.partition_point(|part| part.row < row);
                        (row as usize, inside(&(index - first).to_string(), refusal))
                    }));
                }
                Shape::Map(map) if step == 2 => {
                    let keys: Result<Vec<&str>, _> = (0..parts.len())
                        .map(|index| {
                            let (key, data) = part(index);
                            std::str::from_utf8(key.bytes_of(data))
                        })
                        .collect();
                    let Ok(keys) = keys else { return };
                    let value = |index: usize| (&self.elements[parts[index].element as usize + 1], part(index).1);
                    let before = map.entries().len();
                    if !map.takes_any_key() || !self.elements_into(bound, parts.len(), value, map.entries(), &mut refused) {
                        return;
                    }
                    map.keys(&keys);
                    ends.fold(before, |end, (valid, count)| {
                        map.close_at(end + count, valid);
                        end + count
                    });
                    told.extend(
                        refused
                            .drain(..)
                            .map(|(index, refusal)| (parts[index].row as usize, inside(keys[index], refusal))),
                    );
                }
                _ => return,
            }
            // Of a value the first is told.
            told.dedup_by_key(|(row, _)| *row);
            added = true;
        });
        added
    }

    /// Adds elements if they are of one type, and scalars to the column too.
    fn elements_into<'d>(
        &self,
        bound: &'d Bound,
        count: usize,
        element: impl Fn(usize) -> (&'d Slot, &'d [u8]),
        sink: &mut Sink,
        refused: &mut Vec<(usize, Refusal)>,
    ) -> bool {
        if !matches!(sink.shape(), Shape::Scalar) {
            return false;
        }
        let mut ids = (0..count).filter_map(|index| element(index).0.id);
        let id = ids.next();
        if ids.any(|other| Some(other) != id) {
            return false;
        }
        let Some(id) = id else {
            sink.append_cells(count, |_| Cell::Null, refused);
            return true;
        };
        scalars(&bound.schema, id, count, element, &mut Inside { sink, refused })
    }
}

fn inside(step: &str, refusal: Refusal) -> Refusal {
    Refusal {
        inside: format!("/{step}{}", refusal.inside),
        ..refusal
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Array, AsArray, BinaryArray};
    use arrow::datatypes::Int64Type;

    use crate::{Decoded, Decoder, TableDefinition};

    fn decode(schema: &str, columns: &str, records: &[&[u8]]) -> Decoded {
        let text = format!("table: t\nstream: s\nformat: {{ avro: {{ schema: '{schema}' }} }}\ncolumns:\n{columns}");
        let table: Arc<TableDefinition> = TableDefinition::from_yaml(&text).unwrap();
        let all: Vec<usize> = (0..table.columns.len()).collect();
        Decoder::new(&table, &all)
            .unwrap()
            .decode(&BinaryArray::from(records.to_vec()))
            .unwrap()
    }

    fn errors(decoded: &Decoded) -> Vec<(usize, &str)> {
        decoded.bad.iter().map(|bad| (bad.row, &*bad.error)).collect()
    }

    #[test]
    fn arrays_of_several_rows_and_what_is_refused_in_them() {
        let schema = r#"["null",{"type":"array","items":["null","string"]}]"#;
        let records: [&[u8]; 6] = [
            b"\x02\x08\x02\x021\x02\x02x\x00\x02\x02y\x00",
            b"\x00",
            b"\x02\x00",
            b"\x02\x02\x02\x022\x02\x02\x02z\x00",
            b"\x02\x02\x00\x00",
            b"\x02\x02\x02\x041",
        ];
        let decoded = decode(schema, "  - { name: a, path: /, type: array<bigint> }\n", &records);
        let a = decoded.columns[0].as_list::<i32>();
        let rows: Vec<Option<Vec<Option<i64>>>> = a
            .iter()
            .map(|row| row.map(|row| row.as_primitive::<Int64Type>().iter().collect()))
            .collect();
        let expected = [
            Some(vec![Some(1), None, None, None]),
            None,
            Some(vec![]),
            Some(vec![Some(2), None]),
            Some(vec![None]),
            None,
        ];
        assert_eq!(rows, expected);
        assert_eq!(
            errors(&decoded),
            [
                (0, "/1: \"x\" is not a bigint"),
                (3, "/1: \"z\" is not a bigint"),
                (5, "not a datum of the schema: it ends within a value")
            ]
        );
    }

    #[test]
    fn maps_of_several_rows_and_keys_that_are_no_text() {
        let schema = r#"{"type":"map","values":"long"}"#;
        let whole: &[u8] = b"\x04\x02k\x02\x02l\x80\x04\x02\x02k\x05\x00";
        for odd in [&b"\x02\x02k\x00\x00"[..], b"\x02\x02\xff\x00\x00"] {
            let decoded = decode(
                schema,
                "  - { name: m, path: /, type: 'map<varchar, tinyint>' }\n",
                &[whole, b"\x00", odd, whole],
            );
            let m = decoded.columns[0].as_map();
            assert_eq!(m.value_offsets(), [0, 3, 3, 4, 7]);
            let keys: Vec<Option<&str>> = m.keys().as_string::<i32>().iter().collect();
            let of_odd = if odd[2] == b'k' { "k" } else { "\u{fffd}" };
            assert_eq!(keys, ["k", "l", "k", of_odd, "k", "l", "k"].map(Some));
            let values: Vec<Option<i8>> = m.values().as_primitive::<arrow::datatypes::Int8Type>().iter().collect();
            let of_whole = [Some(1), None, Some(-3)];
            assert_eq!(values, [&of_whole[..], &[Some(0)], &of_whole].concat());
            assert_eq!(errors(&decoded), [(0, "/l: 256 is not a tinyint"), (3, "/l: 256 is not a tinyint")]);
        }
    }

    #[test]
    fn of_several_entries_of_a_key_the_last_counts_though_it_is_null() {
        let schema = r#"{"type":"map","values":["null",{"type":"array","items":"long"}]}"#;
        let column = "  - { name: a, path: k, type: array<bigint> }\n";
        let decoded = decode(
            schema,
            column,
            &[b"\x04\x02k\x02\x02\x02\x00\x02k\x00\x00", b"\x04\x02k\x00\x02k\x02\x02\x02\x00\x00"],
        );
        let a = decoded.columns[0].as_list::<i32>();
        assert!(a.is_null(0) && a.is_valid(1), "{a:?}");
    }
}
