//! A regular expression whose named groups are columns.
//!
//! The expression (syntax of the `regex` crate, which never backtracks) has to match the whole text: the record without the line end it may end with, or
//! each of its lines that is not blank. What does not match is a bad row; a group that takes no part in the match is NULL. Where the expression matches bytes
//! that are not UTF-8 (`(?-u:.)`), a varchar refuses them and a varbinary takes them.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use ::regex::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::RowFormat;
use super::cell::Cell;
use super::contents::DecodeError;
use super::log_lines::lines;
use super::rows::Rows;
use crate::definition::did_you_mean;
use crate::{RegexFormat, RegexRows};

/// Bytes that an expression may compile to.
const MOST_COMPILED: usize = 4 << 20;
/// Bytes of the cache of states that a search may fill.
const MOST_STATES: usize = 4 << 20;

/// The expression of a definition, compiled: it matches whole texts.
pub(crate) fn compile(format: &RegexFormat) -> Result<Arc<Regex>, String> {
    format.compiled.get_or_try(|| {
        let build = |pattern: &str| {
            RegexBuilder::new(pattern)
                .size_limit(MOST_COMPILED)
                .dfa_size_limit(MOST_STATES)
                .build()
        };
        // By itself first: a pattern must not close the group that is put around it.
        build(&format.pattern).map_err(|error| error.to_string())?;
        build(&format!(r"\A(?:{})\z", format.pattern))
            // A comment at the end of a verbose pattern ends with its line.
            .or_else(|_| build(&format!("\\A(?:{}\n)\\z", format.pattern)))
            .map_err(|error| error.to_string())
    })
}

/// Whether the expression has such a group.
pub(crate) fn check_group(format: &RegexFormat, group: &str) -> Result<(), String> {
    let compiled = compile(format)?;
    let groups: Vec<&str> = compiled.capture_names().flatten().collect();
    match groups.contains(&group) {
        true => Ok(()),
        false if groups.is_empty() => Err("the pattern has no named group; write (?<name>...)".to_owned()),
        false => Err(match did_you_mean(group, &groups) {
            near if near.is_empty() => format!("the pattern has no group `{group}`; it has {}", groups.join(", ")),
            near => format!("the pattern has no group `{group}`{near}"),
        }),
    }
}

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: &RegexFormat, rows: &Rows) -> Result<Box<dyn RowFormat>, String> {
    let regex = compile(format)?;
    let groups = (0..rows.width())
        .map(|place| {
            let path = rows.column(place).path.first().map_or("", String::as_str);
            let group = regex.capture_names().position(|name| name == Some(path));
            group.ok_or_else(|| format!("the pattern has no group `{path}`"))
        })
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Matches {
        locations: regex.capture_locations(),
        regex,
        groups,
        rows: format.rows,
    }))
}

struct Matches {
    regex: Arc<Regex>,
    locations: CaptureLocations,
    /// Of each column its group.
    groups: Vec<usize>,
    rows: RegexRows,
}

impl fmt::Debug for Matches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Matches").field(&self.regex.as_str()).finish()
    }
}

impl RowFormat for Matches {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for record in records {
            match self.rows {
                RegexRows::Record => {
                    self.row(without_line_end(record), rows);
                    rows.one_row_each(1)?;
                }
                RegexRows::Lines => {
                    for line in lines(record) {
                        self.row(line, rows);
                        rows.rows_of(1)?;
                    }
                    rows.end_record();
                }
            }
        }
        Ok(())
    }
}

impl Matches {
    fn row(&mut self, text: &[u8], rows: &mut Rows) {
        let matches = match self.groups.is_empty() {
            true => self.regex.is_match(text),
            false => self.regex.captures_read(&mut self.locations, text).is_some(),
        };
        if !matches {
            rows.bad_row("the text does not match the pattern");
            return;
        }
        for (place, group) in self.groups.iter().enumerate() {
            let cell = match self.locations.get(*group) {
                Some((start, end)) => Cell::of_text(&text[start..end]),
                None => Cell::Null,
            };
            rows.cell(place, cell);
        }
    }
}

fn without_line_end(record: &[u8]) -> &[u8] {
    let record = record.strip_suffix(b"\n").unwrap_or(record);
    record.strip_suffix(b"\r").unwrap_or(record)
}
