//! SQL types of columns.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Field, Fields, TimeUnit};

/// Fraction digits of a type are at most as many as its digits, so they fit in this.
const _: () = assert!(DECIMAL256_MAX_PRECISION <= 127);

/// What arrow calls the zone of a timestamp with zone: its values are instants, shown in UTC. An offset rather than a name, since not every client
/// has a database of zones.
pub const UTC: &str = "+00:00";

/// SQL types of columns.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum ColumnType {
    /// `boolean`
    Boolean,
    /// `tinyint`
    TinyInt,
    /// `smallint`
    SmallInt,
    /// `integer`
    Integer,
    /// `bigint`
    BigInt,
    /// `real`
    Real,
    /// `double`
    Double,
    /// `decimal(precision, scale)`: 1 to 76 digits, of which so many after the point
    Decimal(u8, u8),
    /// `varchar`, `varchar(n)`
    Varchar,
    /// `varbinary`
    Varbinary,
    /// `date`
    Date,
    /// `time(unit)`: a time of day
    Time(TimeUnit),
    /// `timestamp(unit)`, without zone = an instant in UTC
    Timestamp(TimeUnit),
    /// `timestamp(unit) with time zone`: an instant too, but told as one to clients
    TimestampWithZone(TimeUnit),
    /// `uuid`: in memory its canonical text, since most clients show 16 bytes as noise
    Uuid,
    /// `json`: any JSON value as compact text
    Json,
    /// `array<element>`
    Array(Box<ColumnType>),
    /// `map<key, value>`; keys are scalars
    Map(Box<ColumnType>, Box<ColumnType>),
    /// `row<name type, …>`; names as written, they are keys of objects
    Row(Vec<(String, ColumnType)>),
}

impl ColumnType {
    /// The type in memory; everything in it nullable but keys of maps.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Decimal(precision, scale) if *precision <= DECIMAL128_MAX_PRECISION => DataType::Decimal128(*precision, scale_of(*scale)),
            Self::Decimal(precision, scale) => DataType::Decimal256(*precision, scale_of(*scale)),
            Self::Varchar | Self::Uuid | Self::Json => DataType::Utf8,
            Self::Varbinary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Time(unit @ (TimeUnit::Second | TimeUnit::Millisecond)) => DataType::Time32(*unit),
            Self::Time(unit) => DataType::Time64(*unit),
            Self::Timestamp(unit) => DataType::Timestamp(*unit, None),
            Self::TimestampWithZone(unit) => DataType::Timestamp(*unit, Some(UTC.into())),
            Self::Array(element) => DataType::List(Arc::new(Field::new_list_field(element.data_type(), true))),
            Self::Map(key, value) => {
                let entry = Fields::from(vec![
                    Field::new("key", key.data_type(), false),
                    Field::new("value", value.data_type(), true),
                ]);
                DataType::Map(Arc::new(Field::new("entries", DataType::Struct(entry), false)), false)
            }
            Self::Row(fields) => DataType::Struct(
                fields
                    .iter()
                    .map(|(name, field)| Field::new(name, field.data_type(), true))
                    .collect(),
            ),
        }
    }

    /// Whether a value may hold others.
    pub fn is_nested(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Map(..) | Self::Row(_))
    }

    /// Whether a value is a date, a time of day or an instant.
    pub fn is_time(&self) -> bool {
        matches!(self, Self::Date | Self::Time(_) | Self::Timestamp(_) | Self::TimestampWithZone(_))
    }
}

fn scale_of(scale: u8) -> i8 {
    i8::try_from(scale).unwrap_or(i8::MAX)
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

impl TryFrom<String> for ColumnType {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text)
    }
}

impl fmt::Display for ColumnType {
    /// As `DESCRIBE` and definitions write it; parsing it gives the type again.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::TinyInt => f.write_str("tinyint"),
            Self::SmallInt => f.write_str("smallint"),
            Self::Integer => f.write_str("integer"),
            Self::BigInt => f.write_str("bigint"),
            Self::Real => f.write_str("real"),
            Self::Double => f.write_str("double"),
            Self::Decimal(precision, scale) => write!(f, "decimal({precision},{scale})"),
            Self::Varchar => f.write_str("varchar"),
            Self::Varbinary => f.write_str("varbinary"),
            Self::Date => f.write_str("date"),
            Self::Time(unit) => write!(f, "time({})", unit_name(*unit)),
            Self::Timestamp(unit) => write!(f, "timestamp({})", unit_name(*unit)),
            Self::TimestampWithZone(unit) => write!(f, "timestamp({}) with time zone", unit_name(*unit)),
            Self::Uuid => f.write_str("uuid"),
            Self::Json => f.write_str("json"),
            Self::Array(element) => write!(f, "array<{element}>"),
            Self::Map(key, value) => write!(f, "map<{key}, {value}>"),
            Self::Row(fields) => {
                f.write_str("row<")?;
                for (index, (name, field)) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    match super::type_parser::is_word(name) {
                        true => write!(f, "{comma}{name} {field}")?,
                        false => write!(f, "{comma}\"{}\" {field}", name.replace('"', "\"\""))?,
                    }
                }
                f.write_str(">")
            }
        }
    }
}

fn unit_name(unit: TimeUnit) -> &'static str {
    match unit {
        TimeUnit::Second => "s",
        TimeUnit::Millisecond => "ms",
        TimeUnit::Microsecond => "us",
        TimeUnit::Nanosecond => "ns",
    }
}
