//! Users' passwords, known by their argon2id hashes.
//!
//! Hashing takes a core and 19 MiB for some 20 ms. It is done beside the runtime, for few callers at once; and what was found right is
//! remembered for a while, since some clients send it with every call.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::{Output, PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::Status;

/// What was found right is good for so long.
const REMEMBERED: Duration = Duration::from_secs(300);
/// Of so many.
const MOST_REMEMBERED: usize = 1000;
/// Logins that wait for others; one more is refused.
const MOST_WAITING: usize = 256;
/// A hash asks for no more memory (KiB) and rounds than these.
const MOST_MEMORY: u32 = 1 << 20;
const MOST_ROUNDS: u32 = 64;

/// Why a password cannot be hashed, or a hash not be used.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Not a hash. What it is instead may be a password, and is not shown.
    #[error("user {user}: the password hash is none; `shardflight hash-password` makes one")]
    NoHash {
        /// Whose.
        user: String,
    },
    /// Hashing failed.
    #[error("the password cannot be hashed: {0}")]
    Hashing(argon2::password_hash::Error),
}

/// The hash of a password, with a salt of its own.
///
/// # Errors
/// [`PasswordError::Hashing`].
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    let salt = SaltString::encode_b64(&rand::random::<[u8; 16]>()).map_err(PasswordError::Hashing)?;
    let hash = Argon2::default().hash_password(password.as_bytes(), &salt);
    Ok(hash.map_err(PasswordError::Hashing)?.to_string())
}

/// The users of a server.
pub(super) struct Passwords {
    users: HashMap<String, String>,
    /// Verified for users who are not there, so that time does not tell that.
    nobody: String,
    hashing: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Keyed hashes of what was found right.
    right: Mutex<HashMap<[u8; 32], Instant>>,
    key: [u8; 32],
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords")
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Passwords {
    pub(super) fn new(users: Vec<(String, String)>) -> Result<Self, PasswordError> {
        for (user, hash) in &users {
            check(hash).ok_or_else(|| PasswordError::NoHash { user: user.clone() })?;
        }
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Ok(Self {
            users: users.into_iter().collect(),
            nobody: hash_password(&uuid::Uuid::new_v4().to_string())?,
            hashing: Arc::new(Semaphore::new(threads.div_ceil(2))),
            waiting: AtomicUsize::new(0),
            right: Mutex::default(),
            key: rand::random(),
        })
    }

    pub(super) fn knows(&self, user: &str) -> bool {
        self.users.contains_key(user)
    }

    /// Whether the password was found right not long ago.
    pub(super) fn remembers(&self, user: &str, password: &str) -> bool {
        let since = self.right.lock().get(&self.remembered_as(user, password)).copied();
        self.knows(user) && since.is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    /// Whether the password is right.
    pub(super) async fn verify(&self, user: &str, password: &str) -> Result<bool, Status> {
        let known = self.users.get(user);
        let key = self.remembered_as(user, password);
        let waiting = Waiting(&self.waiting);
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= MOST_WAITING {
            return Err(Status::resource_exhausted("too many logins at once; try again"));
        }
        let permit = Arc::clone(&self.hashing).acquire_owned().await;
        let permit = permit.map_err(|_| Status::unavailable("the server stops"))?;
        drop(waiting);
        let (hash, password) = (known.unwrap_or(&self.nobody).clone(), password.to_owned());
        let mut tasks = JoinSet::new();
        tasks.spawn_blocking(move || {
            // Held until the work is done, even if nobody waits for it any more.
            let _permit = permit;
            let hash = PasswordHash::new(&hash).ok();
            hash.is_some_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
        });
        let right = match tasks.join_next().await {
            Some(Ok(right)) => right,
            Some(Err(error)) => {
                tracing::error!(%error, "verifying a password broke down");
                return Err(Status::internal("verifying the password broke down"));
            }
            None => false,
        };
        let good = right && known.is_some();
        if good {
            let mut remembered = self.right.lock();
            if remembered.len() >= MOST_REMEMBERED {
                remembered.retain(|_, since| since.elapsed() < REMEMBERED);
            }
            if remembered.len() < MOST_REMEMBERED {
                remembered.insert(key, Instant::now());
            }
        }
        Ok(good)
    }

    /// Under a key that lives as long as the process: memory that leaks tells nothing that could be guessed at elsewhere.
    fn remembered_as(&self, user: &str, password: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update(u64::try_from(user.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(user.as_bytes());
        hash.update(password.as_bytes());
        hash.finalize().into()
    }
}

/// Whether a text is a hash that can be verified within reason.
fn check(hash: &str) -> Option<()> {
    let hash = PasswordHash::new(hash).ok()?;
    let params = argon2::Params::try_from(&hash).ok()?;
    let known = matches!(hash.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d");
    let output: Option<Output> = hash.hash;
    (known && output.is_some() && params.m_cost() <= MOST_MEMORY && params.t_cost() <= MOST_ROUNDS).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of the reference implementation's tests, for `password`.
    const REFERENCE: &str = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";

    #[tokio::test]
    async fn the_right_password_of_a_known_user_is_good() {
        let passwords = Passwords::new(vec![("ann".into(), hash_password("right").unwrap())]).unwrap();
        let good = |user: &'static str, password: &'static str| {
            let passwords = &passwords;
            async move {
                let good = passwords.verify(user, password).await.unwrap();
                assert_eq!(passwords.remembers(user, password), good);
                good
            }
        };
        assert!(!passwords.remembers("ann", "right"));
        assert!(good("ann", "right").await);
        for (user, password) in [("ann", "wrong"), ("ann", ""), ("bob", "right"), ("", "")] {
            assert!(!good(user, password).await, "{user} {password}");
        }
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_shown() {
        assert_ne!(hash_password("a").unwrap(), hash_password("a").unwrap(), "each has its own salt");
        for wrong in [
            "s3cr3t",
            "",
            "$argon2id$v=19$m=1024,t=2,p=1$c29tZXNhbHQ",
            "$2b$12$abcdefghijklmnopqrstuu",
        ] {
            let error = Passwords::new(vec![("ann".into(), wrong.into())]).unwrap_err().to_string();
            assert!(error.contains("user ann") && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[tokio::test]
    async fn hashes_of_other_programs_are_read() {
        let passwords = Passwords::new(vec![("ann".into(), REFERENCE.into())]).unwrap();
        assert!(passwords.verify("ann", "password").await.unwrap());
        assert!(!passwords.verify("ann", "passwords").await.unwrap());
    }
}
