//! A record on its way into the stream.

use super::verify::Content;

/// One record to put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Partition key.
    pub(crate) key: String,
    /// Where it goes, if not where its partition key says.
    pub(crate) explicit_hash_key: Option<u128>,
    /// Payload.
    pub(crate) data: Vec<u8>,
    /// What must be found in it, if that is not just itself.
    pub(crate) content: Option<Content>,
}

impl Record {
    /// A record that is itself.
    pub(crate) const fn plain(key: String, data: Vec<u8>) -> Self {
        Self {
            key,
            explicit_hash_key: None,
            data,
            content: None,
        }
    }

    /// User records in it.
    pub(crate) fn users(&self) -> u32 {
        self.content.as_ref().map_or(1, Content::users)
    }
}
