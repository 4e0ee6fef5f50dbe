//! Formats as our YAML writes them: `format: csv`, or with options `format: { csv: { delimiter: ";" } }`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::avro_syntax;
use super::beside::Beside;
use super::check;
use super::cursor::Cursor;
use super::format::{
    CsvFormat, Endian, Format, JsonFormat, JsonRows, LogLines, ProtobufFormat, ProtobufFraming, RawFormat, RegexFormat, RegexRows,
};
use super::node::{Node, Problem};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Word {
    Json,
    Ndjson,
    Csv,
    Raw,
    Avro,
    Protobuf,
    Clf,
    Combined,
    Regex,
    CloudWatchLogs,
    CloudEvents,
    Dummy,
}

const WORDS: &[(&str, Word)] = &[
    ("json", Word::Json),
    ("ndjson", Word::Ndjson),
    ("csv", Word::Csv),
    ("raw", Word::Raw),
    ("avro", Word::Avro),
    ("protobuf", Word::Protobuf),
    ("clf", Word::Clf),
    ("combined", Word::Combined),
    ("regex", Word::Regex),
    ("cloudwatch_logs", Word::CloudWatchLogs),
    ("cloudevents", Word::CloudEvents),
    ("dummy", Word::Dummy),
];

/// The format at this place; files that it names are read now, and become part of the definition.
pub(super) fn format(place: &Cursor<'_>, beside: &Beside) -> Result<Format, Problem> {
    let (word, options) = match place.node {
        Node::Map(entries) => {
            let [(name, _)] = &entries[..] else {
                return Err(place.keyed_problem("write one format with its options: format: { csv: { delimiter: \";\" } }"));
            };
            let words: Vec<&str> = WORDS.iter().map(|(word, _)| *word).collect();
            place.check_keys(&words, &[])?;
            let word = WORDS.iter().find(|(word, _)| word == name).map(|(_, word)| *word);
            match (word, place.get_non_null(name)?) {
                (Some(word), options) => (word, options),
                (None, _) => return Err(place.keyed_problem(format!("unknown format `{name}`"))),
            }
        }
        _ => (place.choice(WORDS, &[])?, None),
    };
    let empty = Node::Map(Vec::new());
    let options = options.unwrap_or_else(|| place.of(&empty));
    Ok(match word {
        Word::Json => Format::Json(json(&options)?),
        Word::Csv => Format::Csv(csv(&options)?),
        Word::Raw => {
            options.check_keys(&["endian"], &[])?;
            Format::Raw(RawFormat {
                endian: endian(&options)?.unwrap_or_default(),
            })
        }
        Word::Avro => Format::Avro(avro_syntax::avro(&options, beside)?),
        Word::Protobuf => Format::Protobuf(protobuf(&options, beside)?),
        Word::Regex => {
            options.check_keys(&["pattern", "rows"], &[])?;
            Format::Regex(regex(&options)?)
        }
        plain => {
            options.check_keys(&[], &[])?;
            match plain {
                Word::Ndjson => Format::Json(JsonFormat {
                    rows: JsonRows::Lines,
                    elements_of: Vec::new(),
                }),
                Word::Clf => Format::LogLines(LogLines::Common),
                Word::Combined => Format::LogLines(LogLines::Combined),
                Word::CloudWatchLogs => Format::CloudWatchLogs,
                Word::CloudEvents => Format::CloudEvents,
                _ => Format::Dummy,
            }
        }
    })
}

fn json(options: &Cursor<'_>) -> Result<JsonFormat, Problem> {
    options.check_keys(&["rows", "elements_of"], &[])?;
    let elements_of = options
        .get("elements_of")?
        .map(|path| check::path(path.text()?, true).map_err(|message| path.keyed_problem(message)))
        .transpose()?
        .unwrap_or_default();
    let rows = match options.get("rows")? {
        Some(rows) => {
            let choice = rows.choice(
                &[
                    ("value", JsonRows::Value),
                    ("values", JsonRows::Values),
                    ("elements", JsonRows::Elements),
                    ("lines", JsonRows::Lines),
                ],
                &[],
            )?;
            if choice != JsonRows::Elements && !elements_of.is_empty() {
                return Err(rows.keyed_problem("`elements_of` goes with `rows: elements`"));
            }
            choice
        }
        None if elements_of.is_empty() => JsonRows::Value,
        None => JsonRows::Elements,
    };
    Ok(JsonFormat { rows, elements_of })
}

