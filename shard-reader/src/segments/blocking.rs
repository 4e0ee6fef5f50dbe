//! Work on files, off the threads that must not wait.

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

/// Runs work that blocks. Dropped before it has begun it never begins; once begun it runs to its end, which leaves files whole.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    #[expect(clippy::disallowed_methods, reason = "the handle right here owns it")]
    let task = tokio::task::spawn_blocking(work);
    AbortOnDropHandle::new(task).await
}
