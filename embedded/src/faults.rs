//! Faults on demand.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::operation::Operation;
use crate::stream::SubscriptionEnd;

/// What goes wrong.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Fault {
    /// `ProvisionedThroughputExceededException`.
    Throttle,
    /// `ExpiredIteratorException`, whatever the age of the iterator.
    ExpireIterator,
    /// `ResourceInUseException`.
    ResourceInUse,
    /// `LimitExceededException`.
    LimitExceeded,
    /// HTTP 500, `InternalFailure`.
    InternalFailure,
    /// A subscription that succeeds ends after so many events. Other operations go on as usual.
    EndSubscription {
        /// Events given before.
        after: u64,
        /// How it ends.
        how: SubscriptionEnd,
    },
    /// `GetRecords` answers no records and the same position, with the true `MillisBehindLatest`. Other operations go on as usual.
    EmptyReply,
    /// The call is held back that long in real time, then goes on (or meets the next rule).
    Delay(Duration),
    /// The connection is cut.
    Reset(Cut),
    /// Every `every`-th entry of `PutRecords`, from the first, fails with `ProvisionedThroughputExceededException`; the others are
    /// stored. Other operations go on as usual. 0 counts as 1.
    PartialPut {
        /// Distance between failing entries.
        every: usize,
    },
}

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// After the request was read: nothing was done.
    BeforeWork,
    /// After the work was done: the caller never learns of it.
    BeforeResponse,
    /// After headers that announce the whole response and half of its body; of a subscription, in the middle of its first event.
    MidResponse,
}

/// When a rule fires, among the calls that it matches.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Schedule {
    Always,
    Times(u64),
    Cycle { fail: u64, pass: u64 },
}

/// Which calls meet which fault, and how often. Fires always unless told otherwise.
#[derive(Clone, Debug)]
pub struct FaultRule {
    operation: Operation,
    stream: Option<String>,
    shard: Option<String>,
    skip: u64,
    schedule: Schedule,
    fault: Fault,
}

impl FaultRule {
    /// A rule for all calls of an operation.
    #[must_use]
    pub fn new(operation: Operation, fault: Fault) -> Self {
        Self {
            operation,
            stream: None,
            shard: None,
            skip: 0,
            schedule: Schedule::Always,
            fault,
        }
    }

    /// Only calls on this stream (by name).
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = Some(name.into());
        self
    }

    /// Only calls on this shard (by id). Matches operations that name one shard: `GetRecords`, `GetShardIterator`, `SubscribeToShard`,
    /// `SplitShard`, `MergeShards`.
    #[must_use]
    pub fn shard(mut self, id: impl Into<String>) -> Self {
        self.shard = Some(id.into());
        self
    }

    /// Lets the first `calls` matching calls pass.
    #[must_use]
    pub fn after(mut self, calls: u64) -> Self {
        self.skip = calls;
        self
    }

    /// Fires for `calls` matching calls, then never again.
    #[must_use]
    pub fn times(mut self, calls: u64) -> Self {
        self.schedule = Schedule::Times(calls);
        self
    }

    /// Fires for `fail` matching calls, lets `pass` pass, and so on.
    #[must_use]
    pub fn cycle(mut self, fail: u64, pass: u64) -> Self {
        self.schedule = Schedule::Cycle { fail, pass };
        self
    }

    fn matches(&self, operation: Operation, stream: Option<&str>, shard: Option<&str>) -> bool {
        self.operation == operation
            && self.stream.as_deref().is_none_or(|wanted| stream == Some(wanted))
            && self.shard.as_deref().is_none_or(|wanted| shard == Some(wanted))
    }

    fn due(&self, seen: u64) -> bool {
        let Some(turn) = seen.checked_sub(self.skip) else { return false };
        match self.schedule {
            Schedule::Always => true,
            Schedule::Times(calls) => turn < calls,
            Schedule::Cycle { fail, pass } => turn % fail.saturating_add(pass).max(1) < fail,
        }
    }
}

/// Names a rule that was added.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FaultId(u64);

#[derive(Debug)]
struct Armed {
    id: FaultId,
    rule: FaultRule,
    seen: u64,
    fired: u64,
}

#[derive(Debug, Default)]
struct Rules {
    next: u64,
    armed: Vec<Armed>,
}

