//! A stable name for what a definition makes of a record.

use std::fmt;

use sha2::{Digest, Sha256};

use super::{BadRecords, Compat, Format, JsonFormat, TableDefinition};

/// Hash of everything in a definition that decides what rows look like; stable across processes and versions.
///
/// In it: format and its options, compression, `bad_records`, `compat`, and of each column name, place, type, format and hidden. Not in it: where the rows come from
/// (table name, stream, `kinesis:`), which of them are read (`start`), and comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 16]);

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Changes whenever the decoding of an unchanged definition changes.
const VERSION: &str = "shardflight-definition-3";

impl TableDefinition {
    /// See [`Fingerprint`].
    pub fn fingerprint(&self) -> Fingerprint {
        let mut hash = Sha256::new();
        // Each text is preceded by its length, so that no two definitions give the same bytes.
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        add(VERSION);
        add(self.format.name());
        if self.format != Format::Json(JsonFormat::default()) {
            // Options, files' contents among them.
            add(&format!("{:?}", self.format));
        }
        add(&self.compression.to_string());
        add(match self.bad_records {
            BadRecords::NullRow => "null_row",
            BadRecords::Skip => "skip",
            BadRecords::Fail => "fail",
        });
        match self.compat {
            Compat::None => {}
            Compat::Presto => add("compat presto"),
        }
        for column in &self.columns {
            add("column");
            add(&column.name);
            add(&column.path.len().to_string());
            for segment in &column.path {
                add(segment);
            }
            add(&column.column_type.to_string());
            match &column.format {
                Some(format) => {
                    add("pattern");
                    add(&format.to_string());
                }
                None => add("plain"),
            }
            if let Some(index) = column.index {
                add("index");
                add(&index.to_string());
            }
            if let Some(raw) = &column.raw {
                add(&format!("{raw:?}"));
            }
            add(if column.hidden { "hidden" } else { "visible" });
        }
        let mut short = [0; 16];
        short.copy_from_slice(&hash.finalize()[..16]);
        Fingerprint(short)
    }
}
