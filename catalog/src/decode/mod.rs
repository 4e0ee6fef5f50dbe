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
//! A refused field is NULL and makes the record bad; an undecodable record (no JSON, invalid UTF-8, none or several values) is NULL in all columns.
//! A document that is no object has no fields: NULLs, not bad. Of several fields of one name the last counts. What arrow-json takes for JSON
//! beyond the standard (superfluous, missing or trailing commas, control characters in strings) is taken in records of scalars; a record that
//! has to be read with serde_json is held to the standard. Which of the two applies depends on nothing but the record and the columns asked for.

mod coerce;
mod document;
mod fixed;
mod projection;
mod sink;
#[cfg(test)]
mod tests;
mod time;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder as JsonDecoder;

use self::document::Found;
use self::projection::{FastPlan, PathTree};
use self::sink::Sink;
pub(crate) use self::time::Pattern;
use crate::{ColumnDefinition, ColumnType, DefinitionError, Format, TableDefinition};

/// Records that arrow-json decodes in one go: their tape should stay in the processor's cache.
const CHUNK_ROWS: usize = 1024;
/// Bytes of the same.
const CHUNK_BYTES: usize = 4 << 20;
/// Characters of a refused value that an error shows.
const SHOWN: usize = 64;

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
    fast: FastPlan,
    batch: JsonDecoder,
    /// Reads records alone, without columns.
    probe: JsonDecoder,
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

