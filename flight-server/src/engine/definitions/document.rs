//! A definition as the document that its file holds, made and shown by statements.

use std::fmt::Write;

use catalog::{InferredColumn, TableDefinition};
use serde_yaml::{Mapping, Value};

use super::super::error::EngineError;
use super::super::sql::{DdlColumn, Literal};

/// Keys that the statement says elsewhere.
const OWN_CLAUSES: [&str; 4] = ["table", "schema", "stream", "columns"];
/// Keys by which a definition names files or addresses, which are read with the server's rights.
const OF_FILES: [&str; 3] = ["schema_file", "descriptor", "registry"];

pub(in super::super) fn value(literal: &Literal) -> Value {
    match literal {
        Literal::Text(text) => Value::from(text.as_str()),
        Literal::Boolean(flag) => Value::from(*flag),
        Literal::Number(digits) => digits
            .parse::<i64>()
            .map(Value::from)
            .or_else(|_| digits.parse::<f64>().map(Value::from))
            .unwrap_or_else(|_| Value::from(digits.as_str())),
    }
}

/// Sets keys; dots lead into maps. Shorter keys are set first, so that `format 'csv'` and `format.csv.header true` go together in any order.
pub(super) fn set_all(document: &mut Mapping, options: &[(String, Literal)]) -> Result<(), EngineError> {
    let mut options: Vec<_> = options.iter().collect();
    options.sort_by_key(|(key, _)| key.matches('.').count());
    for (key, literal) in options {
        let key = key.as_str();
        if OWN_CLAUSES.contains(&key) {
            return Err(EngineError::Invalid(format!(
                "option `{key}`: the statement says that outside of OPTIONS"
            )));
        }
        if names_a_file(key) {
            return Err(EngineError::Denied(format!(
                "option `{key}`: files and addresses are not given by statements, they belong into a definition file"
            )));
        }
        if !set(document, key, value(literal)) {
            return Err(EngineError::Invalid(format!(
                "option `{key}` is given twice, or contradicts another"
            )));
        }
    }
    Ok(())
}

fn set(document: &mut Mapping, key: &str, value: Value) -> bool {
    let Some((head, rest)) = key.split_once('.') else {
        let free = !document.contains_key(key);
        if free {
            document.insert(key.into(), value);
        }
        return free;
    };
    let inner = document.entry(head.into()).or_insert_with(|| Mapping::new().into());
    if let Value::String(word) = inner
        && rest.split_once('.').is_some_and(|(name, _)| name == word)
    {
        // A word alone is the same word without options.
        let mut map = Mapping::new();
        map.insert(word.as_str().into(), Mapping::new().into());
        *inner = map.into();
    }
    match inner {
        Value::Mapping(inner) => set(inner, rest, value),
        _ => false,
    }
}

pub(super) fn column(column: &DdlColumn) -> Result<Mapping, EngineError> {
    let mut document = Mapping::new();
    document.insert("name".into(), column.name.as_str().into());
    document.insert("type".into(), column.column_type.as_str().into());
    for (key, literal) in &column.keys {
        if document.contains_key(key.as_str()) {
            return Err(EngineError::Invalid(format!("column `{}`: {key} is given twice", column.name)));
        }
        document.insert(key.as_str().into(), value(literal));
    }
    if !document.contains_key("path") && column.name.contains(['/', '~']) {
        document.insert("path".into(), escaped(&column.name).into());
    }
    Ok(document)
}

/// A format that a statement gives as YAML: `csv`, `{ csv: { header: true } }`.
pub(super) fn format_of_text(text: &str) -> Result<Value, EngineError> {
    let format: Value =
        serde_yaml::from_str(text).map_err(|error| EngineError::Invalid(format!("format `{text}` is not YAML: {error}")))?;
    let mut inside = vec![&format];
    while let Some(value) = inside.pop() {
        match value {
            Value::Mapping(map) => {
                if let Some(key) = map.keys().filter_map(Value::as_str).find(|key| OF_FILES.contains(key)) {
                    return Err(EngineError::Denied(format!(
                        "`{key}` in a format: files and addresses are not given by statements, they belong into a definition file"
                    )));
                }
                inside.extend(map.values());
            }
            Value::Sequence(items) => inside.extend(items),
            Value::Tagged(tagged) => inside.push(&tagged.value),
            _ => {}
        }
    }
    Ok(format)
}

/// The name of a document's format.
pub(super) fn format(document: &Mapping) -> Option<&str> {
    match document.get("format") {
        Some(Value::Mapping(named)) => named.keys().next().and_then(Value::as_str),
        other => other.and_then(Value::as_str),
    }
}

/// A column in the place of those that are not known yet: one that any definition of the format may have.
pub(crate) fn placeholder(document: &Mapping) -> Mapping {
    let mut column = Mapping::new();
    match format(document).map(str::to_ascii_lowercase).as_deref() {
        Some("avro" | "protobuf") => {
            column.insert("name".into(), "value".into());
            column.insert("path".into(), "/".into());
            column.insert("type".into(), "json".into());
        }
        // Log lines have parts of certain names only.
        _ => {
            column.insert("name".into(), "host".into());
            column.insert("type".into(), "varchar".into());
        }
    }
    column
}

