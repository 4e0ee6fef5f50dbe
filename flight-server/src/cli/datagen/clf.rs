//! A line in Common Log Format, and the JSON record made of it.

use std::borrow::Cow;
use std::sync::LazyLock;

use chrono::{DateTime, FixedOffset, TimeDelta};
use regex::Regex;
use serde::Serialize;

/// strftime pattern of the log's own timestamps.
const TIMESTAMP: &str = "%d/%b/%Y:%H:%M:%S %z";

/// Kinesis allows 256 characters in a partition key.
const MAX_KEY_CHARS: usize = 256;

/// `host ident user [time] "request" code bytes`. The request runs to the last quote that code and bytes follow, so quotes inside it are its own.
#[expect(clippy::expect_used, reason = "a constant pattern, compiled by the tests")]
static LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"^(\S+) \S+ \S+ \[([^\]]*)\] "(.*)" ([0-9]{3}) ([0-9]+|-)\s*$"#).expect("a constant pattern"));

/// One request, as the record's JSON holds it.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry<'a> {
    /// Who asked: a name or an address.
    pub(crate) host: &'a str,
    /// The log's own text, `01/Aug/1995:00:00:01 -0400`.
    pub(crate) timestamp: Cow<'a, str>,
    /// Request line, as it was sent.
    pub(crate) request: &'a str,
    /// Status.
    pub(crate) code: u16,
    /// Bytes sent; the log's `-` is 0.
    pub(crate) bytes: u64,
}

/// Text of a line's bytes: UTF-8 where it is that, else Latin-1, which any bytes are.
pub(crate) fn text(line: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(line) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(line.iter().copied().map(char::from).collect()),
    }
}

impl<'a> Entry<'a> {
    /// None if the line is not in the format, or is cut off.
    pub(crate) fn parse(line: &'a str) -> Option<Self> {
        let (_, [host, timestamp, request, code, bytes]) = LINE.captures(line)?.extract();
        Some(Self {
            host,
            timestamp: Cow::Borrowed(timestamp),
            request,
            code: code.parse().ok()?,
            bytes: if bytes == "-" { 0 } else { bytes.parse().ok()? },
        })
    }

    /// As a line of CSV (RFC 4180), without line end.
    pub(crate) fn csv(&self) -> anyhow::Result<Vec<u8>> {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        writer.serialize(self)?;
        let mut line = writer.into_inner().map_err(|error| anyhow::anyhow!("{}", error.error()))?;
        line.truncate(line.trim_ascii_end().len());
        Ok(line)
    }

    /// The time, if the log's text is one.
    pub(crate) fn time(&self) -> Option<DateTime<FixedOffset>> {
        DateTime::parse_from_str(&self.timestamp, TIMESTAMP).ok()
    }

    /// Moves the timestamp; a text that is no time stays what it is.
    pub(crate) fn shift(&mut self, by: TimeDelta) {
        if let Some(shifted) = self.time().and_then(|time| time.checked_add_signed(by)) {
            self.timestamp = Cow::Owned(shifted.format(TIMESTAMP).to_string());
        }
    }

    /// The partition key: the host, cut to what Kinesis takes.
    pub(crate) fn partition_key(&self) -> &'a str {
        self.host
            .char_indices()
            .nth(MAX_KEY_CHARS)
            .map_or(self.host, |(end, _)| &self.host[..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines like those of the full logs, and what must come of each: `None` = unparsable.
    const TRAPS: &[u8] = include_bytes!("traps.log");

    #[test]
    fn every_trap_has_its_verdict() {
        let expected: &[Option<(&str, &str, u16, u64)>] = &[
            Some(("edams.ksc.nasa.gov", r"GET /\\yahoo.com HTTP/1.0", 404, 0)),
            Some(("dd15-062.compuserve.com", "GET /shuttle/missions", 200, 5)),
            Some(("host.example.com", r#"GET /a" b HTTP/1.0"#, 400, 0)),
            Some(("host.example.com", r#"GET /say?"x" 200 12"y HTTP/1.0"#, 200, 34)),
            Some(("spaces.example.com", "GET /images/two words.gif HTTP/1.0", 200, 1)),
            Some(("latin.example.com", "GET /caf\u{e9} HTTP/1.0", 200, 7)),
            Some(("utf8.example.com", "GET /caf\u{e9} HTTP/1.0", 200, 8)),
            Some(("empty.example.com", "", 400, 0)),
            Some(("user.example.com", "GET /private HTTP/1.0", 401, 9)),
            Some(("junk.example.com", "GET / HTTP/1.0", 200, 10)),
            Some(("crlf.example.com", "GET / HTTP/1.0", 200, 11)),
            None,
            None,
            None,
            None,
            None,
        ];
        let lines: Vec<_> = TRAPS.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), expected.len());
        for (line, expected) in lines.iter().zip(expected) {
            let line = text(line);
            let entry = Entry::parse(&line);
            assert_eq!(entry.as_ref().map(|e| (e.host, e.request, e.code, e.bytes)), *expected, "{line}");
        }
    }

    #[test]
    fn a_record_is_compact_json_in_the_articles_order() {
        let entry = Entry::parse(r#"in24.inetnebr.com - - [01/Aug/1995:00:00:01 -0400] "GET /a"b HTTP/1.0" 200 1839"#).unwrap();
        assert_eq!(
            serde_json::to_string(&entry).unwrap(),
            r#"{"host":"in24.inetnebr.com","timestamp":"01/Aug/1995:00:00:01 -0400","request":"GET /a\"b HTTP/1.0","code":200,"bytes":1839}"#
        );
    }

    #[test]
    fn csv_is_quoted_where_it_must_be() {
        let entry = Entry::parse(r#"h - - [01/Aug/1995:00:00:01 -0400] "GET /a"b,c HTTP/1.0" 200 -"#).unwrap();
        let expected = r#"h,01/Aug/1995:00:00:01 -0400,"GET /a""b,c HTTP/1.0",200,0"#;
        assert_eq!(String::from_utf8(entry.csv().unwrap()).unwrap(), expected);
    }

    #[test]
    fn shifting_keeps_form_and_zone_and_leaves_what_is_no_time() {
        let mut entry = Entry::parse(r#"h - - [31/Dec/1995:23:59:59 -0400] "GET /" 200 1"#).unwrap();
        entry.shift(TimeDelta::seconds(61));
        assert_eq!(entry.timestamp, "01/Jan/1996:00:01:00 -0400");
        let mut entry = Entry::parse(r#"h - - [junk1] "GET /" 200 1"#).unwrap();
        entry.shift(TimeDelta::seconds(61));
        assert_eq!(entry.timestamp, "junk1");
    }

    #[test]
    fn a_long_host_is_cut_between_characters() {
        let host = "\u{e9}".repeat(300);
        let line = format!(r#"{host} - - [t] "GET /" 200 1"#);
        assert_eq!(Entry::parse(&line).unwrap().partition_key(), "\u{e9}".repeat(256));
    }

    #[test]
    fn the_bundled_log_has_its_known_totals() {
        let log = super::super::super::demo_data::LOG;
        let (mut lines, mut bytes, mut dashes) = (0_u64, 0_u64, 0_u64);
        for line in log.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let line = text(line);
            let entry = Entry::parse(&line).unwrap();
            lines += 1;
            bytes += entry.bytes;
            dashes += u64::from(line.ends_with(" -"));
            assert!(entry.time().is_some(), "{line}");
        }
        assert_eq!((lines, bytes, dashes), (20_000, 321_739_411, 251));
    }
}
