//! Runs what a ticket carried.

use parking_lot::Mutex;

/// What an endpoint's rows were read from: for the last message of its stream.
#[derive(Debug, Default)]
pub struct ExecutionFacts {
    json: Mutex<serde_json::Value>,
}

impl ExecutionFacts {
    /// `{query_id, rows, bytes_cached, bytes_read, shards: [{shard, from, to, complete, reason}]}`; complete once the rows have ended.
    pub fn to_json(&self) -> serde_json::Value {
        self.json.lock().clone()
    }
}
