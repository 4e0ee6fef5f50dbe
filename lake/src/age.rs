//! Ages of files.

use std::time::Duration;

use chrono::{DateTime, Utc};

/// The time that lies so long ago; a time long before any file if that cannot be said.
pub(crate) fn before(age: Duration) -> DateTime<Utc> {
    chrono::Duration::from_std(age)
        .ok()
        .and_then(|age| Utc::now().checked_sub_signed(age))
        .unwrap_or(DateTime::<Utc>::MIN_UTC)
}
