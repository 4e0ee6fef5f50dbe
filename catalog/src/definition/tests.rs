use arrow::datatypes::{DataType, TimeUnit};

use super::*;

const ARTICLE_YAML: &str = include_str!("../../tests/data/nasahttp.yaml");
const ARTICLE_JSON: &str = include_str!("../../tests/data/nasahttp.json");

fn refused(yaml: &str) -> DefinitionError {
    TableDefinition::from_yaml(yaml).unwrap_err()
}

/// A definition with one more line.
fn with_line(line: &str) -> String {
    format!("table: t\nstream: s\n{line}\ncolumns:\n  - {{ name: a, type: bigint }}\n")
}

/// A definition with this column on line 4.
fn with_column(column: &str) -> String {
    format!("table: t\nstream: s\ncolumns:\n  - {column}\n")
}

#[test]
fn the_article_in_yaml() {
    let definition = TableDefinition::from_yaml(ARTICLE_YAML).unwrap();
    assert_eq!(
        definition.name,
        TableName {
            schema: "default".into(),
            table: "nasahttp".into()
        }
    );
    assert_eq!(definition.stream, "nasahttp");
    assert_eq!(
        (&definition.format, &definition.compression),
        (&Format::Json(JsonFormat::default()), &Compression::Auto)
    );
    assert_eq!(
        (definition.start, definition.bad_records),
        (Start::TrimHorizon, BadRecords::NullRow)
    );
    let columns: Vec<(&str, String, String)> = definition
        .columns
        .iter()
        .map(|c| (&*c.name, c.path.join("/"), c.column_type.to_string()))
        .collect();
    let expected = [
        ("host", "host", "varchar"),
        ("at", "timestamp", "timestamp(s)"),
        ("request", "request", "varchar"),
        ("code", "code", "bigint"),
        ("bytes", "bytes", "bigint"),
    ];
    assert_eq!(
        columns,
        expected.map(|(name, path, column_type)| (name, path.to_owned(), column_type.to_owned()))
    );
    let schema = definition.arrow_schema();
    assert_eq!(schema.field(1).data_type(), &DataType::Timestamp(TimeUnit::Second, None));
    assert_eq!(schema.field(2).metadata().get("comment").map(String::as_str), Some("request line"));
    assert!(schema.fields().iter().all(|field| field.is_nullable()));
}

#[test]
fn the_article_in_presto_json() {
    let yaml = TableDefinition::from_yaml(ARTICLE_YAML).unwrap();
    let json = TableDefinition::from_presto_json(ARTICLE_JSON, "other").unwrap();
    assert_eq!((&json.name, &json.stream, &json.format), (&yaml.name, &yaml.stream, &yaml.format));
    // The article reads the time as text and says nothing of the request; all else is the same.
    for (json, yaml) in json.columns.iter().zip(&yaml.columns) {
        assert_eq!((&json.name, &json.path), (&yaml.name, &yaml.path));
        assert!(json.column_type == yaml.column_type || json.name == "at");
    }
    let typed = ARTICLE_JSON.replace(
        r#""mapping":"timestamp","type":"VARCHAR""#,
        r#""mapping":"timestamp","type":"TIMESTAMP(0)","dataFormat":"custom-date-time","formatHint":"dd/MMM/yyyy:HH:mm:ss Z""#,
    );
    let typed = TableDefinition::from_presto_json(&typed, "other").unwrap();
    assert_eq!(
        typed.fingerprint(),
        yaml.fingerprint(),
        "both spellings of one table give the same rows"
    );
    assert_ne!(json.fingerprint(), yaml.fingerprint());
}

#[test]
fn every_key_is_read() {
    let definition = TableDefinition::from_yaml(
        "table: T\nschema: Web\nstream: arn:aws:kinesis:eu-west-1:123456789012:stream/clicks\nformat: JSON\ncompression: none\nstart: -24h\n\
         bad_records: fail\ncomment: clicks\nkinesis: { region: eu-west-1, endpoint: 'http://localhost:4567', profile: p, role_arn: r, external_id: e, session_name: n }\n\
         columns:\n  - name: Id\n    path: a/b~1c/~0d\n    type: INT\n    hidden: true\n    comment: key\n  - { name: doc, path: /, type: varchar(10) }\n",
    )
    .unwrap();
    assert_eq!(definition.name.to_string(), "web.t");
    assert_eq!(definition.compression, Compression::None);
    assert_eq!(definition.start, Start::Age(std::time::Duration::from_secs(86_400)));
    assert_eq!(definition.bad_records, BadRecords::Fail);
    assert_eq!(definition.comment.as_deref(), Some("clicks"));
    let kinesis = definition.kinesis.as_ref().unwrap();
    assert_eq!(kinesis.endpoint.as_deref(), Some("http://localhost:4567"));
    assert_eq!(kinesis.session_name.as_deref(), Some("n"));
    let id = &definition.columns[0];
    assert_eq!((&*id.name, id.hidden, id.comment.as_deref()), ("Id", true, Some("key")));
    assert_eq!(id.path, ["a", "b/c", "~d"]);
    assert!(definition.columns[1].path.is_empty());
}

