//! Reading a definition's tree; whatever is wrong is reported at its place.

use super::node::{Node, Problem, Step};
use super::suggestion::did_you_mean;

/// A value and the way to it.
#[derive(Debug, Clone)]
pub(super) struct Cursor<'a> {
    pub(super) node: &'a Node,
    steps: Vec<Step>,
}

impl<'a> Cursor<'a> {
    pub(super) fn root(node: &'a Node) -> Self {
        Self { node, steps: Vec::new() }
    }

    /// Another value as if it stood here.
    pub(super) fn of<'n>(&self, node: &'n Node) -> Cursor<'n> {
        Cursor {
            node,
            steps: self.steps.clone(),
        }
    }

    pub(super) fn problem(&self, message: impl Into<String>) -> Problem {
        Problem {
            steps: self.steps.clone(),
            at_key: false,
            message: message.into(),
        }
    }

    /// The key by which this value was reached; empty for items and the root.
    fn key(&self) -> &str {
        match self.steps.last() {
            Some(Step::Key(key)) => key,
            _ => "",
        }
    }

    /// Prefixes the sentence with the key: `type: unknown type ...`.
    pub(super) fn keyed_problem(&self, message: impl AsRef<str>) -> Problem {
        self.problem(format!("{}: {}", self.key(), message.as_ref()))
    }

    pub(super) fn entries(&self) -> Result<&'a [(String, Node)], Problem> {
        match self.node {
            Node::Map(entries) => Ok(entries),
            other => Err(self.problem(match self.key() {
                "" => format!("expected a map, found {}", other.described()),
                key => format!("{key}: expected a map, found {}", other.described()),
            })),
        }
    }

    /// Fails on the first key that is neither in `known` nor null-free; keys in `later` belong to later versions.
    pub(super) fn check_keys(&self, known: &[&str], later: &[&str]) -> Result<(), Problem> {
        for (key, _) in self.entries()? {
            let mut steps = self.steps.clone();
            steps.push(Step::Key(key.clone()));
            let message = if known.contains(&&**key) {
                continue;
            } else if later.contains(&&**key) {
                format!("key `{key}` is not supported yet")
            } else if key.ends_with(')') || key.ends_with('>') {
                format!("unknown key `{key}`: in flow style ({{ ... }}) a type with a comma needs quotes: type: \"decimal(10,2)\"")
            } else {
                format!("unknown key `{key}`{}", did_you_mean(key, known))
            };
            return Err(Problem {
                steps,
                at_key: true,
                message,
            });
        }
        Ok(())
    }

    /// The value of a key; null counts as absent only where `null_is_absent`.
    pub(super) fn get(&self, key: &str) -> Result<Option<Cursor<'a>>, Problem> {
        Ok(self.entries()?.iter().find(|(name, _)| name == key).map(|(name, node)| {
            let mut steps = self.steps.clone();
            steps.push(Step::Key(name.clone()));
            Cursor { node, steps }
        }))
    }

    /// As [`Self::get`], with `null` for absent, as JSON writers mean it.
    pub(super) fn get_non_null(&self, key: &str) -> Result<Option<Cursor<'a>>, Problem> {
        Ok(self.get(key)?.filter(|cursor| *cursor.node != Node::Null))
    }

    pub(super) fn require(&self, key: &str) -> Result<Cursor<'a>, Problem> {
        self.get(key)?.ok_or_else(|| self.problem(format!("key `{key}` is missing")))
    }

    pub(super) fn text(&self) -> Result<&'a str, Problem> {
        match self.node {
            Node::Text(text) => Ok(text),
            Node::Number(_) | Node::Boolean(_) => {
                Err(self.keyed_problem(format!("expected text, found {}: put it in quotes", self.node.described())))
            }
            other => Err(self.keyed_problem(format!("expected text, found {}", other.described()))),
        }
    }

    pub(super) fn non_empty_text(&self) -> Result<&'a str, Problem> {
        match self.text()? {
            text if text.trim().is_empty() => Err(self.keyed_problem("must not be empty")),
            text => Ok(text),
        }
    }

    pub(super) fn boolean(&self) -> Result<bool, Problem> {
        match self.node {
            Node::Boolean(value) => Ok(*value),
            other => Err(self.keyed_problem(format!("expected true or false, found {}", other.described()))),
        }
    }

    pub(super) fn items(&self) -> Result<Vec<Cursor<'a>>, Problem> {
        match self.node {
            Node::List(items) => Ok(items
                .iter()
                .enumerate()
                .map(|(index, node)| {
                    let mut steps = self.steps.clone();
                    steps.push(Step::Index(index));
                    Cursor { node, steps }
                })
                .collect()),
            other => Err(self.keyed_problem(format!("expected a list, found {}", other.described()))),
        }
    }

    /// One of a set of words, case-insensitively: `now` maps each that works, `later` lists what later versions will know.
    pub(super) fn choice<T: Copy>(&self, now: &[(&str, T)], later: &[&str]) -> Result<T, Problem> {
        let text = self.text()?;
        let lower = text.trim().to_ascii_lowercase();
        if let Some((_, value)) = now.iter().find(|(word, _)| *word == lower) {
            return Ok(*value);
        }
        if later
            .iter()
            .any(|word| lower == *word || word.strip_suffix('*').is_some_and(|prefix| lower.starts_with(prefix)))
        {
            return Err(self.keyed_problem(format!("`{text}` is not supported yet")));
        }
        let words: Vec<&str> = now.iter().map(|(word, _)| *word).chain(later.iter().copied()).collect();
        let suggestion = match did_you_mean(&lower, &words) {
            none if none.is_empty() => format!(": use one of {}", now.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")),
            near => near,
        };
        Err(self.keyed_problem(format!("unknown value `{text}`{suggestion}")))
    }
}