/// Why a row is bad.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// Row in the run.
    pub row: usize,
    /// Path and reason, as `_message_error` shows it.
    pub error: String,
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
        let fast = FastPlan::new(&scalars);
        let arrow = |error: ArrowError| refuse(format!("table {}: {error}", definition.name));
        Ok(Self {
            batch: json_decoder(&fast, CHUNK_ROWS).map_err(arrow)?,
            probe: json_decoder(&FastPlan::default(), 1).map_err(arrow)?,
            definition: Arc::clone(definition),
            columns: columns.to_vec(),
            sinks,
            all,
            documents,
            document_columns,
            fast,
            always_slow: false,
        })
    }

    /// Decodes all of `payloads`; never fails for a bad record. A NULL counts as an empty record.
    pub fn decode(&mut self, payloads: &BinaryArray) -> Decoded {
        if self.definition.format == Format::Dummy {
            return Decoded {
                columns: Vec::new(),
                bad: Vec::new(),
            };
        }
        for sink in &mut self.sinks {
            sink.reserve(payloads.len());
        }
        let mut verdicts = Vec::new();
        let mut start = 0;
        while start < payloads.len() {
            let end = chunk_end(payloads, start);
            self.decode_chunk(payloads, start..end, &mut verdicts);
            start = end;
        }
        Decoded {
            columns: self.sinks.iter_mut().map(Sink::finish).collect(),
            bad: by_row(verdicts),
        }
    }

    fn decode_chunk(&mut self, payloads: &BinaryArray, range: Range<usize>, verdicts: &mut Vec<BadRecord>) {
        let rows: Vec<&[u8]> = range.clone().map(|row| payload(payloads, row)).collect();
        let mut slow = vec![self.always_slow; rows.len()];
        let root = if self.always_slow {
            None
        } else {
            self.decode_batch(&rows, &mut slow)
        };
        if let Some(root) = &root {
            self.mark_composites(root, &rows, &mut slow);
        }
        let mut documents: Vec<Vec<Found<'_>>> = Vec::new();
        let mut careful: Vec<(usize, Careful<'_>)> = Vec::new();
        for (row, payload) in rows.iter().enumerate() {
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
                    row: range.start + row,
                    error: reason.clone(),
                });
            }
        }
        self.append_scalars(root.as_ref(), rows.len(), range.start, &careful, verdicts);
        self.append_documents(&documents, range.start, &careful, verdicts);
    }

    /// The chunk through arrow-json. Rows that it cannot read are marked and NULL; `None` if it can read none.
    fn decode_batch(&mut self, rows: &[&[u8]], slow: &mut [bool]) -> Option<ArrayRef> {
        if let Some(root) = self.try_batch(rows, slow) {
            return Some(root);
        }
        for (row, slow) in rows.iter().zip(slow.iter_mut()) {
            *slow = !self.is_readable(row);
        }
        let root = if slow.iter().all(|slow| *slow) {
            None
        } else {
            self.try_batch(rows, slow)
        };
        if root.is_none() {
            slow.fill(true);
        }
        root
    }

    fn try_batch(&mut self, rows: &[&[u8]], skip: &[bool]) -> Option<ArrayRef> {
        let read = rows.iter().zip(skip).enumerate().all(|(row, (payload, skip))| {
            let payload = if *skip { b"{}" } else { *payload };
            feeds_one_row(&mut self.batch, payload, row)
        });
        let batch = if read { self.batch.flush().ok().flatten() } else { None };
        match batch {
            Some(batch) if batch.num_rows() == rows.len() => Some(Arc::clone(batch.column(0))),
            _ => {
                // A decoder cannot be cleared in the middle of a record.
                if let Ok(fresh) = json_decoder(&self.fast, CHUNK_ROWS) {
                    self.batch = fresh;
                }
                None
            }
        }
    }

    /// Whether arrow-json reads exactly one value in this record.
    fn is_readable(&mut self, payload: &[u8]) -> bool {
        if feeds_one_row(&mut self.probe, payload, 0) && matches!(self.probe.flush(), Ok(Some(_))) {
            return true;
        }
        if let Ok(fresh) = json_decoder(&FastPlan::default(), 1) {
            self.probe = fresh;
        }
        false
    }

    /// arrow-json gives NULL for an object or array where text is asked for; such rows are read again.
    fn mark_composites(&self, root: &ArrayRef, rows: &[&[u8]], slow: &mut [bool]) {
        for leaf in &self.fast.leaves {
            let Some(texts) = leaf.texts(root).filter(|texts| texts.null_count() > 0) else {
                continue;
            };
            for (row, slow) in slow.iter_mut().enumerate() {
                *slow = *slow || texts.is_null(row) && leaf.may_be_composite(rows[row]);
            }
        }
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
        for leaf in &self.fast.leaves {
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

fn json_decoder(plan: &FastPlan, rows: usize) -> Result<JsonDecoder, ArrowError> {
    // Type conflicts are NULL rather than errors: finding out which of the rows an error means would take as many decodings again.
    ReaderBuilder::new_with_field(plan.root())
        .with_batch_size(rows)
        .with_coerce_primitive(true)
        .with_ignore_type_conflicts(true)
        .build_decoder()
}

/// Two values in a record would be two rows and an empty one none: rows would shift against positions.
fn feeds_one_row(decoder: &mut JsonDecoder, payload: &[u8], rows_before: usize) -> bool {
    decoder.decode(payload).is_ok_and(|read| read == payload.len()) && decoder.len() == rows_before + 1 && !decoder.has_partial_record()
}

fn chunk_end(payloads: &BinaryArray, start: usize) -> usize {
    let limit = payloads.len().min(start + CHUNK_ROWS);
    let offsets = payloads.value_offsets();
    let fits = |end: &usize| (offsets[*end] - offsets[start]) as usize <= CHUNK_BYTES;
    (start + 2..=limit).take_while(fits).last().unwrap_or(start + 1)
}

fn payload(payloads: &BinaryArray, row: usize) -> &[u8] {
    if payloads.is_null(row) { b"" } else { payloads.value(row) }
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

fn path_text(column: &ColumnDefinition) -> String {
    if column.path.is_empty() {
        "/".to_owned()
    } else {
        column.path.join("/")
    }
}

fn refusal(column: &ColumnDefinition, refused: &str) -> String {
    let article = if column.column_type == ColumnType::Integer { "an" } else { "a" };
    let path = path_text(column);
    match &column.format {
        Some(pattern) => format!(
            "{path}: {refused} is not {article} {} of the pattern \"{pattern}\"",
            column.column_type
        ),
        None => format!("{path}: {refused} is not {article} {}", column.column_type),
    }
}

/// A value as an error shows it: shortened, and in quotes unless JSON would write it without.
fn shown(text: &str) -> String {
    let bare =
        matches!(text, "true" | "false") || text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && text.parse::<f64>().is_ok();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None if bare => text.to_owned(),
        None => format!("{text:?}"),
    }
}

/// One verdict a row, in row order; reasons of one row in the order of its columns.
fn by_row(mut verdicts: Vec<BadRecord>) -> Vec<BadRecord> {
    verdicts.sort_by_key(|bad| bad.row);
    verdicts.dedup_by(|later, kept| {
        let same = later.row == kept.row;
        if same {
            kept.error.push_str("; ");
            kept.error.push_str(&later.error);
        }
        same
    });
    verdicts
}
