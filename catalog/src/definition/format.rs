//! Row formats and their options: what a record's bytes are.

use std::fmt;

use arrow::datatypes::TimeUnit;
use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

use super::compiled::Compiled;
use crate::decode::{AvroWriters, ProtobufTypes};

/// Row format.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Format {
    /// JSON documents.
    Json(JsonFormat),
    /// Delimited text.
    Csv(CsvFormat),
    /// Fixed ranges of bytes.
    Raw(RawFormat),
    /// Apache Avro.
    Avro(AvroFormat),
    /// Protocol Buffers.
    Protobuf(ProtobufFormat),
    /// Web servers' log lines.
    LogLines(LogLines),
    /// A regular expression with named groups.
    Regex(RegexFormat),
    /// Envelopes of CloudWatch Logs subscriptions.
    CloudWatchLogs,
    /// CloudEvents in structured mode, one or a batch a record.
    CloudEvents,
    /// No message: hidden columns only.
    Dummy,
}

/// Options of `json`; `ndjson` is `rows: lines`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonFormat {
    /// Which parts of a record are rows.
    pub rows: JsonRows,
    /// Where the array is whose elements are rows; empty = the document itself. Only with [`JsonRows::Elements`].
    pub elements_of: Vec<String>,
}

/// Which parts of a record are rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum JsonRows {
    /// A record is one value, and that is one row.
    #[default]
    Value,
    /// A record is any number of values, one after the other, each a row.
    Values,
    /// As [`Self::Values`], and of an array each element is a row.
    Elements,
    /// Each line that is not blank is a value and a row (NDJSON, JSON Lines).
    Lines,
}

/// Options of `csv` (RFC 4180 and what is written beside it).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvFormat {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields that hold delimiters or line ends; `None` = quotes are text.
    pub quote: Option<u8>,
    /// Before a quote in a quoted field, instead of doubling it.
    pub escape: Option<u8>,
    /// The first line of each record names its fields, and is no row.
    pub header: bool,
    /// A field that is this text is NULL, in quotes too. `None` = an empty field is an empty varchar, and NULL in every other type.
    pub null: Option<String>,
    /// Blanks around fields are no part of them.
    pub trim: bool,
    /// Lines that begin with this are no rows.
    pub comment: Option<u8>,
}

impl Default for CsvFormat {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: Some(b'"'),
            escape: None,
            header: false,
            null: None,
            trim: false,
            comment: None,
        }
    }
}

/// Options of `raw`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFormat {
    /// Order of the bytes of a number, where a column does not say.
    pub endian: Endian,
}

/// Order of the bytes of a number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Endian {
    /// Most significant first.
    #[default]
    Big,
    /// Least significant first.
    Little,
}

/// Where a column of a `raw` record lies, and what its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawField {
    /// First byte.
    pub start: usize,
    /// Byte after the last; `None` = as many as the number has, or to the record's end.
    pub end: Option<usize>,
    /// What they are.
    pub encoding: RawEncoding,
    /// Order of the bytes of a number, where it differs from the format's.
    pub endian: Option<Endian>,
}

/// What bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RawEncoding {
    /// A signed byte into a boolean, integer or floating point type; text or bytes into any other.
    Byte,
    /// Text or bytes, into every type.
    Text,
    /// Signed, 2 bytes.
    Short,
    /// Signed, 4 bytes.
    Int,
    /// Signed, 8 bytes.
    Long,
    /// IEEE 754, 4 bytes.
    Float,
    /// IEEE 754, 8 bytes.
    Double,
}

/// Options of `avro`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AvroFormat {
    /// What stands around a datum.
    pub framing: AvroFraming,
    /// Writers' schemas as JSON text, each after its id: Confluent's number, Glue's UUID, nothing where there is one schema or its fingerprint is its id.
    /// Containers bring their own; theirs is what INSERT writes them with.
    pub schemas: Vec<(String, String)>,
    #[serde(skip)]
    pub(crate) compiled: Compiled<AvroWriters>,
}

impl AvroFormat {
    /// Not compiled yet.
    pub fn new(framing: AvroFraming, schemas: Vec<(String, String)>) -> Self {
        Self {
            framing,
            schemas,
            compiled: Compiled::default(),
        }
    }
}

/// What stands around an Avro datum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AvroFraming {
    /// Nothing.
    Datum,
    /// Magic and fingerprint of Avro's single-object encoding.
    SingleObject,
    /// An object container file.
    Container,
    /// Confluent's five bytes.
    Confluent,
    /// Glue's eighteen bytes.
    Glue,
}

/// Options of `protobuf`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtobufFormat {
    /// What stands around a message.
    pub framing: ProtobufFraming,
    /// Full name of the message.
    pub message: String,
    /// A `FileDescriptorSet`, as bytes.
    pub descriptor: Vec<u8>,
    /// The repeated field of messages that are rows; empty = a message is a row. Columns whose paths begin with it are inside of these, others beside them.
    pub elements_of: Vec<String>,
    /// The id that a registry gave the schema: Confluent's number, or the bits of Glue's UUID. Written before messages; what is read may have any.
    #[serde(default)]
    pub schema_id: Option<u128>,
    #[serde(skip)]
    pub(crate) compiled: Compiled<ProtobufTypes>,
}

impl ProtobufFormat {
    /// Not compiled yet.
    pub fn new(framing: ProtobufFraming, message: impl Into<String>, descriptor: Vec<u8>) -> Self {
        Self {
            framing,
            message: message.into(),
            descriptor,
            elements_of: Vec::new(),
            schema_id: None,
            compiled: Compiled::default(),
        }
    }
}

