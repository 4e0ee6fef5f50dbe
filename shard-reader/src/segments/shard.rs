//! The stored segments of one shard.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::counters::add;
use super::directory::{self, millis};
use super::format::{self, Damage, Part};
use super::index::{SegmentIndex, StoredFile};
use super::intervals::Intervals;
use super::name::{Checksum, FileName, FirstRecord, SegmentName};
use super::store::Shared;
use crate::{Position, Records, ShardId};

/// Files of one shard: what is where, and reading and writing them. What reads or writes blocks.
#[derive(Debug)]
pub(crate) struct StoredShard {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ShardId,
    pub(super) directory: PathBuf,
    /// The stream was deleted: nothing is written any more.
    pub(super) deleted: Arc<AtomicBool>,
    pub(super) files: Mutex<Files>,
}

#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) disk: SegmentIndex,
    /// In object storage, as last listed.
    pub(super) store: SegmentIndex,
    /// What was written to disk, also if it was deleted since for lack of space: it is not written again.
    pub(super) saved: Intervals,
    /// Dropped from memory, not written yet.
    leaving: Vec<Leaving>,
    pub(super) first: Option<FirstRecord>,
    pub(super) end: Option<Position>,
    /// Objects that were damaged, or gone when they were fetched.
    pub(super) bad: HashSet<Checksum>,
    /// Forgotten, to be deleted.
    trash: Vec<StoredFile>,
    stale: Vec<FileName>,
    /// When object storage was last asked for the shard's segments.
    pub(super) listed: Option<Instant>,
}

/// Records that memory has no room for, on their way to disk.
#[derive(Debug)]
struct Leaving {
    part: Part,
    bytes: u64,
}

/// What a restart knows of a shard.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) last_end: Option<Position>,
    pub(crate) first: Option<FirstRecord>,
    pub(crate) end: Option<Position>,
}

/// Where records at a point are.
#[derive(Debug)]
pub(crate) enum Held {
    /// On their way to disk.
    Leaving(Box<Part>),
    Disk,
    Store(SegmentName),
}

impl StoredShard {
    pub(super) fn new(shared: Arc<Shared>, id: ShardId, stream: &Path, deleted: Arc<AtomicBool>) -> Self {
        Self {
            directory: stream.join(directory::shard_name(&id)),
            shared,
            id,
            deleted,
            files: Mutex::default(),
        }
    }

    /// Takes in what a listing of the directory showed; gives what is not needed.
    pub(super) fn found(&self, found: Vec<directory::FoundFile>) {
        let mut unneeded = Vec::new();
        let mut files = self.files.lock();
        for file in found {
            match file.name {
                FileName::Segment(name) => {
                    let stored = StoredFile {
                        name,
                        file_bytes: file.bytes,
                        used_ms: file.used_ms,
                        groups: None,
                    };
                    self.shared.counters.file_added(file.bytes);
                    files.saved.insert(name.from, name.to);
                    unneeded.extend(files.disk.insert(stored));
                }
                // of several marks (a crash between writing and removing) the later one is the newer
                FileName::First(first) if files.first.is_none_or(|known| known.start < first.start) => files.first = Some(first),
                FileName::End(end) => files.end = Some(end),
                FileName::First(_) => {}
            }
        }
        drop(files);
        self.unlink(&unneeded);
    }

    pub(crate) fn remembered(&self) -> Remembered {
        let files = self.files.lock();
        Remembered {
            last_end: files.disk.last_end().max(files.store.last_end()),
            first: files.first,
            end: files.end,
        }
    }

    /// Where records at a point are, if a file has them that is known to be within retention: `cutoff_ms` is when that begins. Near it the service
    /// is asked.
    pub(crate) fn held_at(&self, position: Position, cutoff_ms: i64) -> Option<Held> {
        let files = self.files.lock();
        if let Some(leaving) = files.leaving.iter().find(|leaving| holds(&leaving.part, position)) {
            return Some(Held::Leaving(Box::new(Part {
                records: leaving.part.records.clone(),
                ..leaving.part
            })));
        }
        let kept = |file: &&StoredFile| file.name.arrivals.0 >= cutoff_ms;
        if files.disk.at(position).filter(kept).is_some() {
            return Some(Held::Disk);
        }
        let stored = files.store.at(position).filter(kept)?;
        Some(Held::Store(stored.name))
    }

