//! Writing to disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use bytes::Bytes;

use super::counters::add;
use super::directory::{self, millis};
use super::format::{self, Encoded};
use super::index::StoredFile;
use super::name::{FileName, FirstRecord, SegmentName, can_say};
use super::shard::{Failure, StoredShard};
use crate::{Position, Records};

/// Records all of which lie between two points, to be written.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) from: Position,
    pub(crate) to: Position,
    pub(crate) parts: Vec<Records>,
}

impl Default for Run {
    fn default() -> Self {
        let nowhere = Position::TrimHorizon;
        Self {
            from: nowhere,
            to: nowhere,
            parts: Vec::new(),
        }
    }
}

/// What changed on disk.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    pub(crate) written: Option<SegmentName>,
    /// Files that lie within it, and were deleted.
    pub(crate) replaced: Vec<SegmentName>,
}

impl StoredShard {
    /// Writes a run to disk, merged with what lies just before it while that is small: a trickle must not make thousands of files.
    pub(crate) fn save(&self, run: Run) -> io::Result<Saved> {
        let Run { mut from, to, mut parts } = run;
        let mut bytes = wire_bytes(&parts);
        while let Some((earlier, records)) = self.small_before(from, bytes) {
            from = earlier;
            parts.splice(0..0, records);
            bytes = wire_bytes(&parts);
        }
        let Some(encoded) = format::encode(from, to, &parts).map_err(io::Error::other)? else {
            self.pass(from, to);
            return Ok(Saved::default());
        };
        let replaced = self.write(&encoded)?;
        add(&self.shared.counters.written, 1);
        add(&self.shared.counters.written_bytes, encoded.bytes.len() as u64);
        Ok(Saved {
            written: Some(encoded.name),
            replaced,
        })
    }

    /// The file before a run, if it is no more than twice its size and both make no large file: like carrying in a binary counter, a record is written
    /// a logarithmic number of times.
    fn small_before(&self, from: Position, bytes: u64) -> Option<(Position, Vec<Records>)> {
        let name = self.files.lock().disk.ending_at(from)?.name;
        if name.wire_bytes > 2 * bytes || name.wire_bytes + bytes >= self.shared.settings.seal_bytes {
            return None;
        }
        let read = || -> Result<Vec<Records>, Failure> {
            let bytes = Bytes::from(std::fs::read(self.path(&name))?);
            let groups = format::verify(&name, &bytes)?;
            let (mut point, mut parts) = (name.from, Vec::new());
            while point < name.to {
                let part = format::read_at(&name, &groups, bytes.clone(), point)?;
                point = part.to;
                parts.push(part.records);
            }
            Ok(parts)
        };
        match read() {
            Ok(parts) => Some((name.from, parts)),
            Err(failure) => {
                self.drop_damaged(&name, &failure);
                None
            }
        }
    }

    fn write(&self, encoded: &Encoded) -> io::Result<Vec<SegmentName>> {
        let name = encoded.name;
        self.write_file(&FileName::Segment(name), &encoded.bytes)?;
        let file = StoredFile {
            name,
            file_bytes: encoded.bytes.len() as u64,
            used_ms: millis(SystemTime::now()),
            groups: Some(Arc::clone(&encoded.groups)),
        };
        let replaced = {
            let mut files = self.files.lock();
            self.shared.counters.file_added(file.file_bytes);
            let replaced = files.disk.insert(file);
            self.settle(&mut files, name.from, name.to);
            replaced
        };
        self.unlink(&replaced);
        Ok(replaced.into_iter().map(|file| file.name).collect())
    }

    pub(super) fn write_file(&self, name: &FileName, bytes: &[u8]) -> io::Result<()> {
        if self.deleted.load(Ordering::Relaxed) {
            return Err(io::Error::other("the stream was deleted"));
        }
        directory::write_in_shard(&self.directory, name, bytes)
    }

    /// Remembers the shard's oldest record, once that is on disk.
    pub(crate) fn mark_first(&self, first: FirstRecord) -> io::Result<bool> {
        let earlier = {
            let files = self.files.lock();
            if files.first == Some(first) || !first.is_sayable() || files.disk.at(first.start).is_none() {
                return Ok(false);
            }
            files.first
        };
        self.write_file(&FileName::First(first), &[])?;
        self.files.lock().first = Some(first);
        if let Some(earlier) = earlier {
            directory::remove(&self.directory.join(FileName::First(earlier).to_string()));
        }
        Ok(true)
    }

    /// Remembers that the shard has ended.
    pub(crate) fn mark_end(&self, end: Position) -> io::Result<bool> {
        if self.files.lock().end == Some(end) || !can_say(end) {
            return Ok(false);
        }
        self.write_file(&FileName::End(end), &[])?;
        self.files.lock().end = Some(end);
        Ok(true)
    }
}

fn wire_bytes(parts: &[Records]) -> u64 {
    parts.iter().map(|part| part.wire_bytes(0..part.len())).sum()
}
