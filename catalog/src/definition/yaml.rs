//! Our own spelling of a definition: strict YAML.

use super::check::{self, ColumnPlaces};
use super::cursor::Cursor;
use super::node::{Node, Problem};
use super::promises::{self, PARTITIONINGS};
use super::{BadRecords, ColumnDefinition, ColumnType, DefinitionError, Format, KinesisOverrides, Partitioning, Start, TableDefinition};
use crate::Compression;

const TABLE_KEYS: &[&str] = &[
    "table",
    "schema",
    "stream",
    "format",
    "compression",
    "start",
    "bad_records",
    "partitioning",
    "event_time",
    "columns",
    "comment",
    "kinesis",
];
const COLUMN_KEYS: &[&str] = &["name", "path", "type", "format", "hidden", "comment"];
const KINESIS_KEYS: &[&str] = &["region", "endpoint", "profile", "role_arn", "external_id", "session_name"];
const FORMATS: &[(&str, Format)] = &[("json", Format::Json), ("dummy", Format::Dummy)];
const FORMATS_LATER: &[&str] = &[
    "ndjson",
    "csv",
    "raw",
    "avro",
    "protobuf",
    "clf",
    "regex",
    "cloudwatch_logs",
    "cloudevents",
];
const BAD_RECORDS: &[(&str, BadRecords)] = &[
    ("null_row", BadRecords::NullRow),
    ("skip", BadRecords::Skip),
    ("fail", BadRecords::Fail),
];

pub(super) fn parse(text: &str, default_schema: &str) -> Result<TableDefinition, DefinitionError> {
    let node = Node::from_yaml(text)?;
    table(&Cursor::root(&node), default_schema).map_err(|problem| problem.in_yaml(text))
}

fn table(root: &Cursor<'_>, default_schema: &str) -> Result<TableDefinition, Problem> {
    if *root.node == Node::Null {
        return Err(root.problem("the definition is empty"));
    }
    root.check_keys(TABLE_KEYS, &[])?;
    let name = check::table_name(&root.require("table")?, root.get("schema")?.as_ref(), default_schema)?;
    let stream = check::stream(&root.require("stream")?)?;
    let format = match root.get("format")? {
        Some(format) => format.choice(FORMATS, FORMATS_LATER)?,
        None => Format::Json,
    };
    let compression = match root.get("compression")? {
        Some(compression) => compression
            .text()?
            .parse()
            .map_err(|message: String| compression.keyed_problem(message))?,
        None => Compression::Auto,
    };
    let start = match root.get("start")? {
        Some(start) => start.text()?.parse().map_err(|message: String| start.keyed_problem(message))?,
        None => Start::TrimHorizon,
    };
    let bad_records = match root.get("bad_records")? {
        Some(policy) => policy.choice(BAD_RECORDS, &[])?,
        None => BadRecords::NullRow,
    };
    let mut columns = Vec::new();
    match (format, root.get("columns")?) {
        (Format::Json, None) => return Err(root.problem("key `columns` is missing")),
        (Format::Json, Some(list)) => {
            for item in list.items()? {
                column(&item, &mut columns)?;
            }
        }
        (Format::Dummy, Some(list)) if !list.items()?.is_empty() => {
            return Err(list.keyed_problem("a table of format dummy has hidden columns only"));
        }
        (Format::Dummy, _) => {}
    }
    let partitioning = match root.get("partitioning")? {
        Some(partitioning) => partitioning.choice(PARTITIONINGS, &[])?,
        None => Partitioning::Unknown,
    };
    let event_time = root
        .get("event_time")?
        .map(|place| promises::event_time(&place, &columns))
        .transpose()?;
    Ok(TableDefinition {
        name,
        stream,
        format,
        compression,
        start,
        bad_records,
        partitioning,
        event_time,
        columns,
        comment: comment(root)?,
        kinesis: root.get("kinesis")?.map(|overrides| kinesis(&overrides)).transpose()?,
    })
}

fn column(item: &Cursor<'_>, columns: &mut Vec<ColumnDefinition>) -> Result<(), Problem> {
    item.check_keys(COLUMN_KEYS, &[])?;
    let name = item.require("name")?;
    let column_type = item.require("type")?;
    let path = item.get("path")?;
    let format = item.get("format")?;
    let column = ColumnDefinition {
        name: name.text()?.to_owned(),
        path: match &path {
            Some(path) => check::path(path.text()?, true).map_err(|message| path.keyed_problem(message))?,
            None => vec![name.text()?.to_owned()],
        },
        column_type: ColumnType::parse(column_type.text()?).map_err(|message| column_type.keyed_problem(message))?,
        format: format
            .as_ref()
            .map(|format| format.non_empty_text().map(str::to_owned))
            .transpose()?,
        hidden: item.get("hidden")?.map(|hidden| hidden.boolean()).transpose()?.unwrap_or(false),
        comment: comment(item)?,
    };
    check::add_column(
        columns,
        column,
        &ColumnPlaces {
            column: item,
            name: &name,
            path: path.as_ref(),
            format: format.as_ref(),
        },
    )
}

fn comment(place: &Cursor<'_>) -> Result<Option<String>, Problem> {
    place.get("comment")?.map(|comment| comment.text().map(str::to_owned)).transpose()
}

fn kinesis(place: &Cursor<'_>) -> Result<KinesisOverrides, Problem> {
    place.check_keys(KINESIS_KEYS, &[])?;
    let text = |key: &str| place.get(key)?.map(|value| value.non_empty_text().map(str::to_owned)).transpose();
    Ok(KinesisOverrides {
        region: text("region")?,
        endpoint: text("endpoint")?,
        profile: text("profile")?,
        role_arn: text("role_arn")?,
        external_id: text("external_id")?,
        session_name: text("session_name")?,
    })
}
