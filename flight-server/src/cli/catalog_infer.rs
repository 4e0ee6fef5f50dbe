//! `shardflight catalog infer`: a definition proposed from a sample.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use catalog::{DEFAULT_SCHEMA, DefinitionError, TableDefinition};
use serde_yaml::{Mapping, Value};

use super::args::InferArgs;
use super::catalog_check::place;
use super::registry::OnceEach;
use super::{local_engine, stdout};
use crate::engine::{Principal, placeholder};

/// Writes the definition to stdout, and what it rests on to stderr.
pub(super) async fn run(args: &InferArgs) -> anyhow::Result<()> {
    let base = match &args.merge {
        None => None,
        Some(file) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
            let is_json = file.as_os_str().as_encoded_bytes().ends_with(b"json");
            let directory = file.parent().unwrap_or(Path::new("."));
            let read = match is_json {
                true => TableDefinition::from_presto_json(&text, DEFAULT_SCHEMA),
                false => read_yaml(&text, directory, &OnceEach::new()?).await,
            };
            match read {
                Ok(definition) => Some((definition, (!is_json).then_some(text))),
                Err(error) => bail!("{}: {}", place(file, &error), error.message),
            }
        }
    };
    let directory = local_engine::directory()?;
    let config = local_engine::configuration(&args.reach, directory.path())?;
    let (engine, readers) = local_engine::engine(&config)?;
    let sample = usize::try_from(args.sample.get()).unwrap_or(usize::MAX);
    let table = args.table.clone().unwrap_or_else(|| table_name(&args.stream));
    let principal = Principal::anonymous().to_string();
    let base = base.as_ref().map(|(definition, text)| (&**definition, text.clone()));
    let proposed = engine.propose(&principal, &args.stream, &table, base, sample).await;
    readers.shutdown().await;
    let proposal = proposed?;
    tracing::info!(
        records = proposal.records,
        unreadable = proposal.unreadable,
        "inferred from a sample: later records may differ"
    );
    if let Some(reason) = &proposal.reason {
        tracing::warn!(
            unreadable = proposal.unreadable,
            "records that are not of the format; the first: {reason}"
        );
    }
    if !proposal.unseen.is_empty() {
        tracing::warn!(
            columns = proposal.unseen.join(", "),
            "no record of the sample has a value: the types are guesses"
        );
    }
    Ok(stdout::write(proposal.yaml.as_bytes())?)
}

/// A definition, which need not have columns yet.
async fn read_yaml(text: &str, directory: &Path, registries: &OnceEach) -> Result<Arc<TableDefinition>, DefinitionError> {
    let mut document = match serde_yaml::from_str::<Mapping>(text) {
        Ok(document) if !document.contains_key("columns") => document,
        _ => return TableDefinition::from_yaml_fetched(text, DEFAULT_SCHEMA, directory, registries).await,
    };
    let column = placeholder(&document);
    document.insert("columns".into(), vec![Value::from(column)].into());
    let Ok(with_column) = serde_yaml::to_string(&document) else {
        return TableDefinition::from_yaml_fetched(text, DEFAULT_SCHEMA, directory, registries).await;
    };
    let read = TableDefinition::from_yaml_fetched(&with_column, DEFAULT_SCHEMA, directory, registries).await?;
    Ok(Arc::new(TableDefinition {
        columns: Vec::new(),
        ..TableDefinition::clone(&read)
    }))
}

/// The stream's name, such that it needs no quotes in SQL.
pub(super) fn table_name(stream: &str) -> String {
    let name = stream.rsplit('/').next().unwrap_or(stream).to_lowercase();
    let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    match name.starts_with(|c: char| c.is_ascii_digit()) {
        true => format!("s_{name}"),
        false => name,
    }
}
