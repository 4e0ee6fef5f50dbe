//! One line a record, and its header before it, where the definition says that there is one.

use arrow::array::{Array, ArrayRef};

use super::scalar::{Kind, Scalar};
use super::{EncodeError, RecordFormat};
use crate::{ColumnDefinition, ColumnType, CsvFormat};

#[derive(Debug)]
pub(super) struct Csv {
    options: CsvFormat,
    columns: Vec<ColumnDefinition>,
    writers: Vec<Scalar>,
    /// Of each field of a line the column in it, by its place.
    fields: Vec<Option<usize>>,
    /// The header and its line end.
    header: String,
    text: String,
    line: String,
}

impl Csv {
    pub(super) fn new(options: &CsvFormat, columns: Vec<ColumnDefinition>) -> Result<Self, EncodeError> {
        let mut fields: Vec<Option<usize>> = Vec::new();
        for (place, column) in columns.iter().enumerate() {
            let Some(index) = column.index else { continue };
            fields.resize(fields.len().max(index + 1), None);
            if let Some(other) = fields[index].replace(place) {
                return Err(EncodeError::of(
                    column,
                    format!("column `{}` is in the same field; name the columns to write", columns[other].name),
                ));
            }
        }
        for (place, column) in columns.iter().enumerate().filter(|(_, column)| column.index.is_none()) {
            if !options.header {
                return Err(EncodeError::of(column, "it has no place in a line (its `index`)"));
            }
            match fields.iter_mut().find(|field| field.is_none()) {
                Some(free) => *free = Some(place),
                None => fields.push(Some(place)),
            }
        }
        let writers = columns
            .iter()
            .map(|column| Scalar::of(column).map_err(|reason| EncodeError::of(column, reason)));
        let mut csv = Self {
            writers: writers.collect::<Result<_, _>>()?,
            options: options.clone(),
            fields,
            header: String::new(),
            text: String::new(),
            line: String::new(),
            columns,
        };
        if options.header {
            let mut header = String::new();
            for (field, place) in csv.fields.iter().enumerate() {
                if field > 0 {
                    header.push(char::from(options.delimiter));
                }
                let name = place.map_or_else(String::new, |place| csv.columns[place].path.join("/"));
                csv.field(&name, field == 0, csv.fields.len() == 1, &mut header)
                    .map_err(EncodeError::whole)?;
            }
            header.push('\n');
            csv.header = header;
        }
        Ok(csv)
    }

    /// Adds a text as a field, in quotes if it needs them. `alone`: an empty one would make a blank line, which is no row.
    fn field(&self, text: &str, first: bool, alone: bool, line: &mut String) -> Result<(), String> {
        let bytes = text.as_bytes();
        let special = |byte: &u8| {
            *byte == self.options.delimiter || matches!(byte, b'\n' | b'\r') || self.options.quote.is_some_and(|quote| quote == *byte)
        };
        let begins = first && (bytes.first().is_some_and(|byte| self.options.comment == Some(*byte)) || text.starts_with('\u{feff}'));
        if !(bytes.iter().any(special) || begins || alone && text.is_empty()) {
            line.push_str(text);
            return Ok(());
        }
        let Some(quote) = self.options.quote else {
            return Err("the text needs quotes, which the definition does not have".into());
        };
        let quote = char::from(quote);
        let escape = self.options.escape.map(char::from).filter(|escape| *escape != quote);
        line.push(quote);
        for character in text.chars() {
            if character == quote || escape == Some(character) {
                line.push(escape.unwrap_or(quote));
            }
            line.push(character);
        }
        line.push(quote);
        Ok(())
    }

    /// Why decoding would not give the text back.
    fn lost(&self, column: &ColumnDefinition, text: &str) -> Option<String> {
        let keeps_empty = matches!(column.column_type, ColumnType::Varchar | ColumnType::Varbinary) && column.format.is_none();
        if self.options.null.as_deref() == Some(text) {
            return Some(format!("the text \"{text}\" stands for NULL in this table's records"));
        }
        if text.is_empty() && !keeps_empty {
            return Some("an empty text stands for NULL here".into());
        }
        if self.options.trim && text.trim_ascii().len() != text.len() {
            return Some("blanks around a field are no part of it in this table's records (`trim`)".into());
        }
        None
    }
}

impl RecordFormat for Csv {
    fn encode(&mut self, values: &[ArrayRef], row: usize, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        let mut line = std::mem::take(&mut self.line);
        let mut text = std::mem::take(&mut self.text);
        line.clear();
        let result = self.write(values, row, &mut text, &mut line);
        out.extend_from_slice(self.header.as_bytes());
        out.extend_from_slice(line.as_bytes());
        (self.line, self.text) = (line, text);
        result
    }
}

impl Csv {
    fn write(&self, values: &[ArrayRef], row: usize, text: &mut String, line: &mut String) -> Result<(), EncodeError> {
        let is_null = |field: &Option<usize>| field.is_none_or(|place| values[place].is_null(row));
        // What a line does not have is NULL; with a header it has as many fields as that.
        let cut = self.options.null.is_none() && !self.options.header;
        let fields = match self.fields.iter().rposition(|field| !is_null(field)) {
            Some(last) if cut => last + 1,
            None if cut => 1,
            _ => self.fields.len(),
        };
        for (field, place) in self.fields.iter().take(fields).enumerate() {
            if field > 0 {
                line.push(char::from(self.options.delimiter));
            }
            text.clear();
            let column = place.map(|place| &self.columns[place]);
            let kind = match (place, column) {
                (Some(place), Some(column)) => self.writers[*place]
                    .write(values[*place].as_ref(), row, text)
                    .map_err(|reason| EncodeError::of(column, reason))?,
                _ => Kind::Null,
            };
            if kind == Kind::Null {
                let keeps_empty = |column: &ColumnDefinition| {
                    matches!(column.column_type, ColumnType::Varchar | ColumnType::Varbinary) && column.format.is_none()
                };
                match (&self.options.null, column) {
                    (Some(null), _) => text.push_str(null),
                    (None, Some(column)) if keeps_empty(column) => {
                        return Err(EncodeError::of(
                            column,
                            "NULL cannot be told from an empty text in this table's records; the definition's option `null` says what stands for it",
                        ));
                    }
                    _ => {}
                }
            } else if let Some(reason) = column.and_then(|column| self.lost(column, text)) {
                return Err(EncodeError {
                    column: column.map(|column| column.name.clone()),
                    message: reason,
                });
            }
            self.field(text, field == 0, fields == 1, line).map_err(|message| EncodeError {
                column: column.map(|column| column.name.clone()),
                message,
            })?;
        }
        Ok(())
    }
}