    /// Whether [`Self::held_at`] would give something.
    pub(crate) fn holds(&self, position: Position, cutoff_ms: i64) -> bool {
        let files = self.files.lock();
        let kept = |file: &&StoredFile| file.name.arrivals.0 >= cutoff_ms;
        files.disk.at(position).filter(kept).is_some()
            || files.store.at(position).filter(kept).is_some()
            || files.leaving.iter().any(|leaving| holds(&leaving.part, position))
    }

    /// The part of a file on disk that a point lies in. `None`: no longer there, or damaged, and dropped.
    pub(crate) fn load(&self, position: Position) -> Option<Part> {
        let now_ms = millis(std::time::SystemTime::now());
        let (name, groups, used_ms) = {
            let mut files = self.files.lock();
            let name = files.disk.at(position)?.name;
            let file = files.disk.get_mut(&name)?;
            (name, file.groups.clone(), std::mem::replace(&mut file.used_ms, now_ms))
        };
        let read = || -> Result<Part, Failure> {
            let file = File::open(self.path(&name))?;
            if now_ms - used_ms > 60_000 {
                directory::touch(&file);
            }
            if let Some(groups) = groups {
                return Ok(format::read_at(&name, &groups, file, position)?);
            }
            let bytes = Bytes::from(std::fs::read(self.path(&name))?);
            let groups = format::verify(&name, &bytes)?;
            let part = format::read_at(&name, &groups, bytes, position)?;
            if let Some(file) = self.files.lock().disk.get_mut(&name) {
                file.groups = Some(groups);
            }
            Ok(part)
        };
        match read() {
            Ok(part) => {
                add(&self.shared.counters.loaded, 1);
                add(&self.shared.counters.loaded_bytes, part.records.wire_bytes(0..part.records.len()));
                Some(part)
            }
            Err(failure) => {
                self.drop_damaged(&name, &failure);
                None
            }
        }
    }

    pub(super) fn drop_damaged(&self, name: &SegmentName, failure: &Failure) {
        let removed = {
            let mut files = self.files.lock();
            let removed = files.disk.remove(name);
            if removed.is_some() {
                files.saved.remove(name.from, name.to);
            }
            removed
        };
        // else it was merged or deleted meanwhile
        if let Some(file) = removed {
            tracing::warn!(shard = %self.id, file = %name, error = %failure, "a stored segment is damaged: dropped, its records are read again");
            add(&self.shared.counters.damaged, 1);
            self.unlink(&[file]);
        }
    }

    /// The parts of a stretch that were never written to disk, nor are on their way there.
    pub(crate) fn unsaved(&self, from: Position, to: Position) -> Vec<(Position, Position)> {
        self.files.lock().saved.missing(from, to)
    }

    /// Takes records that memory drops, until they are written; false if there is no room for them, or no need.
    pub(crate) fn leave(&self, from: Position, to: Position, records: &Records) -> bool {
        let mut files = self.files.lock();
        if files.saved.covers(from, to) || !format::is_storable(records) {
            return false;
        }
        let bytes = records.bytes() as u64;
        if !self.shared.take_leaving(bytes) {
            add(&self.shared.counters.not_kept, 1);
            return false;
        }
        let records = records.clone();
        files.leaving.push(Leaving {
            part: Part { from, to, records },
            bytes,
        });
        true
    }

    /// Records that are on their way to disk, ascending.
    pub(crate) fn leaving(&self) -> Vec<Part> {
        let files = self.files.lock();
        let mut parts: Vec<Part> = files
            .leaving
            .iter()
            .map(|leaving| Part {
                records: leaving.part.records.clone(),
                ..leaving.part
            })
            .collect();
        parts.sort_unstable_by_key(|part| part.from);
        parts
    }

    /// These records will not be written: no name can say them.
    pub(crate) fn pass(&self, from: Position, to: Position) {
        self.settle(&mut self.files.lock(), from, to);
    }

    pub(super) fn settle(&self, files: &mut Files, from: Position, to: Position) {
        files.saved.insert(from, to);
        let saved = std::mem::take(&mut files.saved);
        files.leaving.retain(|leaving| {
            let settled = saved.covers(leaving.part.from, leaving.part.to);
            if settled {
                self.shared.give_leaving(leaving.bytes);
            }
            !settled
        });
        files.saved = saved;
    }

