//! Failed logins make the next one wait: by address, and by user and address, so that nobody can lock another one out from elsewhere.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Failures without consequence, of one user from one address and of one address.
const FREE: u32 = 5;
const FREE_OF_ADDRESS: u32 = 50;
/// The longest wait.
const LONGEST: Duration = Duration::from_secs(60);
/// After so long without failure all is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(900);
/// What is remembered at most.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Throttle(Mutex<HashMap<(String, Option<String>), Failures>>);

impl Throttle {
    /// Whether a login may be tried, or how long it must wait.
    pub(super) fn check(&self, address: &str, user: &str) -> Result<(), Duration> {
        let known = self.0.lock();
        let now = Instant::now();
        for (key, free) in keys(address, user) {
            let Some(failures) = known.get(&key) else { continue };
            let Some(beyond) = failures.count.checked_sub(free) else { continue };
            let wait = Duration::from_secs(1 << beyond.min(6)).min(LONGEST);
            let passed = now.duration_since(failures.last);
            if passed < wait {
                return Err(wait - passed);
            }
        }
        Ok(())
    }

    pub(super) fn failed(&self, address: &str, user: &str) {
        let mut known = self.0.lock();
        let now = Instant::now();
        if known.len() >= MOST {
            known.retain(|_, failures| now.duration_since(failures.last) < FORGOTTEN);
        }
        if known.len() >= MOST {
            // The older half goes at once, so that a flood does not make every failure search all of them.
            let mut times: Vec<Instant> = known.values().map(|failures| failures.last).collect();
            let middle = times.len() / 2;
            let (_, median, _) = times.select_nth_unstable(middle);
            let median = *median;
            known.retain(|_, failures| failures.last > median);
        }
        for (key, _) in keys(address, user) {
            let failures = known.entry(key).or_insert(Failures { count: 0, last: now });
            if now.duration_since(failures.last) >= FORGOTTEN {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
    }

    pub(super) fn succeeded(&self, address: &str, user: &str) {
        let mut known = self.0.lock();
        for (key, _) in keys(address, user) {
            known.remove(&key);
        }
    }
}

/// A client comes from many ports.
fn keys(address: &str, user: &str) -> [((String, Option<String>), u32); 2] {
    let host = address
        .parse::<SocketAddr>()
        .map_or_else(|_| address.to_owned(), |address| address.ip().to_string());
    [((host.clone(), Some(user.to_owned())), FREE), ((host, None), FREE_OF_ADDRESS)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_wait_doubles_and_ends_with_a_success_or_a_rest() {
        let throttle = Throttle::default();
        for _ in 0..FREE {
            assert_eq!(throttle.check("192.0.2.1:1", "ann"), Ok(()));
            throttle.failed("192.0.2.1:1", "ann");
        }
        assert_eq!(
            throttle.check("192.0.2.1:2", "ann"),
            Err(Duration::from_secs(1)),
            "of another port, too"
        );
        assert_eq!(throttle.check("192.0.2.1:1", "bob"), Ok(()));
        assert_eq!(throttle.check("192.0.2.2:1", "ann"), Ok(()), "nobody is locked out from elsewhere");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(throttle.check("192.0.2.1:1", "ann"), Ok(()));
        throttle.failed("192.0.2.1:1", "ann");
        assert_eq!(throttle.check("192.0.2.1:1", "ann"), Err(Duration::from_secs(2)));
        for _ in 0..30 {
            throttle.failed("192.0.2.1:1", "ann");
        }
        assert_eq!(throttle.check("192.0.2.1:1", "ann"), Err(LONGEST));
        throttle.succeeded("192.0.2.1:1", "ann");
        assert_eq!(throttle.check("192.0.2.1:1", "ann"), Ok(()));
        throttle.failed("192.0.2.1:1", "ann");
        tokio::time::advance(FORGOTTEN).await;
        assert_eq!(throttle.check("192.0.2.1:1", "ann"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn many_users_of_one_address_are_one_address_and_memory_is_bounded() {
        let throttle = Throttle::default();
        for number in 0..FREE_OF_ADDRESS {
            throttle.failed("192.0.2.1:1", &number.to_string());
        }
        assert!(throttle.check("192.0.2.1:1", "another").is_err());
        for number in 0..3 * MOST {
            throttle.failed(&number.to_string(), "ann");
        }
        assert!(throttle.0.lock().len() <= MOST + 1);
    }
}