/// What stands around a Protocol Buffers message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProtobufFraming {
    /// Nothing: a record is one message.
    #[default]
    None,
    /// Messages, each after its length as a varint.
    Delimited,
    /// Confluent's header: five bytes and the message's indexes.
    Confluent,
    /// Glue's eighteen bytes.
    Glue,
}

/// Kind of a web server's log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogLines {
    /// Common Log Format.
    Common,
    /// Combined: common, referer and user agent.
    Combined,
}

/// Options of `regex`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegexFormat {
    /// The expression; columns are its named groups.
    pub pattern: String,
    /// What it has to match.
    pub rows: RegexRows,
    #[serde(skip)]
    pub(crate) compiled: Compiled<Regex>,
}

/// What a regular expression has to match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum RegexRows {
    /// A record as a whole, but for a line end at its end: one row.
    #[default]
    Record,
    /// Each line of a record that is not blank: a row each.
    Lines,
}

impl RegexFormat {
    /// Not compiled yet.
    pub fn new(pattern: impl Into<String>, rows: RegexRows) -> Self {
        Self {
            pattern: pattern.into(),
            rows,
            compiled: Compiled::default(),
        }
    }
}

impl Format {
    /// Whether a record may have no row, or several. Where not, rows are records.
    pub fn may_fan_out(&self) -> bool {
        match self {
            Self::Json(json) => json.rows != JsonRows::Value,
            Self::Avro(avro) => avro.framing == AvroFraming::Container,
            Self::Protobuf(protobuf) => protobuf.framing == ProtobufFraming::Delimited || !protobuf.elements_of.is_empty(),
            Self::Regex(regex) => regex.rows != RegexRows::Record,
            Self::Raw(_) | Self::Dummy => false,
            Self::Csv(_) | Self::LogLines(_) | Self::CloudWatchLogs | Self::CloudEvents => true,
        }
    }

    /// The word for it in a definition.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Json(JsonFormat { rows: JsonRows::Lines, .. }) => "ndjson",
            Self::Json(_) => "json",
            Self::Csv(_) => "csv",
            Self::Raw(_) => "raw",
            Self::Avro(_) => "avro",
            Self::Protobuf(_) => "protobuf",
            Self::LogLines(LogLines::Common) => "clf",
            Self::LogLines(LogLines::Combined) => "combined",
            Self::Regex(_) => "regex",
            Self::CloudWatchLogs => "cloudwatch_logs",
            Self::CloudEvents => "cloudevents",
            Self::Dummy => "dummy",
        }
    }
}

/// How a value is written that a type alone does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum FieldFormat {
    /// strftime pattern of a date, time or timestamp.
    Pattern(String),
    /// ISO 8601, which is also what applies where nothing is said.
    Iso8601,
    /// `Fri, 21 Nov 1997 09:55:06 -0600` (RFC 2822; RFC 822 and HTTP dates are read too).
    Rfc2822,
    /// A number of units since the epoch (of a time: since midnight), fractions too.
    Epoch(TimeUnit),
    /// Base64 text of bytes.
    Base64,
    /// Hexadecimal text of bytes.
    Hex,
}

/// Twitter's `created_at`, which the Presto and Trino connectors call RFC 2822.
pub(super) const TWITTER_PATTERN: &str = "%a %b %d %H:%M:%S %z %Y";

impl FieldFormat {
    /// A name of this list, or else a strftime pattern.
    pub(crate) fn parse(text: &str) -> Self {
        match &*text.trim().to_ascii_lowercase() {
            "iso8601" => Self::Iso8601,
            "rfc2822" => Self::Rfc2822,
            "twitter" => Self::Pattern(TWITTER_PATTERN.to_owned()),
            "seconds-since-epoch" => Self::Epoch(TimeUnit::Second),
            "milliseconds-since-epoch" => Self::Epoch(TimeUnit::Millisecond),
            "microseconds-since-epoch" => Self::Epoch(TimeUnit::Microsecond),
            "nanoseconds-since-epoch" => Self::Epoch(TimeUnit::Nanosecond),
            "base64" => Self::Base64,
            "hex" => Self::Hex,
            _ => Self::Pattern(text.to_owned()),
        }
    }
}

impl From<FieldFormat> for String {
    fn from(format: FieldFormat) -> Self {
        format.to_string()
    }
}

impl From<String> for FieldFormat {
    fn from(text: String) -> Self {
        Self::parse(&text)
    }
}

impl fmt::Display for FieldFormat {
    /// As definitions write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pattern(pattern) => pattern,
            Self::Iso8601 => "iso8601",
            Self::Rfc2822 => "rfc2822",
            Self::Epoch(TimeUnit::Second) => "seconds-since-epoch",
            Self::Epoch(TimeUnit::Millisecond) => "milliseconds-since-epoch",
            Self::Epoch(TimeUnit::Microsecond) => "microseconds-since-epoch",
            Self::Epoch(TimeUnit::Nanosecond) => "nanoseconds-since-epoch",
            Self::Base64 => "base64",
            Self::Hex => "hex",
        })
    }
}

/// Whose rules of conversion apply.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Compat {
    /// Ours: what does not convert is NULL and makes the record bad.
    #[default]
    None,
    /// Those of the Presto Kinesis connector's JSON decoder: a number that does not parse is 0, a fraction is cut off, and so on.
    Presto,
}
