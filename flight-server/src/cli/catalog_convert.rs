//! `shardflight catalog convert`: a Presto or Trino table description as our YAML.

use std::path::Path;

use anyhow::{Context, bail};
use catalog::{DEFAULT_SCHEMA, TableDefinition};

use super::catalog_check::place;
use super::stdout;

/// Writes the definition to stdout.
pub(super) fn run(file: &Path) -> anyhow::Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    match TableDefinition::from_presto_json(&text, DEFAULT_SCHEMA) {
        Ok(definition) => Ok(stdout::write(definition.to_yaml().as_bytes())?),
        Err(error) => bail!("{}: {}", place(file, &error), error.message),
    }
}
