//! What is stored about a stream beside its records: one JSON file, replaced atomically.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The file's name in the stream's directory.
pub(super) const METADATA_FILE: &str = "stream.json";

/// Capacity mode.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(crate) enum StreamMode {
    Provisioned,
    OnDemand,
}

/// A stream as stored.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct StreamMetadata {
    pub(crate) name: String,
    pub(crate) created_ms: i64,
    /// Random, below 10^8; with the creation time it names the incarnation.
    pub(crate) tag: u32,
    pub(crate) mode: StreamMode,
    pub(crate) retention_hours: u32,
    /// KiB of data that a record may have.
    #[serde(default = "usual_record_kib")]
    pub(crate) max_record_kib: u32,
    pub(crate) next_shard: u32,
    #[serde(default)]
    pub(crate) tags: BTreeMap<String, String>,
    /// By name.
    #[serde(default)]
    pub(crate) consumers: BTreeMap<String, ConsumerMetadata>,
    /// By number.
    pub(crate) shards: Vec<ShardMetadata>,
}

/// A registered consumer as stored.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ConsumerMetadata {
    pub(crate) created_ms: i64,
    /// Until then it is `CREATING`.
    pub(crate) active_ms: i64,
}

impl ConsumerMetadata {
    pub(crate) fn is_active(&self, now_ms: i64) -> bool {
        now_ms >= self.active_ms
    }
}

/// A shard as stored.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ShardMetadata {
    pub(crate) number: u32,
    pub(crate) parent: Option<u32>,
    pub(crate) adjacent_parent: Option<u32>,
    /// First and last hash key, in decimal text: JSON numbers do not hold them.
    #[serde(with = "decimal_text")]
    pub(crate) hash_start: u128,
    #[serde(with = "decimal_text")]
    pub(crate) hash_end: u128,
    pub(crate) created_ms: i64,
    /// All records have counters above.
    pub(crate) starting_counter: u64,
    pub(crate) closed: Option<Closed>,
}

/// When and where a shard was closed.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Closed {
    pub(crate) at_ms: i64,
    /// All records have counters below.
    pub(crate) ending_counter: u64,
}

impl ShardMetadata {
    pub(crate) fn is_child_of(&self, number: u32) -> bool {
        self.parent == Some(number) || self.adjacent_parent == Some(number)
    }
}

/// 1 MiB, unless a stream is told otherwise.
pub(super) const fn usual_record_kib() -> u32 {
    1024
}

impl StreamMetadata {
    /// Bytes of data that a record may have.
    pub(crate) fn max_record_bytes(&self) -> usize {
        self.max_record_kib as usize * 1024
    }

    pub(crate) fn retention_ms(&self) -> i64 {
        i64::from(self.retention_hours) * 3_600_000
    }

    pub(crate) fn shard(&self, number: u32) -> Option<&ShardMetadata> {
        self.shards
            .binary_search_by_key(&number, |shard| shard.number)
            .ok()
            .map(|at| &self.shards[at])
    }

    pub(crate) fn open_shards(&self) -> impl Iterator<Item = &ShardMetadata> {
        self.shards.iter().filter(|shard| shard.closed.is_none())
    }

    /// Replaces the stored metadata: after a crash either the old or the new is there.
    pub(super) fn save(&self, dir: &Path, fsync: bool) -> io::Result<()> {
        let temporary = dir.join("stream.json.new");
        let mut file = File::create(&temporary)?;
        serde_json::to_writer(&mut file, self)?;
        file.flush()?;
        if fsync {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, dir.join(METADATA_FILE))
    }
}

mod decimal_text {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
