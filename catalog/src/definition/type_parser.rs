//! Types as definitions write them.

use arrow::datatypes::{DECIMAL256_MAX_PRECISION, TimeUnit};

use super::ColumnType;
use super::suggestion::did_you_mean;

const KNOWN: &[&str] = &[
    "boolean",
    "tinyint",
    "smallint",
    "integer",
    "int",
    "bigint",
    "real",
    "double",
    "decimal",
    "varchar",
    "varbinary",
    "date",
    "time",
    "timestamp",
    "uuid",
    "json",
    "array",
    "map",
    "row",
];
/// Levels of types in types.
const MOST_LEVELS: usize = 32;

impl ColumnType {
    /// Parses a type, case-insensitively but for names of a row's fields. Both `array<bigint>` and `array(bigint)` are read. The error is a sentence
    /// about the type alone.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut parser = Parser { text, rest: text };
        let parsed = parser.any(0)?;
        match parser.rest.trim() {
            "" => Ok(parsed),
            rest => Err(format!("`{text}` is not a type: unexpected `{rest}`")),
        }
    }
}

/// Whether a field's name needs no quotes.
pub(super) fn is_word(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_') && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn any(&mut self, level: usize) -> Result<ColumnType, String> {
        if level >= MOST_LEVELS {
            return Err(format!("types are nested more than {MOST_LEVELS} levels deep"));
        }
        let written = self.word();
        let word = written.to_ascii_lowercase();
        match &*word {
            "array" => {
                let close = self.open("array<element>")?;
                let element = self.any(level + 1)?;
                self.expect(close)?;
                Ok(ColumnType::Array(Box::new(element)))
            }
            "map" => {
                let close = self.open("map<key, value>")?;
                let key = self.any(level + 1)?;
                if key.is_nested() || key == ColumnType::Json {
                    return Err(format!("`{}`: the key of a map is a scalar, not {key}", self.text));
                }
                self.expect(',')?;
                let value = self.any(level + 1)?;
                self.expect(close)?;
                Ok(ColumnType::Map(Box::new(key), Box::new(value)))
            }
            "row" => {
                let close = self.open("row<name type, ...>")?;
                let mut fields: Vec<(String, ColumnType)> = Vec::new();
                loop {
                    let name = self.name()?;
                    if fields.iter().any(|(other, _)| *other == name) {
                        return Err(format!("`{}`: field `{name}` is given twice", self.text));
                    }
                    fields.push((name, self.any(level + 1)?));
                    if !self.take(',') {
                        break;
                    }
                }
                self.expect(close)?;
                Ok(ColumnType::Row(fields))
            }
            _ => self.scalar(&word),
        }
    }

    fn scalar(&mut self, word: &str) -> Result<ColumnType, String> {
        let arguments = self.arguments()?;
        let text = self.text;
        match (word, arguments.as_deref()) {
            ("varchar", None) => Ok(ColumnType::Varchar),
            ("varchar", Some([length])) => match length.parse::<u32>() {
                Ok(length) if length > 0 => Ok(ColumnType::Varchar),
                _ => Err(format!("`{text}`: the length of a varchar is a number from 1, not `{length}`")),
            },
            ("decimal", None) => Ok(ColumnType::Decimal(38, 0)),
            ("decimal", Some([precision])) => decimal(text, precision, "0"),
            ("decimal", Some([precision, scale])) => decimal(text, precision, scale),
            ("time", arguments) => {
                let unit = unit(text, "time", arguments)?;
                match self.zone()? {
                    true => Err(format!(
                        "`{text}`: a time of day with a zone is no type here; use varchar, or a timestamp with time zone"
                    )),
                    false => Ok(ColumnType::Time(unit)),
                }
            }
            ("timestamp", arguments) => {
                let unit = unit(text, "timestamp", arguments)?;
                Ok(match self.zone()? {
                    true => ColumnType::TimestampWithZone(unit),
                    false => ColumnType::Timestamp(unit),
                })
            }
            ("boolean", None) => Ok(ColumnType::Boolean),
            ("tinyint", None) => Ok(ColumnType::TinyInt),
            ("smallint", None) => Ok(ColumnType::SmallInt),
            ("integer" | "int", None) => Ok(ColumnType::Integer),
            ("bigint", None) => Ok(ColumnType::BigInt),
            ("real", None) => Ok(ColumnType::Real),
            ("double", None) => Ok(ColumnType::Double),
            ("date", None) => Ok(ColumnType::Date),
            ("varbinary", None) => Ok(ColumnType::Varbinary),
            ("uuid", None) => Ok(ColumnType::Uuid),
            ("json", None) => Ok(ColumnType::Json),
            ("decimal", Some(_)) => Err(format!("`{text}`: a decimal has a precision and a scale: decimal(10,2)")),
            (known, Some(_)) if KNOWN.contains(&known) => Err(format!("`{text}`: type `{known}` takes no parameter")),
            _ => Err(format!("unknown type `{text}`{}", suggest(word))),
        }
    }

    fn word(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        let end = self
            .rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A field's name: a word, or anything in quotes (`""` for a quote).
    fn name(&mut self) -> Result<String, String> {
        let missing = || format!("`{}`: a field of a row has a name and a type: row<name varchar>", self.text);
        if let Some(mut rest) = self.rest.trim_start().strip_prefix('"') {
            let mut name = String::new();
            loop {
                let (part, tail) = rest
                    .split_once('"')
                    .ok_or_else(|| format!("`{}`: a quote is not closed", self.text))?;
                name.push_str(part);
                match tail.strip_prefix('"') {
                    Some(tail) => {
                        name.push('"');
                        rest = tail;
                    }
                    None => {
                        self.rest = tail;
                        return if name.is_empty() { Err(missing()) } else { Ok(name) };
                    }
                }
            }
        }
        match self.word() {
            "" => Err(format!(
                "`{}`: a field of a row has a name and a type: row<name varchar>",
                self.text
            )),
            word => Ok(word.to_owned()),
        }
    }

    fn take(&mut self, c: char) -> bool {
        match self.rest.trim_start().strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// The bracket that closes what is opened here.
    fn open(&mut self, usage: &str) -> Result<char, String> {
        if self.take('<') {
            Ok('>')
        } else if self.take('(') {
            Ok(')')
        } else {
            Err(format!("`{}`: write {usage}", self.text))
        }
    }

    fn expect(&mut self, c: char) -> Result<(), String> {
        if self.take(c) {
            return Ok(());
        }
        match self.rest.trim() {
            "" => Err(self.unclosed()),
            rest => Err(format!("`{}`: expected `{c}` before `{rest}`", self.text)),
        }
    }

    fn unclosed(&self) -> String {
        format!(
            "`{}` has no closing bracket; in flow style ({{ ... }}) a type with a comma needs quotes: type: \"decimal(10,2)\"",
            self.text
        )
    }

    fn arguments(&mut self) -> Result<Option<Vec<&'a str>>, String> {
        if !self.take('(') {
            return Ok(None);
        }
        let (inner, rest) = self.rest.split_once(')').ok_or_else(|| self.unclosed())?;
        self.rest = rest;
        Ok(Some(inner.split(',').map(str::trim).collect()))
    }

    /// `with time zone` or `without time zone`.
    fn zone(&mut self) -> Result<bool, String> {
        let before = self.rest;
        let first = self.word();
        let with = first.eq_ignore_ascii_case("with");
        if !with && !first.eq_ignore_ascii_case("without") {
            self.rest = before;
            return Ok(false);
        }
        match self.word().eq_ignore_ascii_case("time") && self.word().eq_ignore_ascii_case("zone") {
            true => Ok(with),
            false => Err(format!("`{}` is not a type: unexpected `{}`", self.text, before.trim())),
        }
    }
}