    /// Lets go of what is on its way to disk: it cannot be written.
    pub(crate) fn let_go(&self) {
        let leaving = std::mem::take(&mut self.files.lock().leaving);
        for gone in leaving {
            add(&self.shared.counters.not_kept, 1);
            self.shared.give_leaving(gone.bytes);
        }
    }

    /// What the service no longer has is no longer ours to give. The index forgets it at once; says whether [`Self::empty_trash`] has something to do.
    pub(crate) fn drop_before(&self, position: Position) -> bool {
        let mut guard = self.files.lock();
        let files = &mut *guard;
        files.store.drop_before(position);
        let dropped = files.disk.drop_before(position);
        for file in &dropped {
            files.saved.remove(file.name.from, file.name.to);
        }
        files.trash.extend(dropped);
        !files.trash.is_empty()
    }

    /// The remembered oldest record is gone.
    pub(crate) fn forget_first(&self) {
        let mut files = self.files.lock();
        let first = files.first.take();
        files.stale.extend(first.map(FileName::First));
    }

    /// Drops files whose records all arrived before.
    pub(crate) fn expire(&self, cutoff_ms: i64) {
        let mut guard = self.files.lock();
        let files = &mut *guard;
        let expired: Vec<SegmentName> = files
            .disk
            .files()
            .map(|file| file.name)
            .filter(|name| name.arrivals.1 < cutoff_ms)
            .collect();
        files.trash.extend(expired.iter().filter_map(|name| files.disk.remove(name)));
    }

    /// Deletes what was dropped.
    pub(crate) fn empty_trash(&self) {
        let (trash, stale) = {
            let mut files = self.files.lock();
            (std::mem::take(&mut files.trash), std::mem::take(&mut files.stale))
        };
        self.unlink(&trash);
        for mark in stale {
            directory::remove(&self.directory.join(mark.to_string()));
        }
    }

    /// What lies at a point cannot be read.
    pub(crate) fn drop_at(&self, position: Position, error: &dyn std::fmt::Display) {
        let name = self.files.lock().disk.at(position).map(|file| file.name);
        if let Some(name) = name {
            self.drop_damaged(&name, &Failure::Io(io::Error::other(error.to_string())));
        }
    }

    pub(crate) fn id(&self) -> &ShardId {
        &self.id
    }

    /// Deletes files that the index has forgotten. A file that is being read stays readable until it is closed.
    pub(super) fn unlink(&self, files: &[StoredFile]) {
        for file in files {
            let gone = directory::remove(&self.path(&file.name));
            add(
                if gone {
                    &self.shared.counters.deleted
                } else {
                    &self.shared.counters.disk_failures
                },
                1,
            );
            self.shared.counters.file_removed(file.file_bytes);
        }
    }

    /// Deletes a file for lack of space.
    pub(super) fn evict(&self, name: &SegmentName) {
        let removed = self.files.lock().disk.remove(name);
        self.unlink(removed.as_slice());
    }

    /// Forgets all files on disk, which are deleted with their directory; says how many.
    pub(super) fn forget(&self) -> u64 {
        let mut files = self.files.lock();
        let disk = std::mem::take(&mut files.disk);
        let gone = disk.files().map(|file| self.shared.counters.file_removed(file.file_bytes)).count();
        gone as u64
    }

    /// All files on disk with their last use.
    pub(super) fn by_use(&self) -> Vec<(i64, SegmentName)> {
        self.files.lock().disk.files().map(|file| (file.used_ms, file.name)).collect()
    }

    /// All files, on disk and in object storage.
    pub(crate) fn names(&self) -> Vec<SegmentName> {
        let files = self.files.lock();
        files.disk.files().chain(files.store.files()).map(|file| file.name).collect()
    }

    /// All files with their sizes: those on disk, and those in object storage.
    pub(crate) fn inventory(&self) -> [Vec<(SegmentName, u64)>; 2] {
        let files = self.files.lock();
        let of = |index: &SegmentIndex| index.files().map(|file| (file.name, file.file_bytes)).collect();
        [of(&files.disk), of(&files.store)]
    }

    pub(super) fn path(&self, name: &SegmentName) -> PathBuf {
        self.directory.join(FileName::Segment(*name).to_string())
    }
}

fn holds(part: &Part, position: Position) -> bool {
    part.from <= position && position < part.to
}

#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error(transparent)]
    Io(#[from] io::Error),
}
