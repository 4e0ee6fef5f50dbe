//! A record's bytes -> columns.
//!
//! arrow-json finds the requested fields of a whole run of records at once, every one of them as text; one rule per type then converts a column of
//! texts (see `coerce` and `time`). Records that arrow-json cannot read, and fields that are objects or arrays, are read one by one with serde_json
//! and converted by the same rule, so that how a record was read never shows in its row.
//!
//! | JSON | integer types | real, double | boolean | varchar | date, timestamp |
//! |---|---|---|---|---|---|
//! | number | if integral and in range (`12.0`, `1e3` too) | if finite in the type | refused | as written | timestamp without pattern: milliseconds |
//! | string | as a number of that text | as a number of that text | `true`, `false` in any case | unescaped | by pattern, else ISO 8601 |
//! | boolean | refused | refused | value | `true`, `false` | refused |
//! | object, array | refused | refused | refused | compact JSON | refused |
//! | null, missing | NULL | NULL | NULL | NULL | NULL |
//!
//! A record that is compressed is inflated first (see `compression`); one whose payload is damaged is undecodable.
//!
//! A refused field is NULL and makes the record bad; an undecodable record (no JSON, invalid UTF-8, none or several values) is NULL in all columns.
//! A document that is no object has no fields: NULLs, not bad. Of several fields of one name the last counts. What arrow-json takes for JSON
//! beyond the standard (superfluous, missing or trailing commas, control characters in strings) is taken in records of scalars; a record that
//! has to be read with serde_json is held to the standard. Which of the two applies depends on nothing but the record and the columns asked for.

mod batch;
mod coerce;
mod contents;
mod document;
mod fixed;
mod projection;
mod sink;
#[cfg(test)]
mod tests;
mod time;
mod verdict;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray};
use arrow::error::ArrowError;

use self::batch::BatchReader;
use self::contents::{Contents, chunk_end, payload};
pub use self::contents::{DecodeError, MOST_INFLATED_IN_ALL};
use self::document::Found;
use self::projection::{FastPlan, PathTree};
use self::sink::Sink;
pub(crate) use self::time::Pattern;
pub use self::verdict::BadRecord;
use self::verdict::{by_row, path_text, refusal, shown};
use crate::compression::Inflater;
use crate::{ColumnDefinition, ColumnType, DefinitionError, Format, TableDefinition};

/// Decodes records of one definition into a fixed set of its columns.
#[derive(Debug)]
pub struct Decoder {
    definition: Arc<TableDefinition>,
    /// Indexes into the definition's columns.
    columns: Vec<usize>,
    sinks: Vec<Sink>,
    /// Everything requested, for serde_json.
    all: PathTree,
    /// Requested columns that serde_json reads in every record, and their places in the request.
    documents: PathTree,
    document_columns: Vec<usize>,
    batch: BatchReader,
    inflater: Inflater,
    /// Bytes that a run may inflate to.
    most_inflated: usize,
    always_slow: bool,
}

/// What a run of records decodes to: one row a record, in order.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// One array for each requested column, each as long as the run.
    pub columns: Vec<ArrayRef>,
    /// Verdicts on records that are bad as far as the requested columns go, in row order, one per bad row.
    pub bad: Vec<BadRecord>,
}

/// A record read by serde_json: what was found for each requested column, or why it is undecodable.
type Careful<'a> = Result<Vec<Found<'a>>, String>;