#[test]
fn promises_are_read() {
    let plain = TableDefinition::from_yaml(&with_line("comment: c")).unwrap();
    assert_eq!((plain.partitioning, plain.event_time), (Partitioning::Unknown, None));
    let promised = "
table: t
stream: s
partitioning: partition_key
event_time: { column: At, early: 5m, late: 1h30m }
columns:
  - { name: a, type: bigint }
  - { name: at, type: timestamp(s), hidden: true }
  - { name: day, type: date }
";
    let definition = TableDefinition::from_yaml(promised).unwrap();
    assert_eq!(definition.partitioning, Partitioning::PartitionKey);
    let event_time = definition.event_time.unwrap();
    assert_eq!(
        (event_time.column, event_time.early.as_secs(), event_time.late.as_secs()),
        (1, 300, 5400)
    );
    // they decide what is read, not what rows look like
    assert_eq!(
        definition.fingerprint(),
        TableDefinition::from_yaml(&promised.replace("early: 5m", "early: 0s"))
            .unwrap()
            .fingerprint()
    );
    let day = TableDefinition::from_yaml(&promised.replace("column: At", "column: day")).unwrap();
    assert_eq!(day.event_time.unwrap().column, 2);
    for (from, to, why) in [
        ("early: 5m", "early: soon", "`soon` is not a duration"),
        ("early: 5m, ", "", "key `early` is missing"),
        (", late: 1h30m", "", "key `late` is missing"),
        ("late: 1h30m", "late: 1h30m, never: 1s", "unknown key `never`"),
        ("late: 1h30m", "late: 5", "expected text"),
    ] {
        let error = refused(&promised.replace(from, to));
        assert!(error.message.contains(why), "{error}");
        assert_eq!(error.line, Some(5), "{error}");
    }
}

