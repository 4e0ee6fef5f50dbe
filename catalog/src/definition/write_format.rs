//! Formats and their options, as [`super::format_syntax`] reads them. What is as it is by default is left out.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_yaml::{Mapping, Value};

use super::format::{
    AvroFormat, AvroFraming, CsvFormat, Endian, Format, JsonFormat, JsonRows, ProtobufFraming, RawEncoding, RawField, RegexRows,
};
use super::write::{Keys, path};

pub(super) fn format(format: &Format) -> Value {
    let mut keys = Keys::default();
    match format {
        Format::Json(json) => json_keys(json, &mut keys),
        Format::Csv(csv) => csv_keys(csv, &mut keys),
        Format::Raw(raw) if raw.endian == Endian::Little => keys.text("endian", "little"),
        Format::Avro(avro) => {
            match avro.framing {
                AvroFraming::Datum => {}
                AvroFraming::SingleObject => keys.text("framing", "single_object"),
                AvroFraming::Container => keys.text("framing", "container"),
                AvroFraming::Confluent => keys.text("framing", "confluent"),
                AvroFraming::Glue => keys.text("framing", "glue"),
            }
            avro_schemas(avro, &mut keys);
        }
        Format::Protobuf(protobuf) => {
            match protobuf.framing {
                ProtobufFraming::None => {}
                ProtobufFraming::Delimited => keys.text("framing", "delimited"),
                ProtobufFraming::Confluent => keys.text("framing", "confluent"),
                ProtobufFraming::Glue => keys.text("framing", "glue"),
            }
            keys.text("message", &protobuf.message);
            if !protobuf.elements_of.is_empty() {
                keys.text("elements_of", &path(&protobuf.elements_of));
            }
            match protobuf.schema_id {
                Some(id) if protobuf.framing == ProtobufFraming::Glue => keys.text("schema_id", &uuid::Uuid::from_u128(id).to_string()),
                Some(id) => keys.text("schema_id", &id.to_string()),
                None => {}
            }
            // The name of the file that it may have been in is not kept.
            keys.text("descriptor_base64", &STANDARD.encode(&protobuf.descriptor));
        }
        Format::Regex(regex) => {
            keys.text("pattern", &regex.pattern);
            if regex.rows == RegexRows::Lines {
                keys.text("rows", "lines");
            }
        }
        Format::Raw(_) | Format::LogLines(_) | Format::CloudWatchLogs | Format::CloudEvents | Format::Dummy => {}
    }
    if keys.0.is_empty() {
        return format.name().into();
    }
    let mut named = Mapping::new();
    named.insert(format.name().into(), keys.0.into());
    named.into()
}

/// One without an id is `schema`, unless the framing wants a registry.
fn avro_schemas(avro: &AvroFormat, keys: &mut Keys) {
    let registered = matches!(avro.framing, AvroFraming::Confluent | AvroFraming::Glue);
    match &avro.schemas[..] {
        [] => {}
        [(id, schema)] if id.is_empty() && !registered => keys.text("schema", schema),
        schemas if schemas.iter().all(|(id, _)| id.is_empty()) => {
            let schemas: Vec<Value> = schemas.iter().map(|(_, schema)| schema.as_str().into()).collect();
            keys.value("registry", schemas.into());
        }
        schemas => {
            let mut by_id = Mapping::new();
            for (id, schema) in schemas {
                by_id.insert(id.as_str().into(), schema.as_str().into());
            }
            keys.value("registry", by_id.into());
        }
    }
}

fn json_keys(json: &JsonFormat, keys: &mut Keys) {
    match json.rows {
        JsonRows::Value | JsonRows::Lines => {}
        JsonRows::Values => keys.text("rows", "values"),
        JsonRows::Elements => keys.text("rows", "elements"),
    }
    if !json.elements_of.is_empty() {
        keys.text("elements_of", &path(&json.elements_of));
    }
}

fn csv_keys(csv: &CsvFormat, keys: &mut Keys) {
    let standard = CsvFormat::default();
    let character = |byte: Option<u8>| match byte {
        None => "none".to_owned(),
        Some(b'\t') => "tab".to_owned(),
        Some(byte) => char::from(byte).to_string(),
    };
    if csv.delimiter != standard.delimiter {
        keys.text("delimiter", &character(Some(csv.delimiter)));
    }
    for (key, own, usual) in [
        ("quote", csv.quote, standard.quote),
        ("escape", csv.escape, standard.escape),
        ("comment", csv.comment, standard.comment),
    ] {
        if own != usual {
            keys.text(key, &character(own));
        }
    }
    for (key, flag) in [("header", csv.header), ("trim", csv.trim)] {
        if flag {
            keys.value(key, true.into());
        }
    }
    keys.some("null", csv.null.as_ref());
}

/// Where a column of a `raw` record lies.
pub(super) fn raw_keys(raw: &RawField, keys: &mut Keys) {
    let range = match raw.end {
        Some(end) => format!("{}:{end}", raw.start),
        None => raw.start.to_string(),
    };
    keys.text("bytes", &range);
    keys.text(
        "encoding",
        match raw.encoding {
            RawEncoding::Byte => "byte",
            RawEncoding::Text => "text",
            RawEncoding::Short => "short",
            RawEncoding::Int => "int",
            RawEncoding::Long => "long",
            RawEncoding::Float => "float",
            RawEncoding::Double => "double",
        },
    );
    match raw.endian {
        None => {}
        Some(Endian::Big) => keys.text("endian", "big"),
        Some(Endian::Little) => keys.text("endian", "little"),
    }
}
