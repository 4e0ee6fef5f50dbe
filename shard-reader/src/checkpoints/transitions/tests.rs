use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::checkpoints::{Ends, IterationState};

fn consumer() -> Consumer {
    Consumer {
        name: "c".parse().unwrap(),
        stream: "s".into(),
    }
}

fn stream() -> StreamIdentity {
    StreamIdentity {
        arn: "s".into(),
        created_ms: 1,
    }
}

/// What somebody does next; who: one of three.
#[derive(Clone, Copy, Debug)]
enum Call {
    SetBase,
    Open(u8),
    TakeOver(u8),
    Abandon,
    Commit(u8),
    /// Of an iteration before the last.
    CommitOld(u8),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        1 => Just(Call::SetBase),
        6 => (0u8..3).prop_map(Call::Open),
        2 => (0u8..3).prop_map(Call::TakeOver),
        2 => Just(Call::Abandon),
        6 => (0u8..3).prop_map(Call::Commit),
        1 => (0u8..3).prop_map(Call::CommitOld),
    ]
}

/// A store that keeps what is superseded for no time at all.
#[derive(Default)]
struct Kept {
    stored: Option<StoredHead>,
    iterations: BTreeSet<u64>,
    bases: BTreeSet<u64>,
    /// Numbers that were opened.
    used: BTreeSet<u64>,
    /// Numbers that were committed, by whom.
    committed: Vec<(u64, OwnerToken)>,
}

impl Kept {
    fn call(&mut self, call: Call, moment: Moment) {
        let consumer = consumer();
        let stored = self.stored.clone();
        let head = stored.as_ref().map(|stored| &stored.head);
        let seen = head.map(|head| head.version);
        let version = seen.unwrap_or(1);
        let who = |who: u8| OwnerToken(format!("owner {who}").into());
        let base = Base {
            ends: Ends::default(),
            stated: "latest".to_owned(),
            at_ms: moment.now_ms,
        };
        let iteration = head.map(|head| Iteration {
            number: head.next,
            start: head.start,
            created_ms: 1,
            opened_ms: moment.now_ms,
            starts: Default::default(),
            ends: Ends::default(),
        });
        let part = |number: IterationNumber, by: u8| Commit {
            consumer: consumer.clone(),
            number,
            owner: who(by),
        };
        let next = head.map_or(IterationNumber::FIRST, |head| head.next);
        let step = match (call, &iteration) {
            (Call::SetBase, _) => set_base(stored.as_ref(), None, (&consumer, &stream(), seen, &base, "x"), moment),
            (Call::Open(by), Some(iteration)) => open(stored.as_ref(), (&consumer, version, iteration, &who(by)), moment),
            (Call::TakeOver(by), _) => take_over(stored.as_ref(), (&consumer, version, &who(by)), moment),
            (Call::Abandon, _) => abandon(stored.as_ref(), (&consumer, version, "x"), moment),
            (Call::Commit(by), _) => commit(stored.as_ref(), &part(next, by), moment),
            (Call::CommitOld(by), _) => commit(stored.as_ref(), &part(IterationNumber(next.0.saturating_sub(1)), by), moment),
            (Call::Open(_), None) => return,
        };
        let Ok(Step::Write(change)) = step else { return };
        self.write(&change);
    }

    fn write(&mut self, change: &Change<'_>) {
        let before = self.stored.replace(change.head.clone());
        let (before, head) = (before.map(|before| before.head), &change.head.head);
        assert!(before.as_ref().is_none_or(|before| head.version == before.version + 1));
        match change.item {
            Some(Item::Iteration(iteration)) => {
                assert!(self.used.insert(iteration.number.0), "{} was used before", iteration.number);
                self.iterations.insert(iteration.number.0);
            }
            Some(Item::Base(number, _)) => {
                self.bases.insert(number.0);
            }
            None => {}
        }
        for key in &change.superseded {
            let removed = match key {
                ItemKey::Iteration(number) => self.iterations.remove(&number.0),
                ItemKey::Base(number) => self.bases.remove(&number.0),
            };
            assert!(removed, "{key:?} is superseded twice, or never was");
        }
        let committed = head.committed.as_ref().map(|(number, by, _)| (number.0, by.clone()));
        if committed != before.and_then(|before| before.committed).map(|(number, by, _)| (number.0, by)) {
            self.committed.extend(committed);
        }
    }

    fn has(&self, start: IterationStart) -> bool {
        match start {
            IterationStart::Base(number) => self.bases.contains(&number.0),
            IterationStart::After(number) => self.iterations.contains(&number.0),
        }
    }

    /// What must be there, is; and nothing else is, but for what was just needed.
    fn check(&self) {
        let Some(StoredHead { head, committed_start, .. }) = &self.stored else {
            return;
        };
        assert!(self.has(head.start), "where the next one starts is gone");
        let mut needed = BTreeSet::new();
        if let Some(open) = &head.open {
            assert!(self.iterations.contains(&open.number.0), "the open one is gone");
            assert_eq!(head.state_of(open.number), IterationState::Open);
            needed.insert(open.number.0);
        }
        if let Some((number, _, _)) = &head.committed {
            assert!(self.iterations.contains(&number.0), "the last one is gone");
            assert_eq!(head.state_of(*number), IterationState::Committed);
            let start = committed_start.unwrap();
            assert!(self.has(start), "where the last one starts is gone");
            needed.insert(number.0);
            if let IterationStart::After(before) = start {
                needed.insert(before.0);
            }
        }
        assert_eq!(self.iterations, needed, "what is kept for good");
        assert!(self.bases.len() <= 2, "{:?}", self.bases);
        assert!(self.committed.is_sorted_by(|one, other| one.0 < other.0), "{:?}", self.committed);
    }
}

proptest! {
    #[test]
    fn what_is_needed_is_kept_and_nothing_else_for_good(calls in proptest::collection::vec(call(), 1..80)) {
        let mut kept = Kept::default();
        kept.call(Call::SetBase, Moment { now_ms: 1000, keep: Duration::ZERO });
        for (at, call) in calls.into_iter().enumerate() {
            kept.call(call, Moment { now_ms: 1001 + at as i64, keep: Duration::ZERO });
            kept.check();
        }
    }
}