#[test]
fn mistakes_are_found_where_they_stand() {
    // line and column counted by hand
    for (yaml, line, column, part) in [
        (with_line("strem: x"), 3, 1, "unknown key `strem`: did you mean `stream`?"),
        (with_line("event_time: a"), 3, 13, "event_time: expected a map"),
        (
            with_line("event_time: { column: b, early: 0s, late: 1h }"),
            3,
            23,
            "there is no column `b`",
        ),
        (
            with_line("event_time: { column: a, early: 0s, late: 1h }"),
            3,
            23,
            "`a` is a bigint",
        ),
        (with_line("partitioning: partition_keys"), 3, 15, "did you mean `partition_key`?"),
        (with_line("partition_key: b"), 3, 16, "there is no column `b`"),
        (with_line("partition_key: ''"), 3, 16, "partition_key"),
        (
            with_line("partition_key: a").replace("bigint", "array<bigint>"),
            3,
            16,
            "`a` is a array<bigint>: a partition key is a text",
        ),
        (
            with_line("partition_key: A").replace("bigint", "varbinary"),
            3,
            16,
            "`A` is a varbinary: a partition key is a text",
        ),
        (with_line("format: jsno"), 3, 9, "did you mean `json`?"),
        (
            with_line("compression: gzib"),
            3,
            14,
            "compression: unknown value `gzib`: did you mean `gzip`?",
        ),
        (with_line("compression: base64+lz4"), 3, 14, "unknown value `base64+lz4`"),
        (with_line("start: yesterday"), 3, 8, "start: `yesterday` is not a start"),
        (with_line("bad_records: ignore"), 3, 14, "null_row, skip, fail"),
        (with_line("schema: system"), 3, 9, "belongs to the server"),
        (with_line("schema: 12"), 3, 9, "put it in quotes"),
        (with_line("kinesis: { regoin: x }"), 3, 12, "did you mean `region`?"),
        (with_line("stream: again"), 3, 1, "given twice"),
        (with_column("{ name: a, type: bigin }"), 4, 22, "did you mean `bigint`?"),
        (with_line("format: { csv: {}, json: {} }"), 3, 9, "one format with its options"),
        (with_line("format: { jsn: {} }"), 3, 11, "did you mean `json`?"),
        (with_line("format: { json: { row: values } }"), 3, 19, "did you mean `rows`?"),
        (with_line("format: { json: { rows: line } }"), 3, 25, "did you mean `lines`?"),
        (with_line("format: { ndjson: { rows: values } }"), 3, 21, "unknown key `rows`"),
        (with_line("compat: hive"), 3, 9, "none, presto"),
        (with_column("{ name: a, type: decimal(10,2) }"), 4, 33, "needs quotes"),
        (
            with_column("{ name: a, type: \"decimal(10,20)\" }"),
            4,
            22,
            "as many after the point",
        ),
        (with_column("{ name: a, type: varbinary, format: '%Y' }"), 4, 41, "takes no format"),
        (
            with_column("{ name: a, type: varchar, format: hex }"),
            4,
            39,
            "how a varbinary is written",
        ),
        (with_column("{ name: a, type: time, format: '%H' }"), 4, 36, "complete time of day"),
        (with_column("{ name: a, type: time, format: rfc2822 }"), 4, 36, "not a time of day"),
        (with_column("{ name: a, type: bigint, index: 1 }"), 4, 30, "unknown key `index`"),
        (with_column("{ name: _message, type: varchar }"), 4, 13, "hidden column"),
        (with_column("{ name: _SHARD_ID, type: varchar }"), 4, 13, "hidden column"),
        (with_column("{ name: '', type: varchar }"), 4, 13, "must not be empty"),
        (with_column("{ name: a, type: double, format: '%Y' }"), 4, 38, "takes no format"),
        (with_column("{ name: a, type: bigint, format: '%Y' }"), 4, 38, "complete date"),
        (
            with_column("{ name: a, type: timestamp, format: '%Q' }"),
            4,
            41,
            "not a strftime pattern",
        ),
        (with_column("{ name: a, type: timestamp, format: '%H:%M' }"), 4, 41, "complete date"),
        (
            with_column("{ name: a, type: bigint, path: / }"),
            4,
            36,
            "the whole document (`/`) is a varchar, a json",
        ),
        (with_column("{ name: a, type: bigint, path: a~2 }"), 4, 36, "`~0`"),
        (with_column("{ name: a, typ: bigint }"), 4, 16, "did you mean `type`?"),
        (with_column("{ name: a }"), 4, 5, "key `type` is missing"),
        (
            with_column("{ name: a, type: bigint }\n  - { name: A, type: bigint }"),
            5,
            13,
            "given twice",
        ),
    ] {
        let error = refused(&yaml);
        assert!(error.message.contains(part), "{yaml}\n{error}");
        assert_eq!((error.line, error.column), (Some(line), Some(column)), "{yaml}\n{error}");
    }
}

#[test]
fn what_is_missing_or_no_yaml() {
    for (yaml, part) in [
        ("", "empty"),
        ("table: t", "`stream` is missing"),
        ("table: t\nstream: s", "`columns` is missing"),
        ("- a\n", "expected a map"),
        ("table: [a\n", "not valid YAML"),
        ("table: t\nstream: s\ncolumns: 5", "expected a list"),
        (
            "table: t\nstream: s\nformat: dummy\ncolumns:\n  - { name: a, type: bigint }",
            "hidden columns only",
        ),
        ("table: t\nstream: 'a b'\ncolumns: []", "not a stream name"),
        ("table: t\nstream: arn:aws:s3:::bucket\ncolumns: []", "not a stream's ARN"),
    ] {
        let error = refused(yaml);
        assert!(error.message.contains(part), "{yaml}\n{error}");
    }
    assert!(
        TableDefinition::from_yaml("table: t\nstream: s\nformat: dummy")
            .unwrap()
            .columns
            .is_empty()
    );
}

#[test]
fn numeric_path_segments_are_keys() {
    let definition = TableDefinition::from_yaml(&with_column("{ name: a, type: bigint, path: 'list/0' }")).unwrap();
    assert_eq!(definition.columns[0].path, ["list", "0"]);
}

