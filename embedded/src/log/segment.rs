//! One file of a log.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::pool::FilePool;

/// A segment's file, opened when needed.
#[derive(Debug)]
pub(crate) struct SegmentFile {
    path: PathBuf,
    handle: Mutex<Option<Arc<File>>>,
}

impl SegmentFile {
    pub(super) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self {
            path,
            handle: Mutex::new(None),
        })
    }

    /// Makes the file, which must not exist yet.
    pub(super) fn create(path: PathBuf, header: &[u8], pool: &FilePool) -> io::Result<Arc<Self>> {
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        if let Err(error) = write_all_at(&file, header, 0) {
            // The half-written file must not stand in the way of the next attempt; why the write failed is the error to report.
            drop(std::fs::remove_file(&path));
            return Err(error);
        }
        let segment = Arc::new(Self {
            path,
            handle: Mutex::new(Some(Arc::new(file))),
        });
        pool.opened(&segment);
        Ok(segment)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The open file. It stays open for whoever holds it, even when it is closed here or deleted.
    pub(super) fn file(self: &Arc<Self>, pool: &FilePool) -> io::Result<Arc<File>> {
        let mut handle = self.handle.lock();
        if let Some(file) = handle.as_ref() {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(OpenOptions::new().read(true).write(true).open(&self.path)?);
        *handle = Some(Arc::clone(&file));
        drop(handle);
        pool.opened(self);
        Ok(file)
    }

    pub(super) fn close(&self) {
        *self.handle.lock() = None;
    }
}

#[cfg(unix)]
pub(super) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(windows)]
pub(super) fn write_all_at(file: &File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = std::os::windows::fs::FileExt::seek_write(file, bytes, offset)?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        bytes = &bytes[written..];
        offset += written as u64;
    }
    Ok(())
}

#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, bytes, offset)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[read..];
        offset += read as u64;
    }
    Ok(())
}
