//! What options of a format are compiled to.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};

/// Compiled once for a definition, however many decoders it has. It follows from the options beside it, so it is no part of their identity: any two are
/// equal, it is not written, and it shows as nothing.
pub(crate) struct Compiled<T>(OnceLock<Arc<T>>);

impl<T> Compiled<T> {
    /// What was compiled, compiling it if that is still to be done.
    pub(crate) fn get_or_try(&self, compile: impl FnOnce() -> Result<T, String>) -> Result<Arc<T>, String> {
        match self.0.get() {
            Some(compiled) => Ok(Arc::clone(compiled)),
            None => {
                let compiled = compile()?;
                Ok(Arc::clone(self.0.get_or_init(|| Arc::new(compiled))))
            }
        }
    }
}

impl<T> Default for Compiled<T> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<T> Clone for Compiled<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Compiled<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Fingerprints are made of this text.
        f.write_str("_")
    }
}

impl<T> PartialEq for Compiled<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Compiled<T> {}

impl<T> Hash for Compiled<T> {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}
