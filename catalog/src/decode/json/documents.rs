//! Documents, a row each: those that arrow-json reads, and those that are read one by one.

use std::ops::Range;

use arrow::array::ArrayRef;
use arrow::error::ArrowError;

use super::super::contents::CHUNK_ROWS;
use super::super::rows::Rows;
use super::batch::BatchReader;
use super::document;
use super::projection::{self, FastPlan, Leaf, PathTree, Wanted};
use super::value::{BROKEN, Found};

/// Values that are looked up before they are converted.
const MOST_FOUND: usize = 1 << 21;

/// Decodes documents into some of the requested columns.
#[derive(Debug)]
pub(super) struct Documents {
    /// The columns by their paths.
    tree: PathTree,
    /// Reads all of the columns of most documents; `None` where each has to be read alone anyway.
    batch: Option<BatchReader>,
    places: Vec<usize>,
    /// Finds columns in a document.
    find: Find,
    /// Number of requested columns, those of others too.
    width: usize,
}

/// Puts what is found in their places, or says why a payload is no document.
type Find = for<'a> fn(&'a [u8], &PathTree, &mut [Found<'a>]) -> Result<(), String>;

/// A document read alone: what was found for each requested column, or why it is undecodable.
type Careful<'a> = Result<Vec<Found<'a>>, String>;

impl Documents {
    /// For these columns and their paths, of as many as `rows` has. `always_slow` leaves nothing to arrow-json.
    pub(super) fn new(columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let mut tree = PathTree::default();
        let mut fast = !always_slow;
        for (place, path) in columns {
            let wanted = Wanted {
                place: *place,
                takes_json: rows.takes_json(*place),
            };
            tree.insert(path, wanted);
            // arrow-json has one type for a field, so it cannot read one that is also a parent of another column; and it has no way into an array.
            let is_parent = columns.iter().any(|(_, other)| other.len() > path.len() && other.starts_with(path));
            let has_index = path.iter().any(|key| projection::index(key).is_some());
            fast &= !(is_parent || has_index || path.is_empty() || wanted.takes_json);
        }
        Ok(Self {
            batch: fast.then(|| BatchReader::new(FastPlan::new(columns))).transpose()?,
            tree,
            find: if always_slow { document::find_carefully } else { document::find },
            places: columns.iter().map(|(place, _)| *place).collect(),
            width: rows.width(),
        })
    }

    /// The columns by their paths.
    pub(super) fn tree(&self) -> &PathTree {
        &self.tree
    }

    /// Adds a row for each of at most [`CHUNK_ROWS`] documents.
    pub(super) fn decode(&mut self, documents: &[&[u8]], rows: &mut Rows) {
        let mut first = rows.len();
        for some in documents.chunks((MOST_FOUND / self.width.max(1)).clamp(1, CHUNK_ROWS)) {
            self.decode_some(some, first, rows);
            first += some.len();
        }
    }

    fn decode_some(&mut self, documents: &[&[u8]], first: usize, rows: &mut Rows) {
        let Some(batch) = &mut self.batch else {
            self.decode_slowly(documents, first, rows);
            return;
        };
        let mut slow = vec![false; documents.len()];
        let root = batch.read(documents, &mut slow);
        let careful: Vec<(usize, Careful<'_>)> = (0..documents.len())
            .filter(|row| slow[*row])
            .map(|row| {
                let mut found = vec![Found::Nothing; self.width];
                let read = (self.find)(documents[row], &self.tree, &mut found);
                (row, read.map(|()| found))
            })
            .collect();
        for (row, result) in &careful {
            if let Err(reason) = result {
                rows.judge(first + row, reason.clone());
            }
        }
        self.append_batch(root.as_ref(), documents.len(), &careful, rows);
    }

    fn append_batch(&self, root: Option<&ArrayRef>, count: usize, careful: &[(usize, Careful<'_>)], rows: &mut Rows) {
        let leaves = self.batch.iter().flat_map(BatchReader::leaves);
        let mut columns: Vec<(usize, &Leaf)> = leaves
            .flat_map(|leaf| leaf.columns.iter().map(move |place| (*place, leaf)))
            .collect();
        // As documents that are read alone: what is said of a row is said in the order of the columns.
        columns.sort_unstable_by_key(|(place, _)| *place);
        for (place, leaf) in columns {
            let texts = root.and_then(|root| leaf.texts(root));
            let mut next = 0;
            let run = |rows: &mut Rows, range: Range<usize>| {
                if let Some(texts) = texts.filter(|_| !range.is_empty()) {
                    rows.texts(place, texts, range);
                }
            };
            for (row, result) in careful {
                run(rows, next..*row);
                append(rows, place, result.as_ref().ok().and_then(|found| found.get(place)));
                next = row + 1;
            }
            run(rows, next..count);
        }
    }

    fn decode_slowly(&self, documents: &[&[u8]], first: usize, rows: &mut Rows) {
        let mut found = vec![Found::Nothing; self.width * documents.len()];
        for (row, document) in documents.iter().enumerate() {
            let of_row = &mut found[row * self.width..(row + 1) * self.width];
            if let Err(reason) = (self.find)(document, &self.tree, of_row) {
                rows.judge(first + row, reason);
            }
        }
        self.append_found(&found, documents.len(), rows);
    }

    /// Adds what was found for each column in each document.
    pub(super) fn append_found(&self, found: &[Found<'_>], count: usize, rows: &mut Rows) {
        for place in &self.places {
            let of_column = || found.iter().skip(*place).step_by(self.width);
            if of_column().all(|found| matches!(found, Found::Scalar(_) | Found::Nothing)) {
                rows.texts_by_index(*place, count, |row| match &found[row * self.width + place] {
                    Found::Scalar(text) => Some(text),
                    _ => None,
                });
            } else {
                of_column().for_each(|found| append(rows, *place, Some(found)));
            }
        }
    }
}

/// A row that is undecodable has its verdict, and gets NULL.
pub(super) fn append(rows: &mut Rows, place: usize, found: Option<&Found<'_>>) {
    match found.unwrap_or(&Found::Nothing).cell() {
        Some(cell) => rows.cell(place, cell),
        None => rows.broken(place, BROKEN),
    }
}
