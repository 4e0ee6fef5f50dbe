//! Static tokens, known by their digests.

use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::engine::Principal;

/// What is kept of a token.
pub fn token_digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The tokens of a server.
#[derive(Debug)]
pub(super) struct Tokens(Vec<(String, [u8; 32])>);

impl Tokens {
    pub(super) fn new(tokens: Vec<(String, [u8; 32])>) -> Self {
        Self(tokens)
    }

    pub(super) fn knows(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    /// Whose token it is. All are compared, so that time tells nothing.
    pub(super) fn find(&self, token: &str) -> Option<Principal> {
        let digest = token_digest(token);
        let mut found = u32::MAX;
        for (index, (_, known)) in (0u32..).zip(&self.0) {
            let same: Choice = digest.ct_eq(known);
            found = u32::conditional_select(&found, &index, same);
        }
        let (name, _) = self.0.get(usize::try_from(found).ok()?)?;
        Some(Principal(name.as_str().into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_found_by_their_digest() {
        let tokens = Tokens::new(vec![("a".into(), token_digest("one")), ("b".into(), token_digest("two"))]);
        assert_eq!(tokens.find("two"), Some(Principal("b".into())));
        assert_eq!(tokens.find("one"), Some(Principal("a".into())));
        for wrong in ["", "three", "one ", "ONE"] {
            assert_eq!(tokens.find(wrong), None, "{wrong}");
        }
        // of `sha256sum`
        let expected = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed";
        let hex: String = token_digest("one").iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, expected);
    }
}
