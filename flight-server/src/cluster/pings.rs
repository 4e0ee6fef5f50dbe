//! How soon a node that is stopped, or cut off, is known to be lost. Its connections stay as they are: only an answer that does not come tells.
//!
//! A process that stands still for less than [`TIMEOUT`] is given up by nobody. Pings are answered by the task of the connection, which shares its threads
//! with plans: a machine that is busy answers late, and so the time is long beside what that takes.

use std::time::Duration;

/// Connections on which nothing came for so long are pinged.
pub(super) const INTERVAL: Duration = Duration::from_millis(500);
/// A ping without an answer for so long is the end of its connection.
pub(super) const TIMEOUT: Duration = Duration::from_secs(3);

/// Clients are told of a lost node within this time.
const PROMISED: Duration = Duration::from_secs(5);
/// Of that, what an error may take to its client.
const TOLD: Duration = Duration::from_secs(1);

const _: () = assert!(INTERVAL.as_millis() + TIMEOUT.as_millis() + TOLD.as_millis() <= PROMISED.as_millis());