fn csv(options: &Cursor<'_>) -> Result<CsvFormat, Problem> {
    options.check_keys(&["delimiter", "quote", "escape", "header", "null", "trim", "comment"], &[])?;
    let standard = CsvFormat::default();
    let format = CsvFormat {
        delimiter: match options.get("delimiter")? {
            Some(place) => byte(&place)?,
            None => standard.delimiter,
        },
        quote: match options.get("quote")? {
            Some(place) => byte_or_none(&place)?,
            None => standard.quote,
        },
        escape: options.get("escape")?.map(|place| byte_or_none(&place)).transpose()?.flatten(),
        header: flag(options, "header")?,
        null: options.get("null")?.map(|place| place.text().map(str::to_owned)).transpose()?,
        trim: flag(options, "trim")?,
        comment: options.get("comment")?.map(|place| byte_or_none(&place)).transpose()?.flatten(),
    };
    let used = [Some(format.delimiter), format.quote, format.escape, format.comment];
    let clash = (0..used.len()).any(|index| {
        let quote_and_escape = index == 1 && used[1] == used[2];
        used[index].is_some() && !quote_and_escape && used[index + 1..].contains(&used[index])
    });
    if clash {
        return Err(options.keyed_problem("delimiter, quote, escape and comment are four different characters"));
    }
    Ok(format)
}

fn flag(options: &Cursor<'_>, key: &str) -> Result<bool, Problem> {
    Ok(options.get(key)?.map(|place| place.boolean()).transpose()?.unwrap_or(false))
}

fn byte(place: &Cursor<'_>) -> Result<u8, Problem> {
    match place.text()? {
        "\\t" | "tab" => Ok(b'\t'),
        text => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'\n' | b'\r') => Ok(*byte),
            _ => Err(place.keyed_problem(format!("`{text}` is not one ASCII character (or `tab`)"))),
        },
    }
}

fn byte_or_none(place: &Cursor<'_>) -> Result<Option<u8>, Problem> {
    match place.node {
        Node::Null => Ok(None),
        Node::Text(text) if text == "none" => Ok(None),
        _ => byte(place).map(Some),
    }
}

pub(super) const ENDIANS: &[(&str, Endian)] = &[("big", Endian::Big), ("little", Endian::Little)];

pub(super) fn endian(place: &Cursor<'_>) -> Result<Option<Endian>, Problem> {
    place.get("endian")?.map(|endian| endian.choice(ENDIANS, &[])).transpose()
}

fn protobuf(options: &Cursor<'_>, beside: &Beside) -> Result<ProtobufFormat, Problem> {
    options.check_keys(
        &["framing", "message", "descriptor", "descriptor_base64", "elements_of", "schema_id"],
        &[],
    )?;
    let framing = match options.get("framing")? {
        Some(framing) => framing.choice(
            &[
                ("none", ProtobufFraming::None),
                ("delimited", ProtobufFraming::Delimited),
                ("confluent", ProtobufFraming::Confluent),
                ("glue", ProtobufFraming::Glue),
            ],
            &[],
        )?,
        None => ProtobufFraming::None,
    };
    let message = options.require("message")?;
    let descriptor = match (options.get("descriptor_base64")?, options.get("descriptor")?) {
        (Some(_), Some(file)) => return Err(file.keyed_problem("give `descriptor` or `descriptor_base64`, not both")),
        (Some(text), None) => STANDARD
            .decode(text.text()?.split_ascii_whitespace().collect::<String>())
            .map_err(|error| text.keyed_problem(format!("not base64: {error}")))?,
        (None, _) => beside.read(&options.require("descriptor")?)?,
    };
    let mut format = ProtobufFormat::new(framing, message.non_empty_text()?, descriptor);
    crate::decode::compile_protobuf(&format).map_err(|problem| message.keyed_problem(problem))?;
    if let Some(place) = options.get("elements_of")? {
        format.elements_of = check::path(place.text()?, true).map_err(|problem| place.keyed_problem(problem))?;
        crate::decode::check_protobuf_elements(&format).map_err(|problem| place.keyed_problem(problem))?;
    }
    if let Some(place) = options.get("schema_id")? {
        let text = match place.node {
            Node::Number(number) => number.as_str(),
            _ => place.text()?,
        };
        let id = match framing {
            ProtobufFraming::Confluent => text
                .parse::<u32>()
                .map(u128::from)
                .map_err(|_| "Confluent's ids are numbers of 32 bits"),
            ProtobufFraming::Glue => uuid::Uuid::try_parse(text)
                .map(|id| id.as_u128())
                .map_err(|_| "Glue's ids are UUIDs"),
            ProtobufFraming::None | ProtobufFraming::Delimited => Err("it goes with `framing: confluent` or `glue`"),
        };
        format.schema_id = Some(id.map_err(|problem| place.keyed_problem(problem))?);
    }
    Ok(format)
}

fn regex(options: &Cursor<'_>) -> Result<RegexFormat, Problem> {
    let pattern = options.require("pattern")?;
    let rows = match options.get("rows")? {
        Some(rows) => rows.choice(&[("record", RegexRows::Record), ("lines", RegexRows::Lines)], &[])?,
        None => RegexRows::Record,
    };
    let format = RegexFormat::new(pattern.non_empty_text()?, rows);
    crate::decode::compile_regex(&format).map_err(|message| pattern.keyed_problem(message))?;
    Ok(format)
}