/// The service's faults: none until rules are added. Clones share the rules.
///
/// A call meets the delays of all rules that are due for it, and the first other fault in the order in which rules were added;
/// later rules do not see that call.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Rules>>);

impl Faults {
    /// Adds a rule.
    pub fn add(&self, rule: FaultRule) -> FaultId {
        let mut rules = self.0.lock();
        let id = FaultId(rules.next);
        rules.next += 1;
        rules.armed.push(Armed {
            id,
            rule,
            seen: 0,
            fired: 0,
        });
        id
    }

    /// Takes a rule away; the answer is how often it fired, or `None` if there is no such rule.
    pub fn remove(&self, id: FaultId) -> Option<u64> {
        let mut rules = self.0.lock();
        let at = rules.armed.iter().position(|armed| armed.id == id)?;
        Some(rules.armed.remove(at).fired)
    }

    /// Takes all rules away.
    pub fn clear(&self) {
        self.0.lock().armed.clear();
    }

    /// How often a rule has fired; 0 for one that was taken away.
    #[must_use]
    pub fn fired(&self, id: FaultId) -> u64 {
        self.0
            .lock()
            .armed
            .iter()
            .find(|armed| armed.id == id)
            .map_or(0, |armed| armed.fired)
    }

    /// What a call meets: how long to hold it back, and what then goes wrong.
    pub(crate) fn meet(&self, operation: Operation, stream: Option<&str>, shard: Option<&str>) -> (Duration, Option<Fault>) {
        let mut delay = Duration::ZERO;
        for armed in &mut self.0.lock().armed {
            if !armed.rule.matches(operation, stream, shard) {
                continue;
            }
            let due = armed.rule.due(armed.seen);
            armed.seen += 1;
            if !due {
                continue;
            }
            armed.fired += 1;
            match &armed.rule.fault {
                Fault::Delay(by) => delay += *by,
                other => return (delay, Some(other.clone())),
            }
        }
        (delay, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn throttled(faults: &Faults, stream: &str, shard: Option<&str>) -> bool {
        faults.meet(Operation::GetRecords, Some(stream), shard).1 == Some(Fault::Throttle)
    }

    #[test]
    fn a_cycle_fails_and_passes_in_turn() {
        let faults = Faults::default();
        let id = faults.add(FaultRule::new(Operation::GetRecords, Fault::Throttle).cycle(2, 1));
        let met: Vec<bool> = (0..7).map(|_| throttled(&faults, "s", None)).collect();
        assert_eq!(met, [true, true, false, true, true, false, true]);
        assert_eq!(faults.fired(id), 5);
    }

    #[test]
    fn a_rule_fires_only_where_and_as_often_as_it_says() {
        let faults = Faults::default();
        let id = faults.add(
            FaultRule::new(Operation::GetRecords, Fault::Throttle)
                .stream("s")
                .shard("a")
                .after(1)
                .times(1),
        );
        assert!(!throttled(&faults, "t", Some("a")));
        assert!(!throttled(&faults, "s", Some("b")));
        assert!(!throttled(&faults, "s", None));
        assert_eq!(faults.meet(Operation::PutRecords, Some("s"), Some("a")).1, None);
        let met: Vec<bool> = (0..4).map(|_| throttled(&faults, "s", Some("a"))).collect();
        assert_eq!(met, [false, true, false, false]);
        assert_eq!(faults.remove(id), Some(1));
        assert_eq!(faults.remove(id), None);
    }

    #[test]
    fn delays_add_up_and_the_first_other_fault_wins() {
        let faults = Faults::default();
        faults.add(FaultRule::new(Operation::GetRecords, Fault::Delay(Duration::from_millis(5))));
        faults.add(FaultRule::new(Operation::GetRecords, Fault::Delay(Duration::from_millis(7))));
        faults.add(FaultRule::new(Operation::GetRecords, Fault::EmptyReply));
        let unseen = faults.add(FaultRule::new(Operation::GetRecords, Fault::Throttle));
        assert_eq!(
            faults.meet(Operation::GetRecords, None, None),
            (Duration::from_millis(12), Some(Fault::EmptyReply))
        );
        assert_eq!(faults.fired(unseen), 0);
    }
}
