//! A definition as our YAML, such that reading it gives the definition again.

use std::time::Duration;

use serde_yaml::{Mapping, Value};

use super::column_syntax::has_paths;
use super::write_format::{format, raw_keys};
use super::{BadRecords, ColumnDefinition, Compat, Format, KinesisOverrides, Partitioning, Start, TableDefinition};
use crate::Compression;

impl TableDefinition {
    /// Our YAML spelling: what [`Self::from_yaml`] reads as this definition. Defaults are left out, but for the format.
    pub fn to_yaml(&self) -> String {
        serde_yaml::to_string(&tree(self)).unwrap_or_else(|error| format!("# cannot be written: {error}\n"))
    }
}

fn tree(definition: &TableDefinition) -> Mapping {
    let mut keys = Keys::default();
    keys.text("table", &definition.name.table);
    keys.text("schema", &definition.name.schema);
    keys.text("stream", &definition.stream);
    keys.some("comment", definition.comment.as_ref());
    keys.value("format", format(&definition.format));
    if definition.compression != Compression::Auto {
        keys.text("compression", &definition.compression.to_string());
    }
    if definition.start != Start::TrimHorizon {
        keys.text("start", &definition.start.to_string());
    }
    match definition.bad_records {
        BadRecords::NullRow => {}
        BadRecords::Skip => keys.text("bad_records", "skip"),
        BadRecords::Fail => keys.text("bad_records", "fail"),
    }
    match definition.compat {
        Compat::None => {}
        Compat::Presto => keys.text("compat", "presto"),
    }
    match definition.partitioning {
        Partitioning::Unknown => {}
        Partitioning::PartitionKey => keys.text("partitioning", "partition_key"),
    }
    keys.some("partition_key", definition.partition_key.as_ref());
    if let Some(promise) = &definition.event_time
        && let Some(column) = definition.columns.get(promise.column)
    {
        let mut event_time = Keys::default();
        event_time.text("column", &column.name);
        event_time.text("early", &duration(promise.early));
        event_time.text("late", &duration(promise.late));
        keys.value("event_time", event_time.0.into());
    }
    keys.some("history", definition.history.as_ref());
    if let Some(kinesis) = &definition.kinesis {
        keys.value("kinesis", overrides(kinesis).into());
    }
    if definition.format != Format::Dummy {
        let columns: Vec<Value> = definition.columns.iter().map(|of| column(of, &definition.format).into()).collect();
        keys.value("columns", columns.into());
    }
    keys.0
}

fn column(column: &ColumnDefinition, format: &Format) -> Mapping {
    let mut keys = Keys::default();
    keys.text("name", &column.name);
    match (&column.raw, column.index) {
        (Some(raw), _) => raw_keys(raw, &mut keys),
        (None, Some(index)) => keys.value("index", index.into()),
        (None, None) if has_paths(format) => keys.text("path", &path(&column.path)),
        (None, None) => keys.text("path", &column.path.concat()),
    }
    keys.text("type", &column.column_type.to_string());
    keys.some("format", column.format.as_ref().map(ToString::to_string).as_ref());
    if column.hidden {
        keys.value("hidden", true.into());
    }
    keys.some("comment", column.comment.as_ref());
    keys.0
}

/// As `path:` is written: `/` for the whole document; `~0` is `~` and `~1` is `/` in a key (RFC 6901).
pub(super) fn path(keys: &[String]) -> String {
    if keys.is_empty() {
        return "/".to_owned();
    }
    let escaped: Vec<String> = keys.iter().map(|key| key.replace('~', "~0").replace('/', "~1")).collect();
    escaped.join("/")
}

fn overrides(kinesis: &KinesisOverrides) -> Mapping {
    let mut keys = Keys::default();
    keys.some("region", kinesis.region.as_ref());
    keys.some("endpoint", kinesis.endpoint.as_ref());
    keys.some("profile", kinesis.profile.as_ref());
    keys.some("role_arn", kinesis.role_arn.as_ref());
    keys.some("external_id", kinesis.external_id.as_ref());
    keys.some("session_name", kinesis.session_name.as_ref());
    keys.0
}

