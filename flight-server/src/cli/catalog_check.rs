//! `shardflight catalog check`: definitions are judged without a server.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use catalog::{Definition, DefinitionError, TableDefinition};

use super::registry::OnceEach;
use super::stdout;

/// Schema of definitions that name none.
const DEFAULT_SCHEMA: &str = "default";

/// One line for each definition on stdout, good or bad. Fails if one is bad. Schemas at URLs are fetched, and are part of what is judged.
pub(super) async fn run(path: &Path) -> anyhow::Result<()> {
    let files = definitions(path)?;
    if files.is_empty() {
        bail!("{}: no definition (*.yaml, *.yml, *.json) is here", path.display());
    }
    let registries = OnceEach::new()?;
    let mut report = String::new();
    let mut bad = 0;
    let mut owners = BTreeMap::new();
    for file in &files {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let is_json = file.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let judged = if is_json {
            TableDefinition::from_presto_json(&text, DEFAULT_SCHEMA).map(Definition::Stream)
        } else {
            let directory = file.parent().unwrap_or(Path::new("."));
            Definition::from_yaml_fetched(&text, DEFAULT_SCHEMA, directory, &registries).await
        };
        let judged = judged.and_then(|definition| match owners.insert(definition.name().clone(), file) {
            None => Ok(definition),
            Some(first) => Err(DefinitionError {
                line: None,
                column: None,
                message: format!("table {} is already defined by {}", definition.name(), first.display()),
            }),
        });
        match judged {
            Ok(definition) => {
                let (over, columns) = match &definition {
                    Definition::Stream(table) => (format!("stream {}", table.stream), table.columns.len()),
                    Definition::Files(table) => (format!("files in {}", table.location), table.columns.len()),
                };
                let (file, name) = (file.display(), definition.name());
                writeln!(report, "{file}: ok: kinesis.{name} over {over}, {columns} columns")?;
            }
            Err(error) => {
                bad += 1;
                writeln!(report, "{}: {}", place(file, &error), error.message)?;
            }
        }
    }
    stdout::write(report.as_bytes())?;
    if bad > 0 {
        bail!("{bad} of {} definitions cannot be used", files.len());
    }
    Ok(())
}

pub(super) fn place(file: &Path, error: &DefinitionError) -> String {
    match (error.line, error.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}", file.display()),
        (Some(line), None) => format!("{}:{line}", file.display()),
        _ => file.display().to_string(),
    }
}

fn definitions(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let context = || format!("cannot read {}", path.display());
    if !std::fs::metadata(path).with_context(context)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).with_context(context)? {
        let file = entry.with_context(context)?.path();
        let extension = file.extension().and_then(|extension| extension.to_str());
        if file.is_file() && matches!(extension, Some("yaml" | "yml" | "json")) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}
