//! Work that blocks, off the threads that serve connections.

use std::io;

use tokio_util::task::AbortOnDropHandle;

/// Payloads beyond are parsed, stored or read off the threads that serve connections; so is every `GetRecords`. Smaller work takes less
/// time than to hand it over.
pub(crate) const INLINE_BYTES: usize = 64 << 10;

/// Runs work here, or on a thread made for work that blocks. The work is bounded and ends by itself; an error means that it panicked.
pub(crate) async fn offload<T: Send + 'static>(away: bool, work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    if !away {
        return Ok(work());
    }
    #[expect(clippy::disallowed_methods, reason = "the one place; the handle belongs to whoever waits")]
    let handle = AbortOnDropHandle::new(tokio::task::spawn_blocking(work));
    handle.await.map_err(io::Error::other)
}
