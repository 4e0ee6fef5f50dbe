//! Bytes of scratch tables, counted: for one owner, and for all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that may be held, and are.
#[derive(Debug)]
pub(super) struct Account {
    limit: usize,
    used: AtomicUsize,
    /// The account of all, of which this is a part.
    all: Option<Arc<Account>>,
}

/// Bytes that are held until this is dropped.
#[derive(Debug)]
pub(super) struct Reservation {
    account: Arc<Account>,
    bytes: usize,
}

/// What is full: this account, or that of all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Own(usize),
    All(usize),
}

impl Account {
    pub(super) fn of_all(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            all: None,
        })
    }

    pub(super) fn of_one(limit: usize, all: &Arc<Self>) -> Arc<Self> {
        Arc::new(Self {
            limit,
            used: AtomicUsize::new(0),
            all: Some(Arc::clone(all)),
        })
    }

    /// Bytes that are held.
    #[cfg(test)]
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Result<Reservation, Full> {
        self.take(bytes).map_err(|()| Full::Own(self.limit))?;
        if let Some(all) = &self.all
            && all.take(bytes).is_err()
        {
            self.used.fetch_sub(bytes, Ordering::Relaxed);
            return Err(Full::All(all.limit));
        }
        Ok(Reservation {
            account: Arc::clone(self),
            bytes,
        })
    }

    fn take(&self, bytes: usize) -> Result<(), ()> {
        let more = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .map(drop)
            .map_err(drop)
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.account.used.fetch_sub(self.bytes, Ordering::Relaxed);
        if let Some(all) = &self.account.all {
            all.used.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_for_one_and_for_all_until_they_are_dropped() {
        let all = Account::of_all(100);
        let (one, other) = (Account::of_one(70, &all), Account::of_one(70, &all));
        let held = one.reserve(60).unwrap();
        assert_eq!(one.reserve(11).unwrap_err(), Full::Own(70));
        assert_eq!(other.reserve(41).unwrap_err(), Full::All(100));
        assert_eq!((one.used(), other.used(), all.used()), (60, 0, 60));
        let more = other.reserve(40).unwrap();
        drop(held);
        assert_eq!((one.used(), other.used(), all.used()), (0, 40, 40));
        drop(more);
        assert_eq!(all.used(), 0);
        assert_eq!(one.reserve(usize::MAX).unwrap_err(), Full::Own(70));
    }
}
