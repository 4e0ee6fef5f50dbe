//! Standard output, where results go. A reader that closed it (`| head`) has had enough: that is success.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Writes and flushes all of `bytes`.
pub(super) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).inspect_err(|error| {
        if error.kind() == io::ErrorKind::BrokenPipe {
            CLOSED.store(true, Ordering::Relaxed);
        }
    })
}

/// Whether a write failed because nobody reads any more.
pub(super) fn is_closed() -> bool {
    CLOSED.load(Ordering::Relaxed)
}