fn presto(field: &str) -> Result<Arc<TableDefinition>, DefinitionError> {
    TableDefinition::from_presto_json(
        &format!("{{\"tableName\":\"T\",\"streamName\":\"s\",\"message\":{{\"dataFormat\":\"json\",\"fields\":[\n{field}\n]}}}}"),
        "web",
    )
}

#[test]
fn presto_descriptions() {
    let dummy = TableDefinition::from_presto_json(r#"{"tableName":"t","streamName":"s","message":null}"#, "web").unwrap();
    assert_eq!(
        (&dummy.format, dummy.columns.len(), dummy.name.to_string()),
        (&Format::Dummy, 0, "web.t".to_owned())
    );

    let column = |field: &str| presto(field).unwrap().columns[0].clone();
    let hidden = column(r#"{"name":"Id","mapping":"//user//id","type":"VARCHAR(20)","hidden":"true","comment":"c","extra":[1]}"#);
    assert_eq!((&*hidden.name, hidden.hidden, hidden.comment.as_deref()), ("id", true, Some("c")));
    assert_eq!(
        (hidden.path, hidden.column_type),
        (vec!["user".to_owned(), "id".to_owned()], ColumnType::Varchar)
    );
    assert!(!column(r#"{"name":"a","mapping":"a","type":"bigint","hidden":"false"}"#).hidden);
    assert!(column(r#"{"name":"a","mapping":"/","type":"varchar"}"#).path.is_empty());
    assert_eq!(
        column(r#"{"name":"a","mapping":"a~1b","type":"bigint"}"#).path,
        ["a~1b"],
        "no escapes there"
    );
    assert_eq!(
        column(r#"{"name":"a","mapping":"a","type":"DATE","dataFormat":"iso8601"}"#).format,
        Some(FieldFormat::Iso8601)
    );
    assert_eq!(
        column(r#"{"name":"a","mapping":"a","type":"TIMESTAMP","dataFormat":"rfc2822"}"#).format,
        Some(FieldFormat::parse("twitter"))
    );
    assert_eq!(
        column(r#"{"name":"a","mapping":"a","type":"TIMESTAMP","dataFormat":"custom-date-time","formatHint":"yyyy-MM-dd'T'HH:mm:ss.SSS"}"#)
            .format,
        Some(FieldFormat::Pattern("%Y-%m-%dT%H:%M:%S.%3f".to_owned()))
    );
}

#[test]
fn presto_field_decoders() {
    let format = |column_type: &str, decoder: &str| {
        let field = format!(r#"{{"name":"a","mapping":"a","type":"{column_type}","dataFormat":"{decoder}"}}"#);
        presto(&field).unwrap().columns[0].format.as_ref().map(ToString::to_string)
    };
    for (column_type, decoder, expected) in [
        ("TIMESTAMP", "seconds-since-epoch", Some("seconds-since-epoch")),
        ("BIGINT", "seconds-since-epoch", Some("seconds-since-epoch")),
        ("VARCHAR", "milliseconds-since-epoch", Some("milliseconds-since-epoch")),
        ("TIME", "milliseconds-since-epoch", Some("milliseconds-since-epoch")),
        ("TIMESTAMP WITH TIME ZONE", "iso8601", Some("iso8601")),
        ("BIGINT", "rfc2822", Some("%a %b %d %H:%M:%S %z %Y")),
        ("VARCHAR", "rfc2822", None),
        ("VARCHAR", "iso8601", None),
        ("DOUBLE", "iso8601", None),
        ("BOOLEAN", "seconds-since-epoch", None),
        ("BIGINT", "_default", None),
    ] {
        assert_eq!(format(column_type, decoder).as_deref(), expected, "{column_type} {decoder}");
    }
    let compat = |line: &str| {
        TableDefinition::from_presto_json(
            &format!(r#"{{"tableName":"t","streamName":"s",{line}"message":{{"dataFormat":"json","fields":[]}}}}"#),
            "web",
        )
        .unwrap()
        .compat
    };
    assert_eq!((compat(""), compat("\"compat\":\"presto\",")), (Compat::None, Compat::Presto));
}

#[test]
fn presto_mistakes() {
    for (field, part) in [
        (r#"{"name":"a","type":"BIGINT"}"#, "`mapping` is missing"),
        (r#"{"name":"a","mapping":"a","type":"ARRAY(BIGIN)"}"#, "did you mean `bigint`?"),
        (
            r#"{"name":"a","mapping":"a","type":"DATE","dataFormat":"iso8061"}"#,
            "did you mean `iso8601`?",
        ),
        (
            r#"{"name":"a","mapping":"a","type":"TIMESTAMP","dataFormat":"custom-date-time"}"#,
            "needs a `formatHint`",
        ),
        (
            r#"{"name":"a","mapping":"a","type":"TIMESTAMP","dataFormat":"custom-date-time","formatHint":"yyyy-MM-dd zzzz"}"#,
            "`zzzz` is not supported yet",
        ),
        (r#"{"name":"a","mapping":"a","type":"BIGINT","hidden":"maybe"}"#, "hidden"),
    ] {
        let error = presto(field).unwrap_err();
        assert!(error.message.contains(part), "{field}\n{error}");
        assert_eq!(error.line, Some(2), "{field}");
    }
    for (text, part) in [
        (
            r#"{"tableName":"t","streamName":"s","message":{"dataFormat":"json","field":[]}}"#,
            "`fields` is missing",
        ),
        (
            r#"{"tableName":"t","streamName":"s","message":{"dataFormat":"avro","fields":[]}}"#,
            "`avro` is not supported yet",
        ),
        (
            r#"{"tableName":"t","streamName":"s","message":{"dataFormat":"json","compressionCodec":"LZO","fields":[]}}"#,
            "unknown value `LZO`",
        ),
        (r#"{"tableName":"","streamName":"s"}"#, "must not be empty"),
        (r#"{"tableName":"t"}"#, "`streamName` is missing"),
        (r#"{"tableName":"t","#, "not valid JSON"),
        (r#"{"tableName":"t","streamName":"s"} x"#, "not valid JSON"),
    ] {
        let error = TableDefinition::from_presto_json(text, "web").unwrap_err();
        assert!(error.message.contains(part), "{text}\n{error}");
    }
    let codec = |codec: &str| {
        let text =
            format!(r#"{{"tableName":"t","streamName":"s","message":{{"dataFormat":"json","compressionCodec":"{codec}","fields":[]}}}}"#);
        TableDefinition::from_presto_json(&text, "web").unwrap().compression.clone()
    };
    assert_eq!((codec("UNCOMPRESSED"), codec("AUTOMATIC")), (Compression::None, Compression::Auto));
    assert_eq!(codec("GZIP"), Compression::Chain(vec![crate::Codec::Gzip]));
}

#[test]
fn fingerprints_follow_rows_only() {
    let fingerprint = |yaml: &str| TableDefinition::from_yaml(yaml).unwrap().fingerprint();
    let base = fingerprint(ARTICLE_YAML);
    for (from, to) in [
        ("request line", "other"),
        ("trim_horizon", "latest"),
        ("table: nasahttp", "table: t"),
        ("stream: nasahttp", "stream: t"),
    ] {
        assert_eq!(fingerprint(&ARTICLE_YAML.replace(from, to)), base, "{from} -> {to}");
    }
    for (from, to) in [
        ("timestamp(s)", "timestamp(ms)"),
        ("%z\"", "+0000\""),
        ("path: host", "path: h/ost"),
        ("name: code", "name: kode"),
        ("null_row", "skip"),
        ("compression: auto", "compression: none"),
        ("compression: auto", "compression: gzip"),
        ("compression: auto", "compression: base64+auto"),
        ("type: varchar }", "type: varchar, hidden: true }"),
    ] {
        assert_ne!(fingerprint(&ARTICLE_YAML.replace(from, to)), base, "{from} -> {to}");
    }
    // Stable across processes and versions: a change here makes old tickets and kept columns unusable, so it takes a new VERSION.
    assert_eq!(base.to_string(), "3464b33865005e631795a0a2b72cd9f3");
}

#[test]
fn a_history_is_a_job_and_leaves_no_start() {
    let text = "table: t\nstream: s\nhistory: clicks_lake\ncolumns:\n  - { name: a, type: bigint }\n";
    let definition = TableDefinition::from_yaml(text).unwrap();
    assert_eq!(definition.history.as_deref(), Some("clicks_lake"));
    assert_eq!(TableDefinition::from_yaml(&definition.to_yaml()).unwrap(), definition);
    let without = TableDefinition::from_yaml(&text.replace("history: clicks_lake\n", "")).unwrap();
    assert_eq!(definition.fingerprint(), without.fingerprint(), "records become the same rows");
    let error = refused(&format!("{text}start: latest\n"));
    assert!(error.message.contains("leave `start` out"), "{error}");
    assert_eq!(error.line, Some(6));
}