impl Decoder {
    /// A decoder for `columns` (indexes into `definition.columns`, any order, may be empty).
    ///
    /// # Errors
    /// An index without a column; a pattern that does not compile (which parsing a definition has ruled out).
    pub fn new(definition: &Arc<TableDefinition>, columns: &[usize]) -> Result<Self, DefinitionError> {
        let refuse = |message: String| DefinitionError {
            line: None,
            column: None,
            message,
        };
        let mut sinks = Vec::with_capacity(columns.len());
        let mut paths: Vec<&[String]> = Vec::with_capacity(columns.len());
        for index in columns {
            let column = definition.columns.get(*index).ok_or_else(|| {
                refuse(format!(
                    "table {} has {} columns; there is no column number {index}",
                    definition.name,
                    definition.columns.len()
                ))
            })?;
            sinks.push(Sink::new(column).map_err(|message| refuse(format!("column {}: {message}", column.name)))?);
            paths.push(&column.path);
        }
        let (mut all, mut documents, mut document_columns, mut scalars) =
            (PathTree::default(), PathTree::default(), Vec::new(), Vec::new());
        for (place, path) in paths.iter().enumerate() {
            all.insert(path, place);
            // arrow-json has one type for a field, so a field that is also a parent of another column is read apart.
            if paths.iter().any(|other| other.len() > path.len() && other.starts_with(path)) || path.is_empty() {
                documents.insert(path, place);
                document_columns.push(place);
            } else {
                scalars.push((place, *path));
            }
        }
        let arrow = |error: ArrowError| refuse(format!("table {}: {error}", definition.name));
        Ok(Self {
            batch: BatchReader::new(FastPlan::new(&scalars)).map_err(arrow)?,
            inflater: Inflater::new(definition.compression.clone()),
            most_inflated: MOST_INFLATED_IN_ALL,
            definition: Arc::clone(definition),
            columns: columns.to_vec(),
            sinks,
            all,
            documents,
            document_columns,
            always_slow: false,
        })
    }

    /// Decodes all of `payloads`; never fails for a bad record. A NULL counts as an empty record.
    ///
    /// # Errors
    /// [`DecodeError::TooLarge`].
    pub fn decode(&mut self, payloads: &BinaryArray) -> Result<Decoded, DecodeError> {
        if self.definition.format == Format::Dummy {
            return Ok(Decoded {
                columns: Vec::new(),
                bad: Vec::new(),
            });
        }
        for sink in &mut self.sinks {
            sink.reserve(payloads.len());
        }
        let mut verdicts = Vec::new();
        let (mut start, mut inflated) = (0, 0);
        while start < payloads.len() {
            let end = chunk_end(payloads, start);
            let rows: Vec<&[u8]> = (start..end).map(|row| payload(payloads, row)).collect();
            if !rows.iter().any(|payload| self.inflater.touches(payload)) {
                self.decode_chunk(&rows, &[], start, &mut verdicts);
                start = end;
                continue;
            }
            let mut done = 0;
            while done < rows.len() {
                let contents = Contents::of(&rows[done..], &mut self.inflater);
                inflated += contents.inflated;
                if inflated > self.most_inflated {
                    self.sinks.iter_mut().for_each(|sink| drop(sink.finish()));
                    return Err(DecodeError::TooLarge { records: payloads.len() });
                }
                let some = contents.rows();
                self.decode_chunk(&some, &contents.damaged, start + done, &mut verdicts);
                done += some.len();
            }
            start = end;
        }
        Ok(Decoded {
            columns: self.sinks.iter_mut().map(Sink::finish).collect(),
            bad: by_row(verdicts),
        })
    }

