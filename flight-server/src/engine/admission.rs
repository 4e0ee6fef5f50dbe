//! How many statements run at once; the others wait, in the order in which they came.
//!
//! What counts is the statement: clients open all streams of one at once and read them one after the other, so streams that waited for each other
//! could wait forever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use super::error::{EngineError, ErrorCategory};
use super::plan::Engine;

/// How many statements run at once, and how many wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionLimits {
    /// Statements that run.
    pub max_concurrent: usize,
    /// Statements that wait; one more is refused.
    pub queue: usize,
    /// How long one waits at most.
    pub queue_timeout: Duration,
}

impl Default for AdmissionLimits {
    fn default() -> Self {
        Self {
            max_concurrent: 64,
            queue: 256,
            queue_timeout: Duration::from_secs(30),
        }
    }
}

/// The gate.
#[derive(Debug)]
pub(super) struct Admission {
    limits: AdmissionLimits,
    all: Arc<Semaphore>,
    waiting: AtomicUsize,
    statements: Mutex<HashMap<String, Weak<Admitted>>>,
    /// Those of principals with a limit of their own, by name and limit.
    principals: Mutex<HashMap<(String, usize), Weak<Semaphore>>>,
}

/// A statement that may run, for as long as somebody holds this.
#[derive(Debug)]
pub(super) struct Admitted {
    admission: Weak<Admission>,
    statement: String,
    permits: OnceCell<Permits>,
}

#[derive(Debug)]
struct Permits {
    _own: Option<(OwnedSemaphorePermit, Arc<Semaphore>)>,
    _all: OwnedSemaphorePermit,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some(admission) = self.admission.upgrade() else { return };
        let mut statements = admission.statements.lock();
        // A later one of the same statement may have taken its place.
        if statements.get(&self.statement).is_some_and(|known| known.strong_count() == 0) {
            statements.remove(&self.statement);
        }
    }
}

/// Somebody who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Admission {
    pub(super) fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            all: Arc::new(Semaphore::new(limits.max_concurrent.min(Semaphore::MAX_PERMITS))),
            limits,
            waiting: AtomicUsize::new(0),
            statements: Mutex::default(),
            principals: Mutex::default(),
        })
    }

    /// Lets a statement in, or has it wait. `own`: as many of the principal's may run.
    pub(super) async fn admit(
        self: &Arc<Self>,
        statement: &str,
        principal: &str,
        own: Option<usize>,
    ) -> Result<Arc<Admitted>, EngineError> {
        let admitted = self.known(statement);
        admitted.permits.get_or_try_init(|| self.permits(principal, own)).await?;
        Ok(admitted)
    }

    /// Lets a statement in, unless it would have to wait.
    pub(super) async fn admit_at_once(self: &Arc<Self>, statement: &str) -> Option<Arc<Admitted>> {
        let admitted = self.known(statement);
        let at_once = || async { self.at_once(None).ok_or(()) };
        admitted.permits.get_or_try_init(at_once).await.ok()?;
        Some(admitted)
    }

    fn known(self: &Arc<Self>, statement: &str) -> Arc<Admitted> {
        let mut statements = self.statements.lock();
        if let Some(known) = statements.get(statement).and_then(Weak::upgrade) {
            return known;
        }
        let new = Arc::new(Admitted {
            admission: Arc::downgrade(self),
            statement: statement.to_owned(),
            permits: OnceCell::new(),
        });
        statements.insert(statement.to_owned(), Arc::downgrade(&new));
        new
    }

    async fn permits(&self, principal: &str, own: Option<usize>) -> Result<Permits, EngineError> {
        let own = own.map(|own| self.of_principal(principal, own));
        if let Some(permits) = self.at_once(own.as_ref()) {
            return Ok(permits);
        }
        let refused = |message: String| EngineError::OverLimit {
            category: ErrorCategory::ResourceExhausted,
            message,
        };
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limits.queue {
            return Err(refused(format!(
                "{} statements run and {} wait for one of them to end; try again later",
                self.limits.max_concurrent, self.limits.queue
            )));
        }
        let permits = tokio::time::timeout(self.limits.queue_timeout, self.in_turn(own)).await;
        drop(waiting);
        permits.map_err(|_| {
            refused(format!(
                "the statement waited for {} s for one of those that run to end; try again later",
                self.limits.queue_timeout.as_secs()
            ))
        })?
    }

    fn at_once(&self, own: Option<&Arc<Semaphore>>) -> Option<Permits> {
        let own = match own {
            Some(semaphore) => Some((Arc::clone(semaphore).try_acquire_owned().ok()?, Arc::clone(semaphore))),
            None => None,
        };
        Some(Permits {
            _own: own,
            _all: Arc::clone(&self.all).try_acquire_owned().ok()?,
        })
    }

    async fn in_turn(&self, own: Option<Arc<Semaphore>>) -> Result<Permits, EngineError> {
        let closed = |_| EngineError::Unavailable("the server stops".into());
        // Its own turn first: who waits for that keeps nobody else from running.
        let own = match own {
            Some(semaphore) => Some((Arc::clone(&semaphore).acquire_owned().await.map_err(closed)?, semaphore)),
            None => None,
        };
        Ok(Permits {
            _own: own,
            _all: Arc::clone(&self.all).acquire_owned().await.map_err(closed)?,
        })
    }

    fn of_principal(&self, principal: &str, own: usize) -> Arc<Semaphore> {
        let key = (principal.to_owned(), own);
        let mut principals = self.principals.lock();
        if let Some(known) = principals.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        principals.retain(|_, known| known.strong_count() > 0);
        let new = Arc::new(Semaphore::new(own.min(Semaphore::MAX_PERMITS)));
        principals.insert(key, Arc::downgrade(&new));
        new
    }
}

