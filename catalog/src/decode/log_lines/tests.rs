use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray};
use proptest::prelude::*;

use super::super::every_column as decode;
use crate::{Decoder, TableDefinition};

const NAMES: [&str; 12] = [
    "host",
    "ident",
    "user",
    "time",
    "request",
    "method",
    "path",
    "protocol",
    "status",
    "bytes",
    "referer",
    "user_agent",
];

fn table(format: &str, names: &[&str]) -> Arc<TableDefinition> {
    let columns: String = names
        .iter()
        .map(|name| format!("  - {{ name: {name}, type: varchar }}\n"))
        .collect();
    TableDefinition::from_yaml(&format!("table: t\nstream: s\nformat: {format}\ncolumns:\n{columns}")).unwrap()
}

/// The parts of one line, and the verdict.
fn parts(format: &str, line: &[u8]) -> (Vec<Option<String>>, Option<String>) {
    let names = if format == "clf" { &NAMES[..10] } else { &NAMES[..] };
    let decoded = decode(&table(format, names), &[line]);
    let value = |column: &arrow::array::ArrayRef| column.is_valid(0).then(|| column.as_string::<i32>().value(0).to_owned());
    let values = decoded.columns.iter().map(value).collect();
    (values, decoded.bad.first().map(|bad| bad.error.clone()))
}

