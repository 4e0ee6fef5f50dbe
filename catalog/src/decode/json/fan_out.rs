//! Records that hold any number of documents.

use arrow::error::ArrowError;

use super::super::RowFormat;
use super::super::contents::DecodeError;
use super::super::rows::Rows;
use super::split::{Elements, Values, lines};
use super::waiting::{Elementwise, Waiting};
use crate::JsonRows;

/// A row for each of a record's documents.
#[derive(Debug)]
pub(super) struct FanOut {
    elements: Elementwise,
    split: JsonRows,
}

impl FanOut {
    pub(super) fn new(split: JsonRows, columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        Ok(Self {
            elements: Elementwise::new(columns, Vec::new(), None, rows, always_slow)?,
            split,
        })
    }

    /// CloudEvents, alone, one after the other, or in batches. What has no `specversion` is none (CloudEvents 1.0, "Required attributes").
    pub(super) fn of_cloudevents(columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let mut format = Self::new(JsonRows::Elements, columns, rows, always_slow)?;
        format.elements.require("specversion");
        Ok(format)
    }
}

impl RowFormat for FanOut {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        let mut waiting = Waiting::new(&mut self.elements);
        for record in records {
            match self.split {
                JsonRows::Lines => {
                    for line in lines(record) {
                        let gathered = waiting.gather(|gathered, tree| {
                            let text = std::str::from_utf8(line).ok()?;
                            (gathered.document(text, 0, tree)? == text.len()).then_some(())
                        });
                        match gathered {
                            Some((count, ())) => waiting.pushed(count, rows)?,
                            None => waiting.push(Ok(line), rows)?,
                        }
                    }
                }
                JsonRows::Value | JsonRows::Values | JsonRows::Elements => {
                    let text = std::str::from_utf8(record).ok();
                    let in_arrays = matches!(self.split, JsonRows::Elements);
                    let mut values = Values::new(record);
                    loop {
                        let rest = values.rest();
                        let at = record.len() - rest.len();
                        let gathered = text.and_then(|text| {
                            waiting.gather(|gathered, tree| match rest.first()? {
                                b'[' if in_arrays => gathered.elements(text, at, tree),
                                b'{' => gathered.document(text, at, tree),
                                _ => None,
                            })
                        });
                        if let Some((count, end)) = gathered {
                            values.leave_out(end - at);
                            waiting.pushed(count, rows)?;
                        } else if in_arrays && rest.starts_with(b"[") {
                            let mut elements = Elements::new(rest);
                            for element in elements.by_ref() {
                                waiting.push(element, rows)?;
                            }
                            values.leave_out(elements.end().unwrap_or(rest.len()));
                        } else if let Some(value) = values.next() {
                            waiting.push(Ok(value), rows)?;
                        } else {
                            break;
                        }
                    }
                }
            }
            waiting.end_record();
        }
        waiting.flush(rows)
    }
}
