//! How far consumers are behind, as this process last saw them: for metrics, which ask no store.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use parking_lot::Mutex;
use shard_reader::checkpoints::{Commit, Consumer, Ends, IterationNumber};

use super::super::queries::now_ms;
use super::Consumers;

/// Clients choose names, so no more are remembered than this; those that nobody was seen at for longest go first.
const CONSUMERS_KEPT: usize = 1_000;

/// By consumer, what was last seen.
#[derive(Debug, Default)]
pub(super) struct Lags(Mutex<BTreeMap<Consumer, Seen>>);

/// What this process last saw of a consumer. Times in ms since the epoch.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Everything that had come by then is committed.
    committed_to: Option<i64>,
    open: IterationNumber,
    open_to: Option<i64>,
    at_ms: i64,
}

impl Lags {
    fn opened(&self, consumer: &Consumer, seen: Seen) {
        let mut known = self.0.lock();
        known.insert(consumer.clone(), seen);
        if known.len() > CONSUMERS_KEPT {
            let oldest = known
                .iter()
                .min_by_key(|(_, seen)| seen.at_ms)
                .map(|(consumer, _)| consumer.clone());
            oldest.and_then(|oldest| known.remove(&oldest));
        }
    }

    fn committed(&self, commits: &[Commit]) {
        let mut known = self.0.lock();
        for commit in commits {
            if let Some(seen) = known.get_mut(&commit.consumer).filter(|seen| seen.open == commit.number) {
                seen.committed_to = seen.open_to;
            }
        }
    }

    fn at(&self, now_ms: i64) -> Vec<(Consumer, u64)> {
        let known = self.0.lock();
        let lags = known.iter().filter_map(|(consumer, seen)| {
            let lag = now_ms.saturating_sub(seen.committed_to?);
            Some((consumer.clone(), u64::try_from(lag).unwrap_or(0)))
        });
        lags.collect()
    }
}

impl Consumers {
    /// An iteration is at work, between these ends.
    pub(super) fn saw_open(&self, consumer: &Consumer, number: IterationNumber, previous: &Ends, ends: &Ends) {
        let seen = Seen {
            committed_to: previous.as_of_ms,
            open: number,
            open_to: ends.as_of_ms,
            at_ms: now_ms(),
        };
        self.lags.opened(consumer, seen);
    }

    /// Iterations are committed.
    pub(super) fn saw_committed(&self, commits: &[Commit]) {
        self.committed.fetch_add(commits.len() as u64, Ordering::Relaxed);
        self.lags.committed(commits);
    }

    /// A consumer is gone, or starts elsewhere.
    pub(super) fn forget(&self, consumer: &Consumer) {
        self.lags.0.lock().remove(consumer);
    }

    /// For each consumer that was at work in this process, the age (ms) of the moment to which everything is committed.
    pub fn lags(&self) -> Vec<(Consumer, u64)> {
        self.lags.at(now_ms())
    }
}

#[cfg(test)]
mod tests {
    use shard_reader::checkpoints::OwnerToken;

    use super::*;

    fn consumer(number: usize) -> Consumer {
        Consumer {
            name: format!("c{number}").parse().unwrap(),
            stream: "s".into(),
        }
    }

    fn seen(open: u64, committed_to: Option<i64>, open_to: i64, at_ms: i64) -> Seen {
        Seen {
            committed_to,
            open: IterationNumber(open),
            open_to: Some(open_to),
            at_ms,
        }
    }

    #[test]
    fn a_commit_brings_it_to_the_end_of_what_was_open() {
        let lags = Lags::default();
        lags.opened(&consumer(1), seen(7, Some(1_000), 5_000, 5_000));
        lags.opened(&consumer(2), seen(0, None, 5_000, 5_000));
        assert_eq!(lags.at(6_000), [(consumer(1), 5_000)], "a start at the trim horizon has no time");
        let commit = |number: u64| Commit {
            consumer: consumer(1),
            number: IterationNumber(number),
            owner: OwnerToken("o".into()),
        };
        lags.committed(&[commit(6)]);
        assert_eq!(lags.at(6_000), [(consumer(1), 5_000)], "of another iteration");
        lags.committed(&[commit(7)]);
        assert_eq!(lags.at(6_000), [(consumer(1), 1_000)]);
        assert_eq!(lags.at(4_000), [(consumer(1), 0)], "clocks differ");
    }

    #[test]
    fn so_many_are_remembered_and_the_latest() {
        let lags = Lags::default();
        for number in 0..CONSUMERS_KEPT + 5 {
            lags.opened(&consumer(number), seen(0, Some(0), 0, number as i64));
        }
        let kept = lags.at(0);
        assert_eq!(kept.len(), CONSUMERS_KEPT);
        assert!((0..5).all(|number| !kept.iter().any(|(known, _)| *known == consumer(number))));
    }
}
