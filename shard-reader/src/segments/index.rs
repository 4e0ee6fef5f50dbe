//! Which file holds what of one shard.
//!
//! No file of the index lies within another, so they are sorted by their ends as they are by their beginnings, and the last one that begins at or
//! before a point reaches furthest. Files may overlap (two nodes, a crash between writing and removing): a reader takes one file at a point, and goes
//! on where that ends.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::format::Groups;
use super::name::SegmentName;
use crate::Position;

/// A file of the index.
#[derive(Clone, Debug)]
pub(crate) struct StoredFile {
    pub(crate) name: SegmentName,
    /// Its size.
    pub(crate) file_bytes: u64,
    /// When it was last read or written, ms since the epoch.
    pub(crate) used_ms: i64,
    /// What its footer says; known once its checksum was verified.
    pub(crate) groups: Option<Groups>,
}

/// The files of a shard in one place.
#[derive(Debug, Default)]
pub(crate) struct SegmentIndex {
    files: BTreeMap<Position, StoredFile>,
}

impl SegmentIndex {
    /// The file to read at a point.
    pub(crate) fn at(&self, position: Position) -> Option<&StoredFile> {
        let (_, file) = self.files.range(..=position).next_back()?;
        (position < file.name.to).then_some(file)
    }

    /// Adds a file. Returns those that are not needed then: the ones within it, or itself if it lies within another.
    pub(crate) fn insert(&mut self, file: StoredFile) -> Vec<StoredFile> {
        if let Some((_, other)) = self.files.range(..=file.name.from).next_back()
            && file.name.to <= other.name.to
        {
            return if other.name == file.name { Vec::new() } else { vec![file] };
        }
        let within: Vec<Position> = self
            .files
            .range(file.name.from..)
            .take_while(|(_, other)| other.name.to <= file.name.to)
            .map(|(from, _)| *from)
            .collect();
        let mut removed: Vec<StoredFile> = within.iter().filter_map(|from| self.files.remove(from)).collect();
        // the same beginning, a later end: the new file lies within it, which was looked at above; else it is one of `within`
        if let Some(replaced) = self.files.insert(file.name.from, file) {
            removed.push(replaced);
        }
        removed
    }

    pub(crate) fn remove(&mut self, name: &SegmentName) -> Option<StoredFile> {
        self.files.get(&name.from).filter(|file| file.name == *name)?;
        self.files.remove(&name.from)
    }

    pub(crate) fn get_mut(&mut self, name: &SegmentName) -> Option<&mut StoredFile> {
        self.files.get_mut(&name.from).filter(|file| file.name == *name)
    }

    /// Removes the files that end at or before a point.
    pub(crate) fn drop_before(&mut self, position: Position) -> Vec<StoredFile> {
        let mut dropped = Vec::new();
        while let Some(first) = self.files.first_entry()
            && first.get().name.to <= position
        {
            dropped.push(first.remove());
        }
        dropped
    }

    /// The file that ends at a point.
    pub(crate) fn ending_at(&self, position: Position) -> Option<&StoredFile> {
        let (_, file) = self.files.range((Bound::Unbounded, Bound::Excluded(position))).next_back()?;
        (file.name.to == position).then_some(file)
    }

    /// Where the last file ends.
    pub(crate) fn last_end(&self) -> Option<Position> {
        self.files.last_key_value().map(|(_, file)| file.name.to)
    }

    /// All files, ascending.
    pub(crate) fn files(&self) -> impl DoubleEndedIterator<Item = &StoredFile> {
        self.files.values()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::name::Checksum;
    use super::*;

    fn at(point: u64) -> Position {
        Position::Before(point.into())
    }

    fn file(from: u64, to: u64, number: u64) -> StoredFile {
        StoredFile {
            name: SegmentName {
                from: at(from),
                to: at(to),
                rows: 1,
                wire_bytes: 1,
                arrivals: (0, 0),
                checksum: Checksum::of(&number.to_be_bytes()),
            },
            file_bytes: number,
            used_ms: 0,
            groups: None,
        }
    }

    #[test]
    fn the_same_file_again_changes_nothing() {
        let mut index = SegmentIndex::default();
        assert!(index.insert(file(1, 5, 1)).is_empty());
        assert!(
            index.insert(file(1, 5, 1)).is_empty(),
            "a file that is in the index must not be deleted"
        );
        assert_eq!(index.files().count(), 1);
        assert_eq!(
            index.insert(file(1, 5, 2)).len(),
            1,
            "the same stretch in another file is not needed"
        );
        assert_eq!(index.insert(file(1, 6, 3)).len(), 1);
        assert_eq!(index.files().count(), 1);
        assert_eq!(index.ending_at(at(6)).unwrap().file_bytes, 3);
        assert!(index.ending_at(at(5)).is_none());
        assert_eq!(index.drop_before(at(5)).len(), 0);
        assert_eq!(index.drop_before(at(6)).len(), 1);
    }

    proptest! {
        /// Whatever files there are, in whatever order they come: a point is found if and only if some file holds it, and what is found holds it.
        #[test]
        fn finds_what_any_file_holds(files in proptest::collection::vec((0u64..60, 1u64..20), 1..30), removals in proptest::collection::vec(any::<usize>(), 0..4)) {
            let mut index = SegmentIndex::default();
            let mut kept: Vec<StoredFile> = Vec::new();
            for (number, (from, length)) in files.into_iter().enumerate() {
                let added = file(from, from + length, number as u64);
                kept.push(added.clone());
                for removed in index.insert(added) {
                    kept.retain(|file| file.name != removed.name);
                }
            }
            prop_assert_eq!(kept.len(), index.files().count());
            for removal in removals {
                if !kept.is_empty() {
                    let gone = kept.remove(removal % kept.len());
                    prop_assert!(index.remove(&gone.name).is_some());
                    prop_assert!(index.remove(&gone.name).is_none());
                }
            }
            for point in 0..90 {
                let holds = |file: &StoredFile| file.name.from <= at(point) && at(point) < file.name.to;
                let furthest = kept.iter().filter(|file| holds(file)).map(|file| file.name.to).max();
                prop_assert_eq!(index.at(at(point)).map(|file| file.name.to), furthest);
                prop_assert!(index.at(at(point)).is_none_or(holds));
            }
            prop_assert_eq!(index.last_end(), kept.iter().map(|file| file.name.to).max());
        }
    }
}
