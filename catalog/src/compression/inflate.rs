//! The payloads of a run, inflated.

use std::borrow::Cow;

use super::codec::{Codec, Contexts};
use super::{Compression, MOST_INFLATED};

/// Undoes the compression of payloads.
#[derive(Debug)]
pub(crate) struct Inflater {
    compression: Compression,
    contexts: Contexts,
    most: usize,
}

impl Inflater {
    pub(crate) fn new(compression: Compression) -> Self {
        Self {
            compression,
            contexts: Contexts::default(),
            most: MOST_INFLATED,
        }
    }

    #[cfg(test)]
    pub(crate) fn with_most(compression: Compression, most: usize) -> Self {
        Self {
            most,
            ..Self::new(compression)
        }
    }

    /// Whether the payload is anything but its own content.
    #[inline]
    pub(crate) fn touches(&self, payload: &[u8]) -> bool {
        match &self.compression {
            Compression::None => false,
            Compression::Auto => Codec::of_magic(payload).is_some(),
            Compression::Chain(_) => true,
        }
    }

    /// The content, or why there is none.
    pub(crate) fn inflate<'a>(&mut self, payload: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        let steps: &[Codec] = match &self.compression {
            Compression::None => &[],
            Compression::Auto => &[Codec::Auto],
            Compression::Chain(codecs) => codecs,
        };
        let mut content = Cow::Borrowed(payload);
        for codec in steps {
            content = codec.undo(content, &mut self.contexts, self.most)?;
        }
        Ok(content)
    }
}
