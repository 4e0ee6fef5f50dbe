//! A field that each document must have.

use memchr::memmem::Finder;

use super::document;
use super::projection::{PathTree, Wanted};
use super::value::Found;

/// A top-level field without which a document is not of its format.
#[derive(Debug)]
pub(super) struct Required {
    key: &'static str,
    quoted: Finder<'static>,
    path: PathTree,
}

impl Required {
    pub(super) fn new(key: &'static str) -> Self {
        let mut path = PathTree::default();
        path.insert(
            &[key.to_owned()],
            Wanted {
                place: 0,
                takes_json: false,
            },
        );
        Self {
            key,
            quoted: Finder::new(&format!("\"{key}\"")).into_owned(),
            path,
        }
    }

    /// Why a document is not of its format. Of what is no document that is said elsewhere; and where the key's bytes stand, they are taken to stand in
    /// their place, since looking would take as long as decoding.
    pub(super) fn missing(&self, document: &[u8]) -> Option<String> {
        if self.quoted.find(document).is_some() {
            return None;
        }
        let mut found = [Found::Nothing];
        let read = document::find(document, &self.path, &mut found);
        (read.is_ok() && found[0] == Found::Nothing).then(|| format!("{}: it is missing", self.key))
    }
}
