//! Documents that are found in others, with what columns take of them: good records are gone over once, and not again for what is in their documents.

use super::checked;
use super::projection::PathTree;
use super::scan::past_blanks;
use super::value::Found;

/// Documents that one record may give in this way, and values of these.
const MOST_DOCUMENTS: usize = 1 << 20;
const MOST_VALUES: usize = 1 << 21;

/// Documents, and what was found in those that are checked.
#[derive(Debug)]
pub(super) struct Gathered<'a> {
    pub(super) documents: Vec<&'a [u8]>,
    /// Of each checked document one for each column.
    pub(super) found: Vec<Found<'a>>,
    /// How many of the documents are checked.
    checked: usize,
    pub(super) bytes: usize,
    /// Number of columns.
    width: usize,
}

impl<'a> Gathered<'a> {
    pub(super) fn new(width: usize) -> Self {
        Self {
            documents: Vec::new(),
            found: Vec::new(),
            checked: 0,
            bytes: 0,
            width,
        }
    }

    /// Whether all documents are checked, and what columns take of them is found.
    pub(super) fn is_checked(&self) -> bool {
        self.checked == self.documents.len()
    }

    /// Adds a document that nobody has looked into.
    pub(super) fn push(&mut self, document: &'a [u8]) {
        self.documents.push(document);
        self.bytes += document.len();
    }

    pub(super) fn clear(&mut self) {
        self.documents.clear();
        self.found.clear();
        (self.checked, self.bytes) = (0, 0);
    }

    /// Adds what `read` adds, the number of its documents with what it says; nothing if that is `None`.
    pub(super) fn all_or_none<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<(usize, T)> {
        let (documents, found, checked, bytes) = (self.documents.len(), self.found.len(), self.checked, self.bytes);
        let said = read(self);
        if said.is_none() {
            self.documents.truncate(documents);
            self.found.truncate(found);
            (self.checked, self.bytes) = (checked, bytes);
        }
        Some((self.documents.len() - documents, said?))
    }

    /// Drops the last checked documents.
    pub(super) fn take_back(&mut self, count: usize) {
        let first = self.documents.len().saturating_sub(count);
        self.bytes -= self.documents.drain(first..).map(<[u8]>::len).sum::<usize>();
        self.found.truncate(first * self.width);
        self.checked -= count;
    }

    /// Adds the document at `at`, and says where it ends.
    #[inline]
    pub(super) fn document(&mut self, text: &'a str, at: usize, tree: &PathTree) -> Option<usize> {
        let first = self.found.len();
        self.found.resize(first + self.width, Found::Nothing);
        let end = checked::value(text, at, tree, self.found.get_mut(first..)?)?;
        self.push(text.as_bytes().get(at..end)?);
        self.checked += 1;
        Some(end)
    }

    /// Adds the elements of the array at `at`, and says where it ends.
    pub(super) fn elements(&mut self, text: &'a str, at: usize, tree: &PathTree) -> Option<usize> {
        let bytes = text.as_bytes();
        let most = self.documents.len() + MOST_DOCUMENTS.min(MOST_VALUES / self.width.max(1));
        let mut at = past_blanks(bytes, at + 1);
        if bytes.get(at) == Some(&b']') {
            return Some(at + 1);
        }
        while self.documents.len() < most {
            at = past_blanks(bytes, self.document(text, at, tree)?);
            match bytes.get(at)? {
                b',' => at = past_blanks(bytes, at + 1),
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
        None
    }

    /// Adds the elements of the array at a path of the object at `at`, and says where the object ends. What stands beside is found for `outer`.
    pub(super) fn elements_of(
        &mut self,
        text: &'a str,
        at: usize,
        path: &[String],
        tree: &PathTree,
        outer: &mut Beside<'_, 'a>,
    ) -> Option<usize> {
        let (wanted, rest) = path.split_first()?;
        let bytes = text.as_bytes();
        if bytes.get(at) != Some(&b'{') {
            return None;
        }
        let mut is_there = false;
        let end = checked::members(text, at, |key, at| {
            let child = outer
                .tree
                .and_then(|tree| tree.children.get(checked::place(&tree.children, key, 0)?));
            if key != wanted.as_bytes() {
                return match child {
                    Some(child) => checked::field(text, at, child, outer.found),
                    None => checked::skip(bytes, at),
                };
            }
            // Of several the last would count.
            if std::mem::replace(&mut is_there, true) {
                return None;
            }
            let mut inside = Beside {
                tree: child,
                found: &mut *outer.found,
            };
            match (bytes.get(at)?, rest) {
                (b'[', []) => {
                    let end = self.elements(text, at, tree)?;
                    hold(child, text.get(at..end)?, outer.found);
                    Some(end)
                }
                (b'{', [_, ..]) => self.elements_of(text, at, rest, tree, &mut inside),
                _ => None,
            }
        })?;
        hold(outer.tree, text.get(at..end)?, outer.found);
        is_there.then_some(end)
    }
}

/// What stands beside an array, or holds it.
#[derive(Debug)]
pub(super) struct Beside<'t, 'a> {
    /// Columns from here on.
    pub(super) tree: Option<&'t PathTree>,
    pub(super) found: &'t mut [Found<'a>],
}

/// Finds a value for the columns of its node.
fn hold<'a>(tree: Option<&PathTree>, raw: &'a str, found: &mut [Found<'a>]) {
    for column in tree.iter().flat_map(|tree| &tree.columns) {
        found[column.place] = Found::new(raw, column.takes_json);
    }
}
