//! How COPY writes: formats and their options.

use std::sync::Arc;

use catalog::StoredAs;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::common::config::{ConfigField, TableParquetOptions};
use datafusion::common::file_options::csv_writer::CsvWriterOptions;
use datafusion::common::file_options::json_writer::JsonWriterOptions;
use datafusion::common::parsers::CompressionTypeVariant;
use datafusion::datasource::file_format::csv::CsvSink;
use datafusion::datasource::file_format::json::JsonSink;
use datafusion::datasource::file_format::parquet::ParquetSink;
use datafusion::datasource::physical_plan::FileSinkConfig;
use datafusion::datasource::sink::DataSink;

use super::super::error::EngineError;

/// Options of Parquet files, as the query engine names them.
const PARQUET: [&str; 2] = ["compression", "max_row_group_size"];

/// What files COPY writes.
#[derive(Debug, Clone)]
pub(super) enum Writing {
    Parquet(Box<TableParquetOptions>),
    Csv(WriterBuilder),
    Json,
}

impl Writing {
    pub(super) fn new(format: StoredAs, options: &[(String, String)]) -> Result<Self, EngineError> {
        let mut parquet = TableParquetOptions::default();
        let mut csv = WriterBuilder::new().with_header(true);
        for (key, value) in options {
            let key = key.to_ascii_lowercase();
            let key = key.strip_prefix("format.").unwrap_or(&key);
            let wrong = |why: &str| EngineError::Invalid(format!("COPY: option `{key}`: {why}"));
            match (format, key) {
                (StoredAs::Parquet, key) if PARQUET.contains(&key) => {
                    parquet.set(key, value).map_err(|error| wrong(&error.strip_backtrace()))?
                }
                (StoredAs::Csv, "header") => {
                    let header = value.to_ascii_lowercase().parse().map_err(|_| wrong("true or false"))?;
                    csv = csv.with_header(header);
                }
                (StoredAs::Csv, "delimiter") => {
                    csv = csv.with_delimiter(byte(value).ok_or_else(|| wrong("a character of one byte, or tab"))?)
                }
                (StoredAs::Csv, "quote") => csv = csv.with_quote(byte(value).ok_or_else(|| wrong("a character of one byte"))?),
                (StoredAs::Csv, "null_value") => csv = csv.with_null(value.clone()),
                (format, _) => {
                    return Err(wrong(&format!(
                        "files stored as {} are written with {}",
                        format.word(),
                        match format {
                            StoredAs::Parquet => "compression and max_row_group_size",
                            StoredAs::Csv => "header, delimiter, quote and null_value",
                            StoredAs::Json | StoredAs::Delta => "no options",
                        }
                    )));
                }
            }
        }
        Ok(match format {
            StoredAs::Parquet => Self::Parquet(Box::new(parquet)),
            StoredAs::Csv => Self::Csv(csv),
            StoredAs::Json => Self::Json,
            StoredAs::Delta => {
                return Err(EngineError::NotSupported("COPY writes no Delta tables: offload jobs do".into()));
            }
        })
    }

    pub(super) fn sink(&self, config: FileSinkConfig) -> Arc<dyn DataSink> {
        let plain = CompressionTypeVariant::UNCOMPRESSED;
        match self {
            Self::Parquet(options) => Arc::new(ParquetSink::new(config, TableParquetOptions::clone(options))),
            Self::Csv(writer) => Arc::new(CsvSink::new(config, CsvWriterOptions::new(writer.clone(), plain))),
            Self::Json => Arc::new(JsonSink::new(config, JsonWriterOptions::new(plain))),
        }
    }
}

fn byte(text: &str) -> Option<u8> {
    match text.as_bytes() {
        b"tab" => Some(b'\t'),
        [byte] => Some(*byte),
        _ => None,
    }
}

/// The format that a name ends with.
pub(super) fn by_extension(name: &str) -> Option<StoredAs> {
    match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
        "parquet" => Some(StoredAs::Parquet),
        "csv" => Some(StoredAs::Csv),
        "json" | "ndjson" | "jsonl" => Some(StoredAs::Json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_belong_to_formats() {
        let option = |key: &str, value: &str| vec![(key.to_owned(), value.to_owned())];
        for (format, key, value) in [
            (StoredAs::Parquet, "COMPRESSION", "snappy"),
            (StoredAs::Parquet, "format.max_row_group_size", "1000"),
            (StoredAs::Csv, "header", "false"),
            (StoredAs::Csv, "delimiter", "tab"),
        ] {
            assert!(Writing::new(format, &option(key, value)).is_ok(), "{key}");
        }
        for (format, key, value) in [
            (StoredAs::Parquet, "header", "true"),
            (StoredAs::Parquet, "max_row_group_size", "many"),
            (StoredAs::Csv, "header", "perhaps"),
            (StoredAs::Csv, "delimiter", "::"),
            (StoredAs::Json, "header", "true"),
        ] {
            let error = Writing::new(format, &option(key, value)).unwrap_err();
            assert!(error.to_string().contains(key), "{error}");
        }
    }

    #[test]
    fn names_tell_formats() {
        assert_eq!(by_extension("a/b.PARQUET"), Some(StoredAs::Parquet));
        assert_eq!(by_extension("a/b.jsonl"), Some(StoredAs::Json));
        assert_eq!(by_extension("a.csv/b"), None);
    }
}
