//! How many segment files are open at once.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::segment::SegmentFile;

/// Keeps the number of open files bounded however many shards there are: the file opened longest ago is closed first and opened again when
/// it is next needed.
#[derive(Debug)]
pub(crate) struct FilePool {
    capacity: usize,
    open: Mutex<VecDeque<Weak<SegmentFile>>>,
}

impl FilePool {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            open: Mutex::default(),
        }
    }

    /// Notes that `file` was opened, and closes the oldest beyond the capacity. The caller holds no lock of a file.
    pub(super) fn opened(&self, file: &Arc<SegmentFile>) {
        let mut surplus = Vec::new();
        {
            let mut open = self.open.lock();
            open.push_back(Arc::downgrade(file));
            while open.len() > self.capacity {
                surplus.extend(open.pop_front());
            }
        }
        for oldest in surplus {
            if let Some(oldest) = oldest.upgrade().filter(|oldest| !Arc::ptr_eq(oldest, file)) {
                oldest.close();
            }
        }
    }
}
