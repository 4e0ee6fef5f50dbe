//! Who reads a shard by fan-out: one subscription per consumer and shard, as on AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

/// Within this time after a subscription succeeded, the same pair gets no other one; later, the new one takes over.
const EXCLUSIVE_MS: i64 = 5_000;
/// Calls for one pair are this far apart, where the service has limits.
const CALL_MS: i64 = 1_000;

/// How a subscription ends before its time.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SubscriptionEnd {
    /// The connection is cut in the middle of an event.
    Cut,
    /// The stream of events ends as after its five minutes.
    Close,
    /// An error event, `ResourceInUseException`: another subscription took over.
    ResourceInUse,
    /// An error event, `ResourceNotFoundException`: the consumer or the stream is gone.
    ResourceNotFound,
    /// An error event, `InternalFailureException`.
    InternalFailure,
}

/// A consumer of this incarnation of the stream (name and creation), and a shard.
type Pair = (Arc<str>, i64, u32);

/// The subscriptions of one stream.
#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    pairs: Arc<Mutex<BTreeMap<Pair, Occupancy>>>,
}

#[derive(Debug, Default)]
struct Occupancy {
    called_ms: Option<i64>,
    /// When the latest subscription succeeded.
    since_ms: Option<i64>,
    /// Tells the latest subscription to end; none when it has.
    end: Option<watch::Sender<Option<SubscriptionEnd>>>,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Occupied {
    /// A subscription of the pair is too young to be taken over.
    InUse,
    /// The pair was asked for too often.
    TooMany,
}

/// The one place of a pair, held while its subscription lasts.
#[derive(Debug)]
pub(crate) struct Seat {
    end: watch::Receiver<Option<SubscriptionEnd>>,
    pair: Pair,
    pairs: Arc<Mutex<BTreeMap<Pair, Occupancy>>>,
}

impl Subscriptions {
    /// Takes a pair's place, over from an older subscription if there is one.
    pub(crate) fn take(&self, consumer: &str, created_ms: i64, shard: u32, now_ms: i64, limits: bool) -> Result<Seat, Occupied> {
        let pair = (Arc::from(consumer), created_ms, shard);
        let mut pairs = self.pairs.lock();
        let recent = |at: Option<i64>, within: i64| at.is_some_and(|at| (0..within).contains(&(now_ms - at)));
        pairs.retain(|_, occupancy| occupancy.end.is_some() || recent(occupancy.called_ms, EXCLUSIVE_MS));
        let occupancy = pairs.entry(Pair::clone(&pair)).or_default();
        let too_often = limits && recent(occupancy.called_ms, CALL_MS);
        occupancy.called_ms = Some(now_ms);
        if too_often {
            return Err(Occupied::TooMany);
        }
        if recent(occupancy.since_ms, EXCLUSIVE_MS) {
            return Err(Occupied::InUse);
        }
        let (sender, end) = watch::channel(None);
        if let Some(older) = occupancy.end.replace(sender) {
            older.send_replace(Some(SubscriptionEnd::ResourceInUse));
        }
        occupancy.since_ms = Some(now_ms);
        drop(pairs);
        Ok(Seat {
            end,
            pair,
            pairs: Arc::clone(&self.pairs),
        })
    }

    /// Ends the subscriptions of a consumer, or of all; the answer is how many.
    pub(crate) fn end(&self, consumer: Option<&str>, end: SubscriptionEnd) -> usize {
        let mut ended = 0;
        for ((name, ..), occupancy) in self.pairs.lock().iter() {
            if consumer.is_none_or(|consumer| **name == *consumer)
                && let Some(sender) = &occupancy.end
            {
                sender.send_replace(Some(end));
                ended += 1;
            }
        }
        ended
    }
}

impl Seat {
    /// How the subscription is to end, if it is.
    pub(crate) fn end(&self) -> Option<SubscriptionEnd> {
        *self.end.borrow()
    }

    /// Waits until the subscription is to end.
    pub(crate) async fn ended(&mut self) {
        // Without a sender it was told to end before.
        let _ = self.end.wait_for(Option::is_some).await;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut pairs = self.pairs.lock();
        if let Some(occupancy) = pairs.get_mut(&self.pair) {
            let own = occupancy
                .end
                .as_ref()
                .is_some_and(|sender| sender.subscribe().same_channel(&self.end));
            if own {
                occupancy.end = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_young_subscription_is_safe_and_an_old_one_is_taken_over() {
        let subscriptions = Subscriptions::default();
        let take = |shard, now_ms| subscriptions.take("c", 1, shard, now_ms, false);
        let first = take(0, 0).unwrap();
        let other_shard = take(1, 0).unwrap();
        assert_eq!(take(0, 4_999).unwrap_err(), Occupied::InUse);
        let second = take(0, 5_000).unwrap();
        assert_eq!(
            (first.end(), second.end(), other_shard.end()),
            (Some(SubscriptionEnd::ResourceInUse), None, None)
        );
        drop(first);
        // The drop of the older one leaves the place with the newer; its own ends do not shorten the five seconds.
        drop(second);
        assert_eq!(take(0, 9_999).unwrap_err(), Occupied::InUse);
        assert_eq!(take(0, 10_000).unwrap().end(), None);
        // Another consumer of the same name, registered anew.
        assert!(subscriptions.take("c", 2, 0, 10_000, false).is_ok());
    }

    #[test]
    fn with_limits_a_pair_is_asked_for_once_a_second() {
        let subscriptions = Subscriptions::default();
        let take = |now_ms| subscriptions.take("c", 1, 0, now_ms, true).map(drop);
        assert_eq!(take(0), Ok(()));
        assert_eq!(take(999), Err(Occupied::TooMany));
        assert_eq!(take(1_999), Err(Occupied::InUse));
        assert_eq!(take(2_000), Err(Occupied::TooMany));
        assert_eq!(take(6_000), Ok(()));
    }

    #[tokio::test]
    async fn all_subscriptions_of_a_consumer_can_be_ended() {
        let subscriptions = Subscriptions::default();
        let mut mine = subscriptions.take("c", 1, 0, 0, false).unwrap();
        let other = subscriptions.take("d", 1, 0, 0, false).unwrap();
        assert_eq!(subscriptions.end(Some("c"), SubscriptionEnd::ResourceNotFound), 1);
        mine.ended().await;
        assert_eq!((mine.end(), other.end()), (Some(SubscriptionEnd::ResourceNotFound), None));
        assert_eq!(subscriptions.end(None, SubscriptionEnd::Close), 2);
    }
}