impl Engine {
    /// Lets a statement run, in its turn.
    pub(super) async fn admit(&self, principal: &str, query_id: &str) -> Result<Arc<Admitted>, EngineError> {
        let own = self.access().limits(principal).max_concurrent;
        self.admission().admit(query_id, principal, own).await
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn admission(max_concurrent: usize, queue: usize) -> Arc<Admission> {
        Admission::new(AdmissionLimits {
            max_concurrent,
            queue,
            queue_timeout: Duration::from_secs(30),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn streams_of_one_statement_count_once() {
        let admission = admission(1, 1);
        let first = admission.admit("a", "p", None).await.unwrap();
        let second = admission.admit("a", "p", None).now_or_never().expect("no wait").unwrap();
        drop(first);
        let mut other = Box::pin(admission.admit("b", "p", None));
        assert!(other.as_mut().now_or_never().is_none(), "the second stream still runs");
        drop(second);
        let other = other.await.unwrap();
        assert_eq!(admission.statements.lock().len(), 1);
        drop(other);
        assert!(admission.statements.lock().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_runs_in_turn_and_the_queue_is_bounded() {
        let admission = admission(1, 2);
        let running = admission.admit("a", "p", None).await.unwrap();
        let mut second = Box::pin(admission.admit("b", "p", None));
        let mut third = Box::pin(admission.admit("c", "p", None));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        let error = admission.admit("d", "p", None).await.unwrap_err();
        assert_eq!(error.category(), ErrorCategory::ResourceExhausted);
        drop(running);
        assert!(third.as_mut().now_or_never().is_none(), "not before the second");
        let second = second.await.unwrap();
        drop(second);
        third.await.unwrap();
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_leaves_the_queue_and_who_waits_too_long_is_refused() {
        let admission = admission(1, 1);
        let running = admission.admit("a", "p", None).await.unwrap();
        let mut gone = Box::pin(admission.admit("b", "p", None));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        assert_eq!(admission.waiting.load(Ordering::Relaxed), 0);
        let error = admission.admit("c", "p", None).await.unwrap_err();
        assert!(error.to_string().contains("waited for 30 s"), "{error}");
        drop(running);
        admission.admit("c", "p", None).now_or_never().expect("no wait").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_principal_at_its_own_limit_keeps_nobody_else_waiting() {
        let admission = admission(2, 2);
        let running = admission.admit("a", "ann", Some(1)).await.unwrap();
        let mut second = Box::pin(admission.admit("b", "ann", Some(1)));
        assert!(second.as_mut().now_or_never().is_none());
        let other = admission.admit("c", "bob", None).now_or_never().expect("no wait").unwrap();
        drop(running);
        second.await.unwrap();
        drop(other);
        assert_eq!(admission.all.available_permits(), 2);
    }
}
