//! Names with `*` for any text.

use regex::Regex;

/// A set of names; `*` in one stands for any text.
#[derive(Debug, Clone, Default)]
pub struct Patterns {
    texts: Vec<String>,
    compiled: Vec<Regex>,
}

impl Patterns {
    /// Of these texts.
    ///
    /// # Errors
    /// A sentence, if one of them cannot be used.
    pub fn new<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> Result<Self, String> {
        let mut patterns = Self::default();
        for text in texts {
            let text = text.as_ref();
            let expression = format!("(?s)^{}$", regex::escape(text).replace(r"\*", ".*"));
            patterns
                .compiled
                .push(Regex::new(&expression).map_err(|error| format!("`{text}`: {error}"))?);
            patterns.texts.push(text.to_owned());
        }
        Ok(patterns)
    }

    /// Whether one of them is the whole name.
    pub fn matches(&self, name: &str) -> bool {
        self.compiled.iter().any(|pattern| pattern.is_match(name))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// Whether one of them is `*` alone.
    pub fn has_all(&self) -> bool {
        self.texts.iter().any(|text| text == "*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_whole_names() {
        let patterns = Patterns::new(["sales.*", "a.b", "*@example.org"]).unwrap();
        for name in ["sales.", "sales.x", "a.b", "me@example.org", "two\nlines@example.org"] {
            assert!(patterns.matches(name), "{name:?}");
        }
        for name in ["sales", "wholesales.x", "axb", "a.bc", "me@example.org.evil"] {
            assert!(!patterns.matches(name), "{name:?}");
        }
        assert!(!patterns.has_all());
        assert!(Patterns::new(["x", "*"]).unwrap().has_all());
        assert!(!Patterns::default().matches(""));
    }
}