fn decimal(text: &str, precision: &str, scale: &str) -> Result<ColumnType, String> {
    match (precision.parse::<u8>(), scale.parse::<u8>()) {
        (Ok(precision), Ok(scale)) if (1..=DECIMAL256_MAX_PRECISION).contains(&precision) && scale <= precision => {
            Ok(ColumnType::Decimal(precision, scale))
        }
        _ => Err(format!(
            "`{text}`: a decimal has 1 to {DECIMAL256_MAX_PRECISION} digits, and at most as many after the point"
        )),
    }
}

fn unit(text: &str, word: &str, arguments: Option<&[&str]>) -> Result<TimeUnit, String> {
    match arguments.map(|arguments| arguments.join(",").to_ascii_lowercase()).as_deref() {
        None | Some("ms" | "3") => Ok(TimeUnit::Millisecond),
        Some("s" | "0") => Ok(TimeUnit::Second),
        Some("us" | "6") => Ok(TimeUnit::Microsecond),
        Some("ns" | "9") => Ok(TimeUnit::Nanosecond),
        Some(other) => Err(format!(
            "`{text}`: the unit of a {word} is s, ms, us or ns (or 0, 3, 6, 9), not `{other}`"
        )),
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
        "bytes" | "binary" | "blob" | "bytea" => Some("varbinary"),
        "float" | "float4" | "float32" => Some("real"),
        "float8" | "float64" => Some("double"),
        "datetime" => Some("timestamp"),
        "timestamptz" => Some("timestamp with time zone"),
        "numeric" | "number" => Some("decimal"),
        "list" => Some("array"),
        "struct" | "record" | "object" => Some("row"),
        "jsonb" => Some("json"),
        _ => None,
    };
    match usual {
        Some(name) => format!(": did you mean `{name}`?"),
        None => did_you_mean(word, KNOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings() {
        let row = |fields: &[(&str, ColumnType)]| {
            ColumnType::Row(fields.iter().map(|(name, field)| ((*name).to_owned(), field.clone())).collect())
        };
        for (text, expected) in [
            ("BIGINT", ColumnType::BigInt),
            ("int", ColumnType::Integer),
            ("Varchar(20)", ColumnType::Varchar),
            ("timestamp", ColumnType::Timestamp(TimeUnit::Millisecond)),
            ("timestamp(s)", ColumnType::Timestamp(TimeUnit::Second)),
            ("TIMESTAMP(6)", ColumnType::Timestamp(TimeUnit::Microsecond)),
            ("timestamp( ns )", ColumnType::Timestamp(TimeUnit::Nanosecond)),
            ("timestamp without time zone", ColumnType::Timestamp(TimeUnit::Millisecond)),
            ("timestamp(9) WITH time ZONE", ColumnType::TimestampWithZone(TimeUnit::Nanosecond)),
            ("date", ColumnType::Date),
            ("time(us)", ColumnType::Time(TimeUnit::Microsecond)),
            ("decimal", ColumnType::Decimal(38, 0)),
            ("decimal(76, 10)", ColumnType::Decimal(76, 10)),
            ("decimal(5)", ColumnType::Decimal(5, 0)),
            ("ARRAY(BIGINT)", ColumnType::Array(Box::new(ColumnType::BigInt))),
            (
                "map< varchar,array<json> >",
                ColumnType::Map(
                    Box::new(ColumnType::Varchar),
                    Box::new(ColumnType::Array(Box::new(ColumnType::Json))),
                ),
            ),
            (
                "row(Id uuid, \"a \"\"b\" row<c varbinary>, at timestamp(3) with time zone)",
                row(&[
                    ("Id", ColumnType::Uuid),
                    ("a \"b", row(&[("c", ColumnType::Varbinary)])),
                    ("at", ColumnType::TimestampWithZone(TimeUnit::Millisecond)),
                ]),
            ),
        ] {
            assert_eq!(ColumnType::parse(text).as_ref(), Ok(&expected), "{text}");
            assert_eq!(ColumnType::parse(&expected.to_string()), Ok(expected), "as it is shown");
        }
    }

    #[test]
    fn refusals_say_what_to_do() {
        for (text, part) in [
            ("decimal(10", "needs quotes"),
            ("decimal(0)", "1 to 76"),
            ("decimal(77)", "1 to 76"),
            ("decimal(5,6)", "as many after the point"),
            ("decimal(1,2,3)", "a precision and a scale"),
            ("array", "array<element>"),
            ("array<bigint", "needs quotes"),
            ("map<varchar", "needs quotes"),
            ("map<varchar>", "expected `,`"),
            ("map<row<a bigint>, bigint>", "is a scalar"),
            ("row<bigint>", "unknown type"),
            ("row<a bigint, a date>", "given twice"),
            ("row<\"a bigint>", "not closed"),
            ("row<>", "a name and a type"),
            ("varchar(10", "needs quotes"),
            ("bigin", "`bigint`"),
            ("string", "`varchar`"),
            ("timestamp(2)", "s, ms, us or ns"),
            ("timestamp with zone", "unexpected"),
            ("time with time zone", "varchar"),
            ("varchar(0)", "from 1"),
            ("bigint(3)", "takes no parameter"),
            ("bigint x", "unexpected `x`"),
            ("", "unknown type"),
        ] {
            let error = ColumnType::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(ColumnType::parse(&"array<".repeat(100_000)).unwrap_err().contains("levels"));
    }
}
