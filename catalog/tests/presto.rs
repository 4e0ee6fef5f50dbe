//! Table descriptions of the Presto and Trino connectors as they were written, unchanged, over records of their time. Expected values: by hand, after the connectors' documentation;
//! instants by Python's `datetime`.

#![expect(clippy::unwrap_used, reason = "a test stops at what it cannot read")]

use std::sync::Arc;

use arrow::array::{Array, BinaryArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use catalog::{BadRecord, Decoder, TableDefinition};

fn rows(description: &str, records: &[&str]) -> (Vec<Vec<String>>, Vec<BadRecord>) {
    let table: Arc<TableDefinition> = TableDefinition::from_presto_json(description, "default").unwrap();
    let all: Vec<usize> = (0..table.columns.len()).collect();
    let records = BinaryArray::from_iter_values(records.iter().map(|record| record.as_bytes()));
    let decoded = Decoder::new(&table, &all).unwrap().decode(&records).unwrap();
    let options = FormatOptions::new().with_null("NULL");
    let columns: Vec<ArrayFormatter<'_>> = decoded
        .columns
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let count = decoded.columns[0].len();
    let rows = (0..count).map(|row| columns.iter().map(|column| column.value(row).to_string()).collect());
    (rows.collect(), decoded.bad)
}

/// The Twitter table of the connector's documentation.
const TWEETS: &str = r#"{"tableName":"jt","streamName":"s3","comment":"sample","client_metadata":{"name":"x","query":"select 1"},"message":{"dataFormat":"json","fields":[
  {"name":"screen_name","mapping":"user/screen_name","type":"VARCHAR"},
  {"name":"user_json","mapping":"user","type":"VARCHAR"}, {"name":"tags","mapping":"tags","type":"VARCHAR"}, {"name":"whole","mapping":"/","type":"VARCHAR"},
  {"name":"ts","mapping":"created_at","type":"TIMESTAMP","dataFormat":"rfc2822"},
  {"name":"ts_text","mapping":"created_at","type":"VARCHAR","dataFormat":"rfc2822"},
  {"name":"ts_millis","mapping":"created_at","type":"BIGINT","dataFormat":"rfc2822"},
  {"name":"t2","mapping":"t","type":"TIMESTAMP","dataFormat":"custom-date-time","formatHint":"dd/MMM/yyyy:HH:mm:ss Z"},
  {"name":"followers","mapping":"/user//followers","type":"INTEGER","hidden":"true"}]}}"#;

#[test]
fn tweets() {
    let tweet = r#"{"user":{"screen_name":"a","followers":"12"},"tags":["t1", "t2"],"created_at":"Mon Jul 28 20:38:07 +0000 2014","t":"01/Aug/1995:00:00:01 -0400"}"#;
    let (rows, bad) = rows(TWEETS, &[tweet, "{\"user\":"]);
    assert_eq!(
        rows[0],
        [
            "a",
            r#"{"screen_name":"a","followers":"12"}"#,
            r#"["t1","t2"]"#,
            &tweet.replace("\"t1\", ", "\"t1\","),
            "2014-07-28T20:38:07",
            "Mon Jul 28 20:38:07 +0000 2014",
            "1406579887000",
            "1995-08-01T04:00:01",
            "12"
        ]
    );
    assert!(rows[1].iter().all(|value| value == "NULL"), "an undecodable record is a row");
    assert_eq!(bad.len(), 1);
}

#[test]
fn field_decoders_of_time() {
    let description = r#"{"tableName":"t","streamName":"s","message":{"dataFormat":"json","compressionCodec":"UNCOMPRESSED","fields":[
      {"name":"iso","mapping":"iso","type":"TIMESTAMP","dataFormat":"iso8601"},
      {"name":"iso_zone","mapping":"iso","type":"TIMESTAMP WITH TIME ZONE","dataFormat":"iso8601"},
      {"name":"iso_day","mapping":"day","type":"DATE","dataFormat":"iso8601"},
      {"name":"ms","mapping":"ms","type":"TIMESTAMP","dataFormat":"milliseconds-since-epoch"},
      {"name":"ms_text","mapping":"ms","type":"VARCHAR","dataFormat":"milliseconds-since-epoch"},
      {"name":"s","mapping":"s","type":"BIGINT","dataFormat":"seconds-since-epoch"},
      {"name":"s_text","mapping":"s","type":"VARCHAR","dataFormat":"seconds-since-epoch"},
      {"name":"clock","mapping":"clock","type":"TIME","dataFormat":"custom-date-time","formatHint":"h:mm a"},
      {"name":"double","mapping":"s","type":"DOUBLE","dataFormat":"iso8601"}]}}"#;
    let record = r#"{"iso":"2014-07-28T22:38:07.5+02:00","day":"2014-07-28","ms":"1406579887000","s":1406579887,"clock":"8:38 PM"}"#;
    let (rows, bad) = rows(description, &[record, r#"{"iso":1406579887000,"s":"junk"}"#]);
    assert_eq!(
        rows[0],
        [
            "2014-07-28T20:38:07.500",
            "2014-07-28T20:38:07.500Z",
            "2014-07-28",
            "2014-07-28T20:38:07",
            "2014-07-28T20:38:07.000Z",
            "1406579887000",
            "2014-07-28T20:38:07Z",
            "20:38:00",
            "1406579887.0"
        ]
    );
    assert_eq!(rows[1][0], "2014-07-28T20:38:07", "a number is milliseconds");
    assert_eq!((&*rows[1][5], bad.len()), ("NULL", 1), "never 0");
}

#[test]
fn old_coercions_where_they_are_asked_for() {
    let description = |compat: &str| {
        format!(
            r#"{{"tableName":"t","streamName":"s",{compat}"message":{{"dataFormat":"json","fields":[
            {{"name":"l","mapping":"v","type":"BIGINT"}},{{"name":"d","mapping":"v","type":"DOUBLE"}},
            {{"name":"b","mapping":"v","type":"BOOLEAN"}},{{"name":"c","mapping":"v","type":"VARCHAR"}}]}}}}"#
        )
    };
    let records = [
        r#"{"v":12.7}"#,
        r#"{"v":"junk"}"#,
        r#"{"v":true}"#,
        r#"{"v":{"x": 1}}"#,
        r#"{"v":null}"#,
        "{}",
        r#"{"v":"2342"}"#,
        "[1]",
    ];
    let (old, bad) = rows(&description(r#""compat":"presto","#), &records);
    let expected = [
        ["12", "12.7", "true", "12.7"],
        ["0", "0.0", "false", "junk"],
        ["1", "1.0", "true", "true"],
        ["0", "0.0", "false", r#"{"x":1}"#],
        ["NULL", "NULL", "NULL", "NULL"],
        ["NULL", "NULL", "NULL", "NULL"],
        ["2342", "2342.0", "false", "2342"],
        ["NULL", "NULL", "NULL", "NULL"],
    ];
    assert_eq!(old, expected);
    assert!(bad.is_empty());
    let (ours, bad) = rows(&description(""), &records);
    assert_eq!(ours[1], ["NULL", "NULL", "NULL", "junk"]);
    assert_eq!(bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [0, 1, 2, 3, 6]);
}