/// `in_documents`: paths lead into documents, rather than being names.
pub(super) fn inferred_column(column: &InferredColumn, in_documents: bool) -> Mapping {
    let mut document = Mapping::new();
    document.insert("name".into(), column.name.as_str().into());
    match column.index {
        Some(index) => document.insert("index".into(), index.into()),
        None => document.insert("path".into(), path(column, in_documents).into()),
    };
    document.insert("type".into(), column.column_type.as_str().into());
    if let Some(format) = &column.format {
        document.insert("format".into(), format.as_str().into());
    }
    document
}

fn path(column: &InferredColumn, in_documents: bool) -> String {
    if !in_documents {
        return column.path.concat();
    }
    let keys: Vec<String> = column.path.iter().map(|key| escaped(key)).collect();
    match keys.is_empty() {
        true => "/".to_owned(),
        false => keys.join("/"),
    }
}

/// A key in a path (RFC 6901).
fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

pub(super) fn to_yaml(document: &Mapping) -> Result<String, EngineError> {
    serde_yaml::to_string(document).map_err(|error| EngineError::Internal(format!("a definition cannot be written: {error}")))
}

/// The document of a definition: that of its file, or where the file is no YAML, one that says the same.
pub(super) fn of(definition: &TableDefinition, file: Option<String>) -> Result<Mapping, EngineError> {
    let text = file.unwrap_or_else(|| definition.to_yaml());
    serde_yaml::from_str(&text).map_err(|error| EngineError::Internal(format!("a written definition cannot be read: {error}")))
}

/// The statement that makes the definition.
pub(super) fn statement(definition: &TableDefinition, document: &Mapping) -> Result<String, EngineError> {
    let mut sql = format!(
        "CREATE EXTERNAL TABLE {}.{}",
        identifier(&definition.name.schema),
        identifier(&definition.name.table)
    );
    let mut failed = Ok(());
    let mut add = |text: std::fmt::Arguments<'_>| {
        if let Err(error) = sql.write_fmt(text) {
            failed = Err(EngineError::Internal(error.to_string()));
        }
    };
    if let Some(Value::Sequence(columns)) = document.get("columns")
        && !columns.is_empty()
    {
        let columns = columns.iter().filter_map(Value::as_mapping).map(column_clause);
        let columns = columns.collect::<Result<Vec<String>, _>>()?;
        add(format_args!(" (\n  {}\n)", columns.join(",\n  ")));
    }
    add(format_args!(
        "\nSTORED AS KINESIS\nLOCATION {}",
        quoted(&format!("kinesis://{}", definition.stream))
    ));
    if let Some(comment) = &definition.comment {
        add(format_args!("\nCOMMENT {}", quoted(comment)));
    }
    let mut options = Vec::new();
    for (key, value) in document {
        let key = key.as_str().unwrap_or_default();
        if !OWN_CLAUSES.contains(&key) && key != "comment" {
            flatten(key, value, &mut options)?;
        }
    }
    // What files alone may say is nobody's to read either: an external id is as good as a password.
    let shown = |key: &str| key == "kinesis.region" || !(key.starts_with("kinesis.") || names_a_file(key));
    let options: Vec<String> = options
        .into_iter()
        .filter(|(key, _)| shown(key))
        .map(|(key, value)| format!("{key} {value}"))
        .collect();
    if !options.is_empty() {
        add(format_args!("\nOPTIONS (\n  {}\n)", options.join(",\n  ")));
    }
    failed.map(|()| sql)
}

fn column_clause(column: &Mapping) -> Result<String, EngineError> {
    let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default();
    let name = text("name");
    let mut clause = format!("{} {}", identifier(name), text("type"));
    for (key, value) in column {
        match (key.as_str().unwrap_or_default(), value) {
            ("name" | "type", _) => {}
            ("path", Value::String(path)) if *path == escaped(name) => {}
            (key, Value::Bool(true)) => clause += &format!(" {}", key.to_uppercase()),
            (_, Value::Bool(false)) => {}
            (key, value) => clause += &format!(" {} {}", key.to_uppercase(), literal(value)?),
        }
    }
    Ok(clause)
}

fn names_a_file(key: &str) -> bool {
    key.rsplit('.').next().is_some_and(|last| OF_FILES.contains(&last))
}

fn flatten(key: &str, value: &Value, options: &mut Vec<(String, String)>) -> Result<(), EngineError> {
    match value {
        Value::Mapping(inner) => {
            for (name, value) in inner {
                flatten(&format!("{key}.{}", name.as_str().unwrap_or_default()), value, options)?;
            }
        }
        value => options.push((key.to_owned(), literal(value)?)),
    }
    Ok(())
}

fn literal(value: &Value) -> Result<String, EngineError> {
    Ok(match value {
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        other => {
            let written = serde_yaml::to_string(other);
            quoted(
                written
                    .map_err(|error| EngineError::Internal(format!("a definition cannot be written: {error}")))?
                    .trim(),
            )
        }
    })
}

pub(in super::super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

pub(in super::super) fn identifier(name: &str) -> String {
    let mut characters = name.chars();
    let plain = characters.next().is_some_and(|c| c.is_ascii_lowercase() || c == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    match plain {
        true => name.to_owned(),
        false => format!("\"{}\"", name.replace('"', "\"\"")),
    }
}
