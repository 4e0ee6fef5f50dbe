//! Options of `avro`.

use super::beside::Beside;
use super::cursor::Cursor;
use super::format::{AvroFormat, AvroFraming};
use super::node::{Node, Problem};

const FRAMINGS: &[(&str, AvroFraming)] = &[
    ("datum", AvroFraming::Datum),
    ("single_object", AvroFraming::SingleObject),
    ("container", AvroFraming::Container),
    ("confluent", AvroFraming::Confluent),
    ("glue", AvroFraming::Glue),
];

/// Files that the options name are read now.
pub(super) fn avro(options: &Cursor<'_>, beside: &Beside) -> Result<AvroFormat, Problem> {
    options.check_keys(&["framing", "schema", "schema_file", "registry"], &[])?;
    let framing = match options.get("framing")? {
        Some(framing) => framing.choice(FRAMINGS, &[])?,
        None => AvroFraming::Datum,
    };
    let schema = match (options.get("schema")?, options.get("schema_file")?) {
        (Some(_), Some(file)) => return Err(file.keyed_problem("give `schema` or `schema_file`, not both")),
        (Some(schema), None) => Some((schema_text(schema.node), schema)),
        (None, Some(file)) => {
            let text = String::from_utf8(beside.read(&file)?).map_err(|_| file.keyed_problem("the file is not UTF-8"))?;
            Some((schema_text(&Node::Text(text)), file))
        }
        (None, None) => None,
    };
    let registry = options.get("registry")?;
    let place = match (framing, &schema, &registry) {
        (AvroFraming::Datum, None, _) => return Err(options.keyed_problem("a datum alone needs its writer's `schema`, or a `schema_file`")),
        (AvroFraming::Datum, _, Some(registry)) => {
            return Err(registry.keyed_problem("a datum alone names no schema; choose another `framing`, or give its `schema`"));
        }
        (AvroFraming::Container, _, Some(place)) => {
            return Err(place.keyed_problem("containers bring their own schemas; `schema` is what INSERT writes them with"));
        }
        (AvroFraming::Confluent | AvroFraming::Glue, Some((_, place)), _) => {
            return Err(place.keyed_problem("headers name one of several schemas: give `registry`, a map or file of schemas by id"));
        }
        (AvroFraming::Confluent | AvroFraming::Glue | AvroFraming::SingleObject, None, None) => {
            return Err(options.keyed_problem("headers name a schema: give `registry`, a map or file of schemas by id"));
        }
        (_, Some((_, place)), _) | (_, None, Some(place)) => place.clone(),
        (AvroFraming::Container, None, None) => options.clone(),
    };
    let mut schemas: Vec<(String, String)> = schema.into_iter().map(|(text, _)| (String::new(), text)).collect();
    if let Some(registry) = &registry {
        let entries = entries(registry, beside)?.into_iter();
        match framing {
            // Fingerprints are the ids.
            AvroFraming::SingleObject => schemas.extend(entries.map(|(_, schema)| (String::new(), schema))),
            _ => schemas.extend(entries),
        }
    }
    let format = AvroFormat::new(framing, schemas);
    crate::decode::compile_avro(&format).map_err(|message| place.keyed_problem(message))?;
    Ok(format)
}

/// Schemas by id: in the definition, or in a file of JSON or YAML. A list has no ids.
fn entries(registry: &Cursor<'_>, beside: &Beside) -> Result<Vec<(String, String)>, Problem> {
    let from_file;
    let node = match registry.node {
        Node::Text(text) if text.starts_with("http://") || text.starts_with("https://") => {
            let body = beside.fetched(registry, &registry_url(text))?;
            let unreadable = |error: &dyn std::fmt::Display| registry.keyed_problem(format!("what is at the URL is not JSON: {error}"));
            let text = std::str::from_utf8(&body).map_err(|error| unreadable(&error))?;
            from_file = Node::from_json(text).map_err(|error| unreadable(&error))?;
            &from_file
        }
        Node::Text(_) => {
            let text = String::from_utf8(beside.read(registry)?).map_err(|_| registry.keyed_problem("the file is not UTF-8"))?;
            from_file = Node::from_json(&text)
                .or_else(|_| Node::from_yaml(&text))
                .map_err(|error| registry.keyed_problem(format!("the file is neither JSON nor YAML: {error}")))?;
            &from_file
        }
        here => here,
    };
    match node {
        Node::Map(entries) => Ok(entries.iter().map(|(id, schema)| (id.clone(), schema_text(schema))).collect()),
        Node::List(schemas) => Ok(schemas
            .iter()
            .map(|schema| listed(schema).unwrap_or_else(|| (String::new(), schema_text(schema))))
            .collect()),
        other => Err(registry.keyed_problem(format!("expected a map of schemas by id, found {}", other.described()))),
    }
}

/// A registry of Confluent's kind, of which only the host is named, lists its schemas at `/schemas`.
fn registry_url(text: &str) -> String {
    let trimmed = text.trim_end_matches('/');
    match trimmed.split_once("://") {
        Some((_, rest)) if !rest.contains(['/', '?']) => format!("{trimmed}/schemas"),
        _ => text.to_owned(),
    }
}

/// An element of such a list: `{"subject": …, "version": …, "id": 7, "schema": "…"}`.
fn listed(element: &Node) -> Option<(String, String)> {
    let Node::Map(entries) = element else { return None };
    let value = |wanted: &str| entries.iter().find(|(key, _)| key == wanted).map(|(_, value)| value);
    match (value("id")?, value("schema")?) {
        (Node::Number(id), schema) => Some((id.clone(), schema_text(schema))),
        _ => None,
    }
}

/// A schema as JSON text, which it may be written as, or as what that text says.
fn schema_text(node: &Node) -> String {
    match node {
        Node::Text(text) if text.trim_start().starts_with(['{', '[', '"']) => text.clone(),
        other => json(other).to_string(),
    }
}

fn json(node: &Node) -> serde_json::Value {
    use serde_json::Value;
    match node {
        Node::Null => Value::String("null".to_owned()),
        Node::Boolean(value) => Value::Bool(*value),
        Node::Number(text) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.clone())),
        Node::Text(text) => Value::String(text.clone()),
        Node::List(items) => Value::Array(items.iter().map(json).collect()),
        Node::Map(entries) => Value::Object(entries.iter().map(|(key, value)| (key.clone(), json(value))).collect()),
    }
}