#[test]
fn lines_as_servers_write_them() {
    let time = "10/Oct/2000:13:55:36 -0700";
    // format, line; user, request, method, path, protocol, status, bytes, referer, user agent
    let cases: [(&str, &str, &[&str]); 9] = [
        // The example in Apache's documentation of its log module.
        (
            "combined",
            r#"127.0.0.1 - frank [T] "GET /apache_pb.gif HTTP/1.0" 200 2326 "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)""#,
            &[
                "frank",
                "GET /apache_pb.gif HTTP/1.0",
                "GET",
                "/apache_pb.gif",
                "HTTP/1.0",
                "200",
                "2326",
                "http://www.example.com/start.html",
                "Mozilla/4.08 [en] (Win98; I ;Nav)",
            ],
        ),
        ("clf", r#"h - - [T] "GET /x" 304 -"#, &["-", "GET /x", "GET", "/x", "-", "304", "-"]),
        ("clf", r#"h - - [T] "-" 408 0"#, &["-", "-", "-", "-", "-", "408", "0"]),
        ("clf", r#"h - - [T] "" 400 0"#, &["-", "", "-", "-", "-", "400", "0"]),
        // An inner quote as NASA's server wrote it, and as Apache does.
        (
            "clf",
            r#"h - - [T] "GET /a"b" 200 1.html HTTP/1.0" 404 -"#,
            &[
                "-",
                r#"GET /a"b" 200 1.html HTTP/1.0"#,
                "GET",
                r#"/a"b" 200 1.html"#,
                "HTTP/1.0",
                "404",
                "-",
            ],
        ),
        (
            "clf",
            r#"h - - [T] "GET /a\"\x41\\n HTTP/1.1" 200 5"#,
            &["-", r#"GET /a"A\n HTTP/1.1"#, "GET", r#"/a"A\n"#, "HTTP/1.1", "200", "5"],
        ),
        // A client's noise: the escapes of the second are no text.
        (
            "clf",
            r#"h - - [T] "\x16\x03\x01" 400 226"#,
            &["-", "\u{16}\u{3}\u{1}", "-", "-", "-", "400", "226"],
        ),
        ("clf", r#"h - - [T] "\xc3(" 400 226"#, &["-", r"\xc3(", "-", "-", "-", "400", "226"]),
        // A backslash at the end of what knows no escapes; fields after the combined ones, as nginx is often told to write.
        (
            "combined",
            r#"h - - [T] "GET /\" 200 5 "-" "a \"b\"" "10.0.0.1, 10.0.0.2" 0.004"#,
            &["-", r"GET /\", "GET", r"/\", "-", "200", "5", "-", r#"a "b""#],
        ),
    ];
    for (format, line, expected) in cases {
        let (values, bad) = parts(format, line.replace("[T]", &format!("[{time}]")).as_bytes());
        assert_eq!(bad, None, "{line}");
        assert_eq!(values[0].as_deref(), Some(line.split(' ').next().unwrap()));
        assert_eq!(values[1], None);
        assert_eq!(values[3].as_deref(), Some(time));
        let rest: Vec<Option<&str>> = [&values[2..3], &values[4..]].into_iter().flatten().map(Option::as_deref).collect();
        let expected: Vec<Option<&str>> = expected.iter().map(|text| Some(*text).filter(|text| *text != "-")).collect();
        assert_eq!(rest, expected, "{line}");
    }
}

#[test]
fn what_is_no_line() {
    for (format, line, reason) in [
        ("clf", "", None),
        ("clf", "garbage", Some("not a log line: no host")),
        // Debian's vhost_combined must not pass for a line whose host is the server's.
        (
            "combined",
            r#"www.example.com:80 h - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.0" 200 1 "-" "-""#,
            Some("not a log line: no time in brackets after three words: host, ident and user"),
        ),
        (
            "clf",
            r#"h - - [10/Oct/2000:13:55:36 -0700"#,
            Some("not a log line: the time has no closing bracket"),
        ),
        (
            "clf",
            r#"h - - [t] GET / 200 1"#,
            Some("not a log line: no quoted request after the time"),
        ),
        (
            "clf",
            r#"h - - [t] "GET /"#,
            Some("not a log line: no status and number of bytes after the request"),
        ),
        (
            "clf",
            r#"h - - [t] "GET /" 2000 1"#,
            Some("not a log line: no status and number of bytes after the request"),
        ),
        (
            "combined",
            r#"h - - [t] "GET /" 200 1"#,
            Some("not a log line: no quoted referer after the bytes"),
        ),
        (
            "combined",
            r#"h - - [t] "GET /" 200 1 "-" x"#,
            Some("not a log line: no quoted user agent after the referer"),
        ),
        (
            "combined",
            r#"h - - [t] "GET /" 200 1 "-" "a "b" c""#,
            Some("not a log line: what follows is neither words nor quoted texts"),
        ),
    ] {
        let names = if format == "clf" { &NAMES[..10] } else { &NAMES[..] };
        let decoded = decode(&table(format, names), &[line.as_bytes()]);
        assert_eq!(decoded.bad.first().map(|bad| &*bad.error), reason, "{line}");
        assert_eq!(decoded.columns[0].len(), usize::from(reason.is_some()), "{line}");
        assert!(decoded.columns.iter().all(|column| column.null_count() == column.len()), "{line}");
    }
}

#[test]
fn a_record_may_hold_any_number_of_lines() {
    let line = |host: &str| format!("{host} - - [t] \"GET /\" 200 1");
    let records = [
        line("a"),
        format!("{}\r\n\n{}\n", line("b"), line("c")),
        " \n\n".to_owned(),
        format!("{}\nbroken\n{}", line("d"), line("e")),
        line("f") + "\n",
    ];
    let records: Vec<&[u8]> = records.iter().map(String::as_bytes).collect();
    let table = table("clf", &["host"]);
    for columns in [&[0][..], &[]] {
        let decoded = Decoder::new(&table, columns)
            .unwrap()
            .decode(&BinaryArray::from(records.clone()))
            .unwrap();
        assert_eq!(decoded.records.unwrap().values()[..], [0, 1, 1, 3, 3, 3, 4]);
        assert_eq!(decoded.bad.iter().map(|bad| bad.row).collect::<Vec<_>>(), [4]);
        for column in &decoded.columns {
            let hosts: Vec<Option<&str>> = column.as_string::<i32>().iter().collect();
            assert_eq!(hosts, [Some("a"), Some("b"), Some("c"), Some("d"), None, Some("e"), Some("f")]);
        }
    }
}

#[test]
fn bytes_that_are_no_text_are_null_but_bytes() {
    let columns =
        "  - { name: request, type: varchar }\n  - { name: raw, path: request, type: varbinary }\n  - { name: status, type: smallint }\n";
    let table = TableDefinition::from_yaml(&format!("table: t\nstream: s\nformat: clf\ncolumns:\n{columns}")).unwrap();
    let decoded = decode(&table, &[b"h - - [t] \"GET /\xff\" 200 1"]);
    assert!(decoded.columns[0].is_null(0));
    assert_eq!(decoded.columns[1].as_binary::<i32>().value(0), b"GET /\xff");
    assert_eq!(decoded.columns[2].as_primitive::<arrow::datatypes::Int16Type>().value(0), 200);
    assert_eq!(decoded.bad[0].error, "request: a value of 6 bytes is not a varchar");
}

#[test]
fn parts_that_lines_do_not_have() {
    let refused = |format: &str, path: &str| {
        let text = format!("table: t\nstream: s\nformat: {format}\ncolumns:\n  - {{ name: a, type: varchar, path: {path} }}\n");
        let error = TableDefinition::from_yaml(&text).unwrap_err();
        assert_eq!(error.line, Some(5));
        error.message
    };
    assert!(refused("clf", "referer").contains("combined"));
    assert!(refused("combined", "user_agnet").contains("did you mean `user_agent`"));
    assert!(refused("combined", "zzz").contains("they have host"));
}

proptest! {
    #[test]
    fn any_bytes_give_as_many_rows_whatever_is_asked_for(records in prop::collection::vec(prop::collection::vec(prop::sample::select(b"a- []\"\\\n\r200:x\xff".to_vec()), 0..60), 0..8)) {
        let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
        let all = decode(&table("combined", &NAMES), &records);
        let one = decode(&table("combined", &NAMES[..1]), &records);
        prop_assert_eq!(all.columns[0].len(), one.columns[0].len());
        prop_assert_eq!(&all.columns[0], &one.columns[0]);
        prop_assert_eq!(all.records.map(|records| records.values().to_vec()), one.records.map(|records| records.values().to_vec()));
    }

    /// Whatever a server writes by Apache's rules of escapes comes back.
    #[test]
    fn round_trip(request in "[ -~é\n\t]{0,20}", referer in "[ -~é]{0,20}", agent in "[ -~]{0,20}", status in 100..600u32, bytes in any::<u32>()) {
        let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\t', "\\t").replace('é', "\\xc3\\xa9");
        let line = format!("::1 - me [x] \"{}\" {status} {bytes} \"{}\" \"{}\"", escaped(&request), escaped(&referer), escaped(&agent));
        let (values, bad) = parts("combined", line.as_bytes());
        prop_assert_eq!(bad, None);
        let null = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
        prop_assert_eq!(&values[4], &null(&request));
        prop_assert_eq!(&values[8], &Some(status.to_string()));
        prop_assert_eq!(&values[9], &Some(bytes.to_string()));
        prop_assert_eq!(&values[10], &null(&referer));
        prop_assert_eq!(&values[11], &null(&agent));
    }
}
