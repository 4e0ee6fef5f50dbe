//! Formats whose records have the same fields everywhere.

use super::propose::InferredColumn;
use crate::{Format, LogLines};

/// Name in SQL, path, type.
type Column = (&'static str, &'static str, &'static str);

const LOG_LINES: &[Column] = &[
    ("host", "host", "varchar"),
    ("ident", "ident", "varchar"),
    ("user", "user", "varchar"),
    ("time", "time", "timestamp(s)"),
    ("request", "request", "varchar"),
    ("status", "status", "integer"),
    ("bytes", "bytes", "bigint"),
];
const COMBINED_TOO: &[Column] = &[("referer", "referer", "varchar"), ("user_agent", "user_agent", "varchar")];
/// As Amazon CloudWatch Logs documents the envelope of subscriptions.
const CLOUDWATCH_LOGS: &[Column] = &[
    ("owner", "owner", "varchar"),
    ("log_group", "logGroup", "varchar"),
    ("log_stream", "logStream", "varchar"),
    ("id", "id", "varchar"),
    ("timestamp", "timestamp", "timestamp(ms)"),
    ("message", "message", "varchar"),
];
/// The attributes of CloudEvents 1.0, and the payload.
const CLOUDEVENTS: &[Column] = &[
    ("id", "id", "varchar"),
    ("source", "source", "varchar"),
    ("type", "type", "varchar"),
    ("subject", "subject", "varchar"),
    ("time", "time", "timestamp(us) with time zone"),
    ("datacontenttype", "datacontenttype", "varchar"),
    ("dataschema", "dataschema", "varchar"),
    ("data", "data", "json"),
];

/// The columns of a format that has the same ones everywhere.
pub(super) fn columns(format: &Format) -> Option<Vec<InferredColumn>> {
    let (all, more) = match format {
        Format::LogLines(LogLines::Common) => (LOG_LINES, &[][..]),
        Format::LogLines(LogLines::Combined) => (LOG_LINES, COMBINED_TOO),
        Format::CloudWatchLogs => (CLOUDWATCH_LOGS, &[][..]),
        Format::CloudEvents => (CLOUDEVENTS, &[][..]),
        _ => return None,
    };
    let column = |(name, path, column_type): &Column| InferredColumn {
        name: (*name).to_owned(),
        path: vec![(*path).to_owned()],
        index: None,
        column_type: (*column_type).to_owned(),
        format: None,
        unseen: false,
    };
    Some(all.iter().chain(more).map(column).collect())
}
