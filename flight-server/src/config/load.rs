//! File and environment become one [`Config`].

use std::path::{Path, PathBuf};

use serde::de::{Deserialize, DeserializeSeed};
use serde_yaml::{Deserializer, Mapping, Value};

use super::Config;
use super::keys::{CheckKeys, KEYS, Key, dotted, find};

/// Every variable of ours begins so.
const PREFIX: &str = "SHARDFLIGHT_";

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {}", .file.display())]
    Read {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Something in the file is wrong.
    #[error("{}:{line}:{column}: {message}", .file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// 1-based.
        line: usize,
        /// 1-based.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Something in a variable is wrong.
    #[error("environment variable {variable}: {message}")]
    Variable {
        /// Which.
        variable: String,
        /// What is wrong.
        message: String,
    },
    /// The values do not go together.
    #[error("configuration: {0}")]
    Values(String),
}

impl Config {
    /// Reads `file` (none: defaults), then the variables, which win. `variables` is the whole environment; what does not begin with
    /// `SHARDFLIGHT_` is left alone, and so is what Kubernetes adds for a service called `shardflight`.
    pub fn load(file: Option<&Path>, variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, ConfigError> {
        let mut document = match file {
            Some(file) => read(file)?,
            None => Mapping::new(),
        };
        let mut variables: Vec<_> = variables.into_iter().filter(|(name, _)| is_ours(name)).collect();
        variables.sort();
        for (variable, text) in variables {
            let overlay = overlay(&variable, &text).map_err(|message| ConfigError::Variable {
                variable: variable.clone(),
                message,
            })?;
            Self::deserialize(Value::Mapping(overlay.clone())).map_err(|error| ConfigError::Variable {
                variable,
                message: error.to_string(),
            })?;
            merge(&mut document, overlay);
        }
        let config = Self::deserialize(Value::Mapping(document)).map_err(|error| ConfigError::Values(error.to_string()))?;
        config.validate().map_err(ConfigError::Values)?;
        Ok(config)
    }
}

fn read(file: &Path) -> Result<Mapping, ConfigError> {
    let text = std::fs::read_to_string(file).map_err(|source| ConfigError::Read {
        file: file.to_owned(),
        source,
    })?;
    let refused = |error: serde_yaml::Error| located(file, &error);
    CheckKeys::top().deserialize(Deserializer::from_str(&text)).map_err(refused)?;
    if Value::deserialize(Deserializer::from_str(&text)).map_err(refused)?.is_null() {
        return Ok(Mapping::new());
    }
    Config::deserialize(Deserializer::from_str(&text)).map_err(refused)?;
    Mapping::deserialize(Deserializer::from_str(&text)).map_err(refused)
}

fn located(file: &Path, error: &serde_yaml::Error) -> ConfigError {
    let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
    let text = error.to_string();
    let message = text.rfind(" at line ").map_or(text.as_str(), |end| &text[..end]);
    // A message about a key holds the whole of it; one about a value does not, and the parser puts its key in front.
    let of_a_key = |rest: &str| rest.starts_with("unknown key") || rest.contains("is not supported yet");
    let message = message
        .split_once(": ")
        .map_or(message, |(_, rest)| if of_a_key(rest) { rest } else { message })
        .to_owned();
    ConfigError::File {
        file: file.to_owned(),
        line,
        column,
        message,
    }
}

/// What `shardflight sql` logs in with.
const OF_CLIENTS: [&str; 2] = ["PASSWORD", "TOKEN"];

fn is_ours(variable: &str) -> bool {
    let key = variable.strip_prefix(PREFIX);
    key.is_some_and(|key| !is_kubernetes_service_link(key) && !OF_CLIENTS.contains(&key))
}

/// `SHARDFLIGHT_SERVICE_HOST`, `SHARDFLIGHT_PORT_32010_TCP_ADDR` and their like.
fn is_kubernetes_service_link(key: &str) -> bool {
    key.starts_with("SERVICE_HOST") || key.starts_with("SERVICE_PORT") || key == "PORT" || key.starts_with("PORT_")
}

/// The document that holds this one variable's key.
fn overlay(variable: &str, text: &str) -> Result<Mapping, String> {
    let path = variable.trim_start_matches(PREFIX).to_ascii_lowercase();
    let mut keys = KEYS;
    let mut prefix = String::new();
    let mut sections = Vec::new();
    let mut parts = path.split("__").peekable();
    while let Some(part) = parts.next() {
        match (find(keys, &prefix, part)?, parts.peek().is_some()) {
            (Key::Section(below), true) => {
                sections.push(part);
                keys = below;
                prefix = dotted(&prefix, part);
            }
            (Key::Section(below), false) => {
                let keys: Vec<_> = below
                    .iter()
                    .map(|(name, _)| format!("{variable}__{}", name.to_ascii_uppercase()))
                    .collect();
                return Err(format!("`{}` is a section; set one of {}", dotted(&prefix, part), keys.join(", ")));
            }
            (_, true) => return Err(format!("`{}` has no keys below it", dotted(&prefix, part))),
            (key, false) => {
                let value = match key {
                    Key::Text => Value::String(text.to_owned()),
                    // May hold secrets, and so may what the parser says of it.
                    Key::Entries(_) => serde_yaml::from_str(text).map_err(|_| "is not a list in JSON or YAML".to_owned())?,
                    _ => serde_yaml::from_str(text).map_err(|error| format!("`{text}`: {error}"))?,
                };
                let leaf = Mapping::from_iter([(Value::from(part), value)]);
                return Ok(sections.iter().rev().fold(leaf, |below, section| {
                    Mapping::from_iter([(Value::from(*section), Value::Mapping(below))])
                }));
            }
        }
    }
    Err("names no key".to_owned())
}

/// `over` wins, key by key.
fn merge(document: &mut Mapping, over: Mapping) {
    for (key, value) in over {
        match (document.get_mut(&key), value) {
            (Some(Value::Mapping(below)), Value::Mapping(over)) => merge(below, over),
            (_, value) => {
                document.insert(key, value);
            }
        }
    }
}
