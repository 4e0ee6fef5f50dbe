//! Our own spelling of a definition: strict YAML.

use super::beside::Beside;
use super::check;
use super::column_syntax::column;
use super::cursor::Cursor;
use super::format_syntax;
use super::node::{Node, Problem};
use super::promises::{self, PARTITIONINGS};
use super::{BadRecords, Compat, DefinitionError, Format, JsonFormat, KinesisOverrides, Partitioning, Start, TableDefinition};
use crate::Compression;

const TABLE_KEYS: &[&str] = &[
    "table",
    "schema",
    "stream",
    "format",
    "compression",
    "start",
    "bad_records",
    "compat",
    "partitioning",
    "partition_key",
    "event_time",
    "columns",
    "comment",
    "kinesis",
    "history",
];
const KINESIS_KEYS: &[&str] = &["region", "endpoint", "profile", "role_arn", "external_id", "session_name"];
pub(super) const COMPATS: &[(&str, Compat)] = &[("none", Compat::None), ("presto", Compat::Presto)];
const BAD_RECORDS: &[(&str, BadRecords)] = &[
    ("null_row", BadRecords::NullRow),
    ("skip", BadRecords::Skip),
    ("fail", BadRecords::Fail),
];

pub(super) fn parse(text: &str, default_schema: &str, beside: &Beside) -> Result<TableDefinition, DefinitionError> {
    let node = Node::from_yaml(text)?;
    table(&Cursor::root(&node), default_schema, beside).map_err(|problem| problem.in_yaml(text))
}

fn table(root: &Cursor<'_>, default_schema: &str, beside: &Beside) -> Result<TableDefinition, Problem> {
    if *root.node == Node::Null {
        return Err(root.problem("the definition is empty"));
    }
    root.check_keys(TABLE_KEYS, &[])?;
    let name = check::table_name(&root.require("table")?, root.get("schema")?.as_ref(), default_schema)?;
    let stream = check::stream(&root.require("stream")?)?;
    let format = match root.get("format")? {
        Some(format) => format_syntax::format(&format, beside)?,
        None => Format::Json(JsonFormat::default()),
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
    match (&format, root.get("columns")?) {
        (Format::Dummy, Some(list)) if !list.items()?.is_empty() => {
            return Err(list.keyed_problem("a table of format dummy has hidden columns only"));
        }
        (Format::Dummy, _) => {}
        (_, None) => return Err(root.problem("key `columns` is missing")),
        (_, Some(list)) => {
            for item in list.items()? {
                column(&item, &format, &mut columns)?;
            }
        }
    }
    let compat = match root.get("compat")? {
        Some(compat) => compat.choice(COMPATS, &[])?,
        None => Compat::None,
    };
    let partitioning = match root.get("partitioning")? {
        Some(partitioning) => partitioning.choice(PARTITIONINGS, &[])?,
        None => Partitioning::Unknown,
    };
    let event_time = root
        .get("event_time")?
        .map(|place| promises::event_time(&place, &columns))
        .transpose()?;
    let partition_key = root
        .get("partition_key")?
        .map(|place| check::partition_key(&place, &columns))
        .transpose()?;
    let history = root
        .get("history")?
        .map(|place| place.non_empty_text().map(str::to_owned))
        .transpose()?;
    if let (Some(_), Some(start)) = (&history, root.get("start")?) {
        return Err(start.keyed_problem("a table with `history` begins where that begins; leave `start` out"));
    }
    Ok(TableDefinition {
        name,
        stream,
        format,
        compression,
        start,
        bad_records,
        compat,
        partitioning,
        partition_key,
        event_time,
        columns,
        comment: check::text_at(root, "comment")?,
        kinesis: root.get("kinesis")?.map(|overrides| kinesis(&overrides)).transpose()?,
        history,
    })
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
