//! JSON that stands as text in a field of documents.

use std::borrow::Cow;

use arrow::error::ArrowError;

use super::super::rows::Rows;
use super::document;
use super::documents::Documents;
use super::projection::{PathTree, Wanted};
use super::value::Found;

/// Columns inside of the JSON that a text holds. A text that is no object has no fields: NULLs, not bad.
#[derive(Debug)]
pub(super) struct Embedded {
    /// Where the text stands.
    text: PathTree,
    documents: Documents,
}

impl Embedded {
    pub(super) fn new(text: &[String], columns: &[(usize, &[String])], rows: &Rows, always_slow: bool) -> Result<Self, ArrowError> {
        let mut tree = PathTree::default();
        tree.insert(
            text,
            Wanted {
                place: 0,
                takes_json: false,
            },
        );
        Ok(Self {
            text: tree,
            documents: Documents::new(columns, rows, always_slow)?,
        })
    }

    /// Adds a row for each of these documents.
    pub(super) fn decode(&mut self, documents: &[&[u8]], rows: &mut Rows) {
        let texts: Vec<Cow<'_, str>> = documents
            .iter()
            .map(|document| {
                let mut found = [Found::Nothing];
                // What is wrong with the document itself is said where it is decoded.
                let _read = document::find(document, &self.text, &mut found);
                match found {
                    [Found::Scalar(text)] if text.trim_ascii_start().starts_with('{') => text,
                    [Found::Json(object)] if object.starts_with('{') => object,
                    _ => Cow::Borrowed("{}"),
                }
            })
            .collect();
        let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
        self.documents.decode(&texts, rows);
    }
}
