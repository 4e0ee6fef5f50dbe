//! SQL types of columns.

use std::fmt;

use arrow::datatypes::{DataType, TimeUnit};

use super::suggestion::did_you_mean;

/// SQL types that this version can decode.
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
    /// `varchar`, `varchar(n)`
    Varchar,
    /// `date`
    Date,
    /// `timestamp(unit)`, without zone = an instant in UTC
    Timestamp(TimeUnit),
}

/// Types of the interface that no version before has decoded.
const LATER: &[&str] = &["decimal", "varbinary", "time", "uuid", "json", "array", "map", "row"];
const KNOWN: &[&str] = &[
    "boolean",
    "tinyint",
    "smallint",
    "integer",
    "int",
    "bigint",
    "real",
    "double",
    "varchar",
    "date",
    "timestamp",
    "decimal",
    "varbinary",
    "time",
    "uuid",
    "json",
    "array",
    "map",
    "row",
];

impl ColumnType {
    /// The type in memory.
    pub fn data_type(&self) -> DataType {
        match self {
            Self::Boolean => DataType::Boolean,
            Self::TinyInt => DataType::Int8,
            Self::SmallInt => DataType::Int16,
            Self::Integer => DataType::Int32,
            Self::BigInt => DataType::Int64,
            Self::Real => DataType::Float32,
            Self::Double => DataType::Float64,
            Self::Varchar => DataType::Utf8,
            Self::Date => DataType::Date32,
            Self::Timestamp(unit) => DataType::Timestamp(*unit, None),
        }
    }

    /// Parses a type as definitions write it, case-insensitively. The error is a sentence about the type alone.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let lower = text.trim().to_ascii_lowercase();
        let end = lower.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(lower.len());
        let (word, rest) = lower.split_at(end);
        let rest = rest.trim();
        if LATER.contains(&word) {
            return Err(format!("type `{text}` is not supported yet"));
        }
        let argument = match rest.strip_prefix('(').map(|inner| inner.split_once(')')) {
            None if rest.is_empty() => None,
            Some(Some((argument, ""))) => Some(argument.trim()),
            Some(Some((_, tail))) if word == "timestamp" && tail.trim() == "with time zone" => {
                return Err(format!("type `{text}` is not supported yet"));
            }
            None if word == "timestamp" && rest == "with time zone" => return Err(format!("type `{text}` is not supported yet")),
            Some(None) => {
                return Err(format!(
                    "`{text}` has no closing parenthesis; in flow style ({{ ... }}) a type with a comma needs quotes: type: \"decimal(10,2)\""
                ));
            }
            _ => return Err(format!("`{text}` is not a type: unexpected `{rest}`")),
        };
        match (word, argument) {
            ("varchar", None) => Ok(Self::Varchar),
            ("varchar", Some(length)) => match length.parse::<u32>() {
                Ok(length) if length > 0 => Ok(Self::Varchar),
                _ => Err(format!("`{text}`: the length of a varchar is a number from 1, not `{length}`")),
            },
            ("timestamp", argument) => match argument {
                None | Some("ms" | "3") => Ok(Self::Timestamp(TimeUnit::Millisecond)),
                Some("s" | "0") => Ok(Self::Timestamp(TimeUnit::Second)),
                Some("us" | "6") => Ok(Self::Timestamp(TimeUnit::Microsecond)),
                Some("ns" | "9") => Ok(Self::Timestamp(TimeUnit::Nanosecond)),
                Some(other) => Err(format!(
                    "`{text}`: the unit of a timestamp is s, ms, us or ns (or 0, 3, 6, 9), not `{other}`"
                )),
            },
            ("boolean", None) => Ok(Self::Boolean),
            ("tinyint", None) => Ok(Self::TinyInt),
            ("smallint", None) => Ok(Self::SmallInt),
            ("integer" | "int", None) => Ok(Self::Integer),
            ("bigint", None) => Ok(Self::BigInt),
            ("real", None) => Ok(Self::Real),
            ("double", None) => Ok(Self::Double),
            ("date", None) => Ok(Self::Date),
            (known, Some(_)) if KNOWN.contains(&known) => Err(format!("`{text}`: type `{known}` takes no parameter")),
            _ => Err(format!("unknown type `{text}`{}", suggest(word))),
        }
    }
}

/// Names that other systems use come before spelling distance.
fn suggest(word: &str) -> String {
    let usual = match word {
        "string" | "text" | "char" | "utf8" => Some("varchar"),
        "bool" => Some("boolean"),
        "long" | "int8" | "int64" => Some("bigint"),
        "int4" | "int32" => Some("integer"),
        "int2" | "int16" | "short" => Some("smallint"),
        "byte" => Some("tinyint"),
        "float" | "float4" | "float32" => Some("real"),
        "float8" | "float64" => Some("double"),
        "datetime" | "timestamptz" => Some("timestamp"),
        "numeric" | "number" => Some("decimal"),
        _ => None,
    };
    match usual {
        Some(name) => format!(": did you mean `{name}`?"),
        None => did_you_mean(word, KNOWN),
    }
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
    /// As `DESCRIBE` and definitions write it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Boolean => "boolean",
            Self::TinyInt => "tinyint",
            Self::SmallInt => "smallint",
            Self::Integer => "integer",
            Self::BigInt => "bigint",
            Self::Real => "real",
            Self::Double => "double",
            Self::Varchar => "varchar",
            Self::Date => "date",
            Self::Timestamp(TimeUnit::Second) => "timestamp(s)",
            Self::Timestamp(TimeUnit::Millisecond) => "timestamp(ms)",
            Self::Timestamp(TimeUnit::Microsecond) => "timestamp(us)",
            Self::Timestamp(TimeUnit::Nanosecond) => "timestamp(ns)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        for (text, expected) in [
            ("BIGINT", ColumnType::BigInt),
            ("int", ColumnType::Integer),
            ("Varchar(20)", ColumnType::Varchar),
            ("timestamp", ColumnType::Timestamp(TimeUnit::Millisecond)),
            ("timestamp(s)", ColumnType::Timestamp(TimeUnit::Second)),
            ("TIMESTAMP(6)", ColumnType::Timestamp(TimeUnit::Microsecond)),
            ("timestamp( ns )", ColumnType::Timestamp(TimeUnit::Nanosecond)),
            ("date", ColumnType::Date),
        ] {
            assert_eq!(ColumnType::parse(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (text, part) in [
            ("decimal(10,2)", "not supported yet"),
            ("DECIMAL", "not supported yet"),
            ("array<bigint>", "not supported yet"),
            ("timestamp(ms) with time zone", "not supported yet"),
            ("timestamp with time zone", "not supported yet"),
            ("decimal(10", "not supported yet"),
            ("varchar(10", "needs quotes"),
            ("bigin", "`bigint`"),
            ("string", "`varchar`"),
            ("timestamp(2)", "s, ms, us or ns"),
            ("varchar(0)", "from 1"),
            ("bigint(3)", "takes no parameter"),
            ("", "unknown type"),
        ] {
            let error = ColumnType::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