    /// Decodes records of which the first has that row; `damaged` ones are undecodable for that reason.
    fn decode_chunk(&mut self, rows: &[&[u8]], damaged: &[(usize, String)], first: usize, verdicts: &mut Vec<BadRecord>) {
        let mut slow = vec![self.always_slow; rows.len()];
        for (row, _) in damaged {
            slow[*row] = true;
        }
        let root = if self.always_slow { None } else { self.batch.read(rows, &mut slow) };
        let mut documents: Vec<Vec<Found<'_>>> = Vec::new();
        let mut careful: Vec<(usize, Careful<'_>)> = Vec::new();
        let mut damaged = damaged.iter().peekable();
        for (row, payload) in rows.iter().enumerate() {
            if let Some((_, reason)) = damaged.next_if(|(damaged, _)| *damaged == row) {
                careful.push((row, Err(reason.clone())));
                if !self.document_columns.is_empty() {
                    documents.push(Vec::new());
                }
                continue;
            }
            if !slow[row] && !self.document_columns.is_empty() {
                match document::find(payload, &self.documents, self.columns.len()) {
                    Ok(found) => documents.push(found),
                    Err(reason) => {
                        documents.push(Vec::new());
                        careful.push((row, Err(reason)));
                    }
                }
                continue;
            }
            if !self.document_columns.is_empty() {
                documents.push(Vec::new());
            }
            if slow[row] {
                careful.push((row, document::find(payload, &self.all, self.columns.len())));
            }
        }
        for (row, result) in &careful {
            if let Err(reason) = result {
                verdicts.push(BadRecord {
                    row: first + row,
                    error: reason.clone(),
                });
            }
        }
        self.append_scalars(root.as_ref(), rows.len(), first, &careful, verdicts);
        self.append_documents(&documents, first, &careful, verdicts);
    }

    fn append_scalars(
        &mut self,
        root: Option<&ArrayRef>,
        rows: usize,
        first: usize,
        careful: &[(usize, Careful<'_>)],
        verdicts: &mut Vec<BadRecord>,
    ) {
        let mut refused = Vec::new();
        for leaf in self.batch.leaves() {
            let texts = root.and_then(|root| leaf.texts(root));
            for place in &leaf.columns {
                let column = &self.definition.columns[self.columns[*place]];
                let sink = &mut self.sinks[*place];
                let mut next = 0;
                let mut run = |sink: &mut Sink, rows: Range<usize>, verdicts: &mut Vec<BadRecord>| {
                    let Some(texts) = texts else { return };
                    refused.clear();
                    sink.append_run(texts, rows, &mut refused);
                    verdicts.extend(refused.iter().map(|row| BadRecord {
                        row: first + row,
                        error: refusal(column, &shown(texts.value(*row))),
                    }));
                };
                for (row, result) in careful {
                    run(sink, next..*row, verdicts);
                    append_found(sink, column, first + row, found_at(result, *place), verdicts);
                    next = row + 1;
                }
                run(sink, next..rows, verdicts);
            }
        }
    }

    fn append_documents(
        &mut self,
        documents: &[Vec<Found<'_>>],
        first: usize,
        careful: &[(usize, Careful<'_>)],
        verdicts: &mut Vec<BadRecord>,
    ) {
        for place in &self.document_columns {
            let column = &self.definition.columns[self.columns[*place]];
            let mut careful = careful.iter().peekable();
            for (row, found) in documents.iter().enumerate() {
                let found = match careful.next_if(|(careful_row, _)| *careful_row == row) {
                    Some((_, result)) => found_at(result, *place),
                    None => found.get(*place),
                };
                append_found(&mut self.sinks[*place], column, first + row, found, verdicts);
            }
        }
    }
}

fn found_at<'r, 'a>(result: &'r Careful<'a>, place: usize) -> Option<&'r Found<'a>> {
    result.as_ref().ok().and_then(|found| found.get(place))
}

/// Nothing is added to a row that is undecodable: it has its verdict.
fn append_found(sink: &mut Sink, column: &ColumnDefinition, row: usize, found: Option<&Found<'_>>, verdicts: &mut Vec<BadRecord>) {
    let refused = match found {
        None | Some(Found::Nothing) => {
            sink.append(None);
            return;
        }
        Some(Found::Scalar(text)) => {
            if sink.append(Some(text)) {
                return;
            }
            shown(text)
        }
        Some(Found::Composite(raw)) if column.column_type == ColumnType::Varchar => {
            sink.append(Some(&document::compact(raw)));
            return;
        }
        Some(Found::Composite(raw)) => {
            sink.append(None);
            if raw.starts_with('{') {
                "an object".to_owned()
            } else {
                "an array".to_owned()
            }
        }
        Some(Found::Broken) => {
            sink.append(None);
            verdicts.push(BadRecord {
                row,
                error: format!("{}: a string with broken escapes or control characters", path_text(column)),
            });
            return;
        }
    };
    verdicts.push(BadRecord {
        row,
        error: refusal(column, &refused),
    });
}
