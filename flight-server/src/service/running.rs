//! Streams that are being sent, so that they can be cancelled by query id.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
struct Entry {
    token: CancellationToken,
    streams: usize,
}

/// The running streams of this server.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunningQueries(Arc<Mutex<HashMap<String, Entry>>>);

/// One stream: listed while this lives.
#[derive(Debug)]
pub(crate) struct Running {
    queries: RunningQueries,
    query_id: String,
    token: CancellationToken,
}

impl RunningQueries {
    /// Lists a stream.
    pub(crate) fn enter(&self, query_id: &str) -> Running {
        let mut entries = self.0.lock();
        let entry = entries.entry(query_id.to_owned()).or_insert_with(|| Entry {
            token: CancellationToken::new(),
            streams: 0,
        });
        entry.streams += 1;
        Running {
            queries: self.clone(),
            query_id: query_id.to_owned(),
            token: entry.token.clone(),
        }
    }

    /// Cancels all streams of a query; false if none runs.
    pub(crate) fn cancel(&self, query_id: &str) -> bool {
        // Removed at once, so that a stream opened later is a new run and not born cancelled.
        let mut entries = self.0.lock();
        let Some(entry) = entries.remove(query_id) else {
            return false;
        };
        entry.token.cancel();
        true
    }
}

impl Running {
    /// Resolves when the query is cancelled.
    pub(crate) fn token(&self) -> CancellationToken {
        self.token.clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let mut entries = self.queries.0.lock();
        // A cancelled entry is gone already; one of that name now is another run's.
        if self.token.is_cancelled() {
            return;
        }
        if let Some(entry) = entries.get_mut(&self.query_id) {
            entry.streams -= 1;
            if entry.streams == 0 {
                entries.remove(&self.query_id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_listed_while_a_stream_of_it_runs() {
        let queries = RunningQueries::default();
        let (first, second) = (queries.enter("q"), queries.enter("q"));
        drop(first);
        assert!(queries.cancel("q"));
        assert!(second.token().is_cancelled());
        assert!(!queries.cancel("q"));
        let again = queries.enter("q");
        assert!(!again.token().is_cancelled());
        drop(second);
        assert!(!again.token().is_cancelled());
        drop(again);
        assert!(!queries.cancel("q"));
    }
}