/// As ages are written, in the largest units that are exact enough.
fn duration(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

/// A map in the order in which it is filled.
#[derive(Default)]
pub(super) struct Keys(pub(super) Mapping);

impl Keys {
    pub(super) fn value(&mut self, key: &str, value: Value) {
        self.0.insert(key.into(), value);
    }

    pub(super) fn text(&mut self, key: &str, text: &str) {
        self.value(key, text.into());
    }

    pub(super) fn some(&mut self, key: &str, text: Option<&String>) {
        if let Some(text) = text {
            self.text(key, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let all = r##"
table: t
schema: web
stream: arn:aws:kinesis:eu-west-1:123456789012:stream/s
comment: 'yes: "#1"'
format: json
compression: base64+gzip
compat: presto
start: -90m
bad_records: fail
partitioning: partition_key
partition_key: Whole
event_time: { column: at, early: 1500ms, late: 1h }
kinesis: { region: eu-west-1, endpoint: 'https://h:1/', profile: p, role_arn: r, external_id: 'true', session_name: '12' }
columns:
  - { name: at, path: a~1b/~0c/0, type: timestamp(us), format: '%d/%b/%Y %H:%M:%S', hidden: true, comment: '~' }
  - { name: Whole, path: /, type: varchar }
  - { name: 'null', path: '1e3', type: bigint }
  - { name: deep, type: 'row<a array<map<varchar, decimal(10,2)>>, "b ""c" json>' }
  - { name: when, type: timestamp(ms) with time zone, format: milliseconds-since-epoch }
"##;
        let definition = TableDefinition::from_yaml(all).unwrap();
        let written = definition.to_yaml();
        assert_eq!(TableDefinition::from_yaml_in(&written, "other").unwrap(), definition, "{written}");
        let column = "table: t\nstream: s\ncolumns:\n  - { name: a, type: bigint }\n";
        for format in [
            "ndjson",
            "json: { rows: values }",
            "json: { elements_of: a/b~1c }",
            "csv",
            "csv: { delimiter: tab, quote: none, header: false, null: '-', trim: true, comment: '#' }",
            "csv: { escape: '\\', delimiter: ';' }",
            "cloudwatch_logs",
            "cloudevents",
            "regex: { pattern: '^(?<a>[0-9]+) \"(.*)\"$' }",
            "avro: { schema: '{\"type\":\"record\",\"name\":\"r\",\"fields\":[{\"name\":\"a\",\"type\":\"long\"}]}' }",
            "avro: { framing: container }",
        ] {
            let format = if format.contains(' ') {
                format!("{{ {format} }}")
            } else {
                format.to_owned()
            };
            let definition = TableDefinition::from_yaml(&format!("{column}format: {format}\n")).unwrap();
            assert_eq!(
                TableDefinition::from_yaml(&definition.to_yaml()).unwrap(),
                definition,
                "{}",
                definition.to_yaml()
            );
        }
        let header = "table: t\nstream: s\nformat: { csv: { header: true } }\ncolumns:\n  - { name: a, path: 'x/~y', type: bigint }\n  - { name: b, index: 7, type: bigint }\n";
        let definition = TableDefinition::from_yaml(header).unwrap();
        assert_eq!(TableDefinition::from_yaml(&definition.to_yaml()).unwrap(), definition);
        let raw = "table: t\nstream: s\nformat: { raw: { endian: little } }\ncolumns:\n  - { name: a, bytes: '0:4', encoding: int, endian: big, type: bigint }\n  - { name: b, bytes: '4', type: varchar }\n";
        let definition = TableDefinition::from_yaml(raw).unwrap();
        assert_eq!(TableDefinition::from_yaml(&definition.to_yaml()).unwrap(), definition);
        for lines in ["clf", "combined"] {
            let text = format!("table: t\nstream: s\nformat: {lines}\ncolumns:\n  - {{ name: h, path: host, type: varchar }}\n");
            let definition = TableDefinition::from_yaml(&text).unwrap();
            assert_eq!(TableDefinition::from_yaml(&definition.to_yaml()).unwrap(), definition);
        }
        let dummy = TableDefinition::from_yaml("table: d\nstream: s\nformat: dummy\n").unwrap();
        assert_eq!(TableDefinition::from_yaml(&dummy.to_yaml()).unwrap(), dummy);
    }

    proptest! {
        #[test]
        fn any_text_survives(key in "\\PC{1,12}", comment in any::<String>(), name in "[a-z][ -~]{0,8}") {
            let mut definition = TableDefinition::clone(
                &TableDefinition::from_yaml("table: t\nstream: s\ncolumns:\n  - { name: a, type: bigint }\n").unwrap(),
            );
            definition.comment = Some(comment);
            definition.columns[0].name = name;
            definition.columns[0].path = vec![key];
            let written = definition.to_yaml();
            let read = TableDefinition::from_yaml(&written);
            prop_assert_eq!(read.map(|read| TableDefinition::clone(&read)), Ok(definition), "{}", written);
        }
    }
}
