//! Compression of a record's bytes: what a definition says of it, and undoing it.
//!
//! `auto` goes by magic bytes: gzip (RFC 1952), zstd (RFC 8878) and framed snappy begin with theirs, and a record that does and is damaged is a bad
//! record. zlib (RFC 1950) has only a checked header of two bytes, which text may begin with by chance (`x^`): a record that does not inflate to its
//! last byte is then taken as it is. No JSON text begins with any of these. A record without such bytes is decoded where it lies, without a copy.
//!
//! A named compression is undone in every record, and one that is not so compressed is a bad record. Names joined by `+` are undone from left to right:
//! `base64+gzip` is base64 text of gzip data.
//!
//! What a record inflates to is bounded ([`MOST_INFLATED`]): a bomb is a bad record.

mod codec;
mod inflate;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use codec::Codec;
pub(crate) use inflate::Inflater;

/// Bytes that one record may inflate to: 64 MiB. A record that inflates further is bad.
pub const MOST_INFLATED: usize = 64 << 20;
/// Steps of a chain. Each may multiply.
const MOST_STEPS: usize = 4;

/// Compression of a record's bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Compression {
    /// Recognised by magic bytes, record by record.
    Auto,
    /// Bytes are taken as they are.
    None,
    /// Undone in this order; never empty.
    Chain(Vec<Codec>),
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::None => f.write_str("none"),
            Self::Chain(codecs) => {
                for (step, codec) in codecs.iter().enumerate() {
                    write!(f, "{}{codec}", if step == 0 { "" } else { "+" })?;
                }
                Ok(())
            }
        }
    }
}

impl FromStr for Compression {
    type Err = String;

    /// `auto`, `none`, or names of [`Codec`]s joined by `+`, in any case.
    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        match lower.as_str() {
            "auto" => return Ok(Self::Auto),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let codecs = lower
            .split('+')
            .map(|name| Codec::parse(name.trim(), text))
            .collect::<Result<Vec<_>, _>>()?;
        if codecs.len() > MOST_STEPS {
            return Err(format!("`{text}` has more than {MOST_STEPS} steps"));
        }
        Ok(Self::Chain(codecs))
    }
}

#[cfg(test)]
mod tests;
