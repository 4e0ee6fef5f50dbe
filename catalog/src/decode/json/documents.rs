//! Documents, a row each: what arrow-json reads of them, and what serde_json has to.

use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use super::super::rows::Rows;
use super::batch::BatchReader;
use super::document;
use super::projection::{self, FastPlan, PathTree, Wanted};
use super::value::{BROKEN, Found};

/// Decodes documents into some of the requested columns.
#[derive(Debug)]
pub(super) struct Documents {
    /// Everything requested, for serde_json.
    all: PathTree,
    /// Requested columns that serde_json reads in every document.
    documents: PathTree,
    document_columns: Vec<usize>,
    batch: BatchReader,
    /// Number of requested columns, those of others too.
    width: usize,
    always_slow: bool,
}

/// A document read by serde_json: what was found for each requested column, or why it is undecodable.
type Careful<'a> = Result<Vec<Found<'a>>, String>;

impl Documents {
    /// For these columns and their paths, of as many as `rows` has. `always_slow` leaves nothing to arrow-json.
    pub(super) fn new(columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let (mut all, mut documents, mut document_columns, mut scalars) =
            (PathTree::default(), PathTree::default(), Vec::new(), Vec::new());
        for (place, path) in columns {
            let wanted = Wanted {
                place: *place,
                takes_json: rows.takes_json(*place),
            };
            all.insert(path, wanted);
            // arrow-json has one type for a field, so a field that is also a parent of another column is read apart; and it has no way into an array.
            let is_parent = columns.iter().any(|(_, other)| other.len() > path.len() && other.starts_with(path));
            let indexes = path.iter().any(|key| projection::index(key).is_some());
            if is_parent || indexes || path.is_empty() || wanted.takes_json {
                documents.insert(path, wanted);
                document_columns.push(*place);
            } else {
                scalars.push((*place, *path));
            }
        }
        Ok(Self {
            batch: BatchReader::new(FastPlan::new(&scalars))?,
            all,
            documents,
            document_columns,
            width: rows.width(),
            always_slow,
        })
    }

    /// Adds a row for each of at most [`super::super::contents::CHUNK_ROWS`] documents.
    pub(super) fn decode(&mut self, documents: &[&[u8]], rows: &mut Rows) {
        let first = rows.len();
        let mut slow = vec![self.always_slow; documents.len()];
        let root = if self.always_slow {
            None
        } else {
            self.batch.read(documents, &mut slow)
        };
        let mut read: Vec<Vec<Found<'_>>> = Vec::new();
        let mut careful: Vec<(usize, Careful<'_>)> = Vec::new();
        for (row, payload) in documents.iter().enumerate() {
            if !slow[row] && !self.document_columns.is_empty() {
                match document::find(payload, &self.documents, self.width) {
                    Ok(found) => read.push(found),
                    Err(reason) => {
                        read.push(Vec::new());
                        careful.push((row, Err(reason)));
                    }
                }
                continue;
            }
            if !self.document_columns.is_empty() {
                read.push(Vec::new());
            }
            if slow[row] {
                careful.push((row, document::find(payload, &self.all, self.width)));
            }
        }
        for (row, result) in &careful {
            if let Err(reason) = result {
                rows.judge(first + row, reason.clone());
            }
        }
        self.append_scalars(root.as_ref(), documents.len(), &careful, rows);
        self.append_documents(&read, &careful, rows);
    }

    fn append_scalars(&self, root: Option<&ArrayRef>, count: usize, careful: &[(usize, Careful<'_>)], rows: &mut Rows) {
        for leaf in self.batch.leaves() {
            let texts = root.and_then(|root| leaf.texts(root));
            for place in &leaf.columns {
                let mut next = 0;
                let run = |rows: &mut Rows, range: Range<usize>| {
                    if let Some(texts) = texts.filter(|_| !range.is_empty()) {
                        rows.texts(*place, texts, range);
                    }
                };
                for (row, result) in careful {
                    run(rows, next..*row);
                    append(rows, *place, found_at(result, *place));
                    next = row + 1;
                }
                run(rows, next..count);
            }
        }
    }

    fn append_documents(&self, documents: &[Vec<Found<'_>>], careful: &[(usize, Careful<'_>)], rows: &mut Rows) {
        for place in &self.document_columns {
            let mut careful = careful.iter().peekable();
            for (row, found) in documents.iter().enumerate() {
                let found = match careful.next_if(|(careful_row, _)| *careful_row == row) {
                    Some((_, result)) => found_at(result, *place),
                    None => found.get(*place),
                };
                append(rows, *place, found);
            }
        }
    }
}

fn found_at<'r, 'a>(result: &'r Careful<'a>, place: usize) -> Option<&'r Found<'a>> {
    result.as_ref().ok().and_then(|found| found.get(place))
}

/// A row that is undecodable has its verdict, and gets NULL.
pub(super) fn append(rows: &mut Rows, place: usize, found: Option<&Found<'_>>) {
    match found.unwrap_or(&Found::Nothing).cell() {
        Some(cell) => rows.cell(place, cell),
        None => rows.broken(place, BROKEN),
    }
}
