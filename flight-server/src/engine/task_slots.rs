//! Statements of other nodes that have tasks here: how many at once, and what each of them has read so far.
//!
//! They have an allowance of their own, as large as that of this node's statements. A statement that runs here and waits for slots of others is so never
//! waited for by those that hold slots here; and as all statements take slots in the same order of nodes, none of them wait in a circle.

use std::collections::HashMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use shard_reader::StatementMeter;

use super::admission::{Admission, AdmissionLimits, Admitted};
use super::error::EngineError;

/// See the module.
#[derive(Debug)]
pub(crate) struct TaskSlots {
    admission: Arc<Admission>,
    accounts: Mutex<HashMap<String, Weak<Account>>>,
}

/// What the tasks of a statement read here.
#[derive(Debug, Default)]
struct Account {
    meters: Mutex<Vec<Arc<StatementMeter>>>,
}

/// A statement's right to run tasks here, for as long as it is held.
#[derive(Debug)]
pub(crate) struct TaskSlot {
    account: Arc<Account>,
    _admitted: Option<Arc<Admitted>>,
}

impl TaskSlot {
    /// Bytes that the statement's tasks here read from Kinesis so far.
    pub(crate) fn bytes_read(&self) -> u64 {
        self.account.meters.lock().iter().map(|meter| meter.bytes_read()).sum()
    }
}

impl TaskSlots {
    pub(super) fn new(limits: AdmissionLimits) -> Arc<Self> {
        Arc::new(Self {
            admission: Admission::new(limits),
            accounts: Mutex::default(),
        })
    }

    /// For a statement of another node; it waits in its turn.
    ///
    /// # Errors
    /// Too many wait, or it waited too long.
    pub(crate) async fn take(&self, statement: &str) -> Result<TaskSlot, EngineError> {
        let admitted = self.admission.admit(statement, "", None).await?;
        Ok(self.slot(statement, Some(admitted)))
    }

    /// The same, but only if it need not wait.
    pub(crate) async fn take_at_once(&self, statement: &str) -> Option<TaskSlot> {
        let admitted = self.admission.admit_at_once(statement).await?;
        Some(self.slot(statement, Some(admitted)))
    }

    /// For a statement of this node, which was admitted already.
    pub(crate) fn own(&self, statement: &str) -> TaskSlot {
        self.slot(statement, None)
    }

    /// Counts what a task of a statement reads, if the statement has a slot.
    pub(super) fn count(&self, statement: &str, meter: &Arc<StatementMeter>) {
        let account = self.accounts.lock().get(statement).and_then(Weak::upgrade);
        if let Some(account) = account {
            account.meters.lock().push(Arc::clone(meter));
        }
    }

    fn slot(&self, statement: &str, admitted: Option<Arc<Admitted>>) -> TaskSlot {
        let account = Arc::new(Account::default());
        let mut accounts = self.accounts.lock();
        accounts.retain(|_, known| known.strong_count() > 0);
        // a statement that is begun again counts anew
        accounts.insert(statement.to_owned(), Arc::downgrade(&account));
        TaskSlot {
            account,
            _admitted: admitted,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;
    use crate::engine::ErrorCategory;

    fn slots(max_concurrent: usize, queue: usize) -> Arc<TaskSlots> {
        TaskSlots::new(AdmissionLimits {
            max_concurrent,
            queue,
            queue_timeout: Duration::from_secs(30),
        })
    }

    #[tokio::test(start_paused = true)]
    async fn statements_of_others_wait_for_each_other_and_not_for_ours() {
        let slots = slots(1, 1);
        let first = slots.take("a").await.unwrap();
        let _ours = slots.own("b");
        assert!(slots.take_at_once("c").await.is_none());
        let mut second = Box::pin(slots.take("c"));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(slots.take("d").await.unwrap_err().category(), ErrorCategory::ResourceExhausted);
        drop(first);
        drop(second.await.unwrap());
        assert!(slots.take_at_once("d").await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_tasks_of_a_statement_read_is_summed() {
        let slots = slots(4, 1);
        let (mine, other) = (slots.take("a").await.unwrap(), slots.own("b"));
        for bytes in [10, 20] {
            let meter = StatementMeter::new(u64::MAX, None);
            slots.count("a", &meter);
            meter.add_elsewhere(&shard_reader::ScanTotals {
                bytes_read: bytes,
                ..Default::default()
            });
        }
        slots.count("nobody's", &StatementMeter::new(u64::MAX, None));
        assert_eq!((mine.bytes_read(), other.bytes_read()), (30, 0));
        let again = slots.take("a").await.unwrap();
        assert_eq!(again.bytes_read(), 0);
    }
}
