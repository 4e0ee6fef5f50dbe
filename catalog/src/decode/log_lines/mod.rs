//! Web servers' log lines: the Common Log Format, and the combined one with referer and user agent.
//!
//! `host ident user [time] "request" status bytes "referer" "user agent"`, and after these whatever else a server was told to write, as long as it is words
//! and quoted texts. Each line of a record that is not blank is a row. `-` is NULL. In quoted texts the escapes of Apache and nginx (`\"`, `\\`, `\xhh`, `\n`
//! and so on) are undone, unless what they stand for is not UTF-8: then a text stays as written. A request's closing quote is the first after
//! which status and bytes follow, since old servers write quotes in requests as they come.
//!
//! A line that is none is a bad row. One with more than three words before the time is none either: it would be read with its fields shifted.

mod line;
#[cfg(test)]
mod tests;

use self::line::Line;
use super::RowFormat;
use super::cell::Cell;
use super::contents::DecodeError;
use super::rows::Rows;
use crate::LogLines;
use crate::definition::did_you_mean;

/// How the time is written, where a column does not say.
pub(crate) const TIME_PATTERN: &str = "%d/%b/%Y:%H:%M:%S %z";
/// The name of the time.
pub(crate) const TIME: &str = "time";

/// A part of a line.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    Host,
    Ident,
    User,
    Time,
    Request,
    Method,
    Path,
    Protocol,
    Status,
    Bytes,
    Referer,
    UserAgent,
}

const PARTS: &[(&str, Part)] = &[
    ("host", Part::Host),
    ("ident", Part::Ident),
    ("user", Part::User),
    (TIME, Part::Time),
    ("request", Part::Request),
    ("method", Part::Method),
    ("path", Part::Path),
    ("protocol", Part::Protocol),
    ("status", Part::Status),
    ("bytes", Part::Bytes),
    ("referer", Part::Referer),
    ("user_agent", Part::UserAgent),
];

/// Whether lines have a part of that name.
pub(crate) fn check_part(format: LogLines, name: &str) -> Result<(), String> {
    part(format, name).map(drop)
}

fn part(format: LogLines, name: &str) -> Result<Part, String> {
    match (PARTS.iter().find(|(known, _)| *known == name), format) {
        (Some((_, Part::Referer | Part::UserAgent)), LogLines::Common) => {
            Err(format!("`{name}` is in lines of format combined, not of clf"))
        }
        (Some((_, part)), _) => Ok(*part),
        (None, _) => {
            let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
            Err(match did_you_mean(name, &names) {
                near if near.is_empty() => format!("log lines have no `{name}`; they have {}", names.join(", ")),
                near => format!("log lines have no `{name}`{near}"),
            })
        }
    }
}

/// The format of a definition, for the columns of `rows`.
pub(super) fn new(format: LogLines, rows: &Rows) -> Result<Box<dyn RowFormat>, String> {
    let parts = (0..rows.width())
        .map(|place| part(format, rows.column(place).path.first().map_or("", String::as_str)))
        .collect::<Result<_, _>>()?;
    Ok(Box::new(Lines { format, parts }))
}

#[derive(Debug)]
struct Lines {
    format: LogLines,
    parts: Vec<Part>,
}

impl RowFormat for Lines {
    fn decode(&mut self, records: &[&[u8]], rows: &mut Rows) -> Result<(), DecodeError> {
        for record in records {
            let mut lines = lines(record);
            match (lines.next(), lines.next()) {
                (Some(only), None) => {
                    self.row(only, rows);
                    rows.one_row_each(1)?;
                }
                (first, second) => {
                    for line in first.into_iter().chain(second).chain(lines) {
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

impl Lines {
    fn row(&self, text: &[u8], rows: &mut Rows) {
        let line = match Line::scan(text, self.format) {
            Ok(line) => line,
            Err(reason) => return rows.bad_row(format!("not a log line: {reason}")),
        };
        for (place, part) in self.parts.iter().enumerate() {
            let found = match part {
                Part::Host => line.host,
                Part::Ident => line.ident,
                Part::User => line.user,
                Part::Time => line.time,
                Part::Status => line.status,
                Part::Bytes => line.bytes,
                Part::Referer => {
                    quoted(place, line.referer, rows);
                    continue;
                }
                Part::UserAgent => {
                    quoted(place, line.user_agent, rows);
                    continue;
                }
                Part::Request | Part::Method | Part::Path | Part::Protocol => {
                    request(place, *part, line.request, rows);
                    continue;
                }
            };
            rows.cell(place, if found == b"-" { Cell::Null } else { Cell::of_text(found) });
        }
    }
}

fn quoted(place: usize, text: &[u8], rows: &mut Rows) {
    match text {
        b"-" => rows.cell(place, Cell::Null),
        text => rows.cell(place, Cell::of_text(&line::unescaped(text))),
    }
}

fn request(place: usize, part: Part, text: &[u8], rows: &mut Rows) {
    if text == b"-" {
        return rows.cell(place, Cell::Null);
    }
    let text = line::unescaped(text);
    let found = match (part, line::split_request(&text)) {
        (Part::Request, _) => Some(&*text),
        (_, None) => None,
        (Part::Method, Some((method, ..))) => Some(method),
        (Part::Protocol, Some((.., protocol))) => protocol,
        (_, Some((_, path, _))) => Some(path),
    };
    rows.cell(place, found.map_or(Cell::Null, Cell::of_text));
}

/// A record's lines that are not blank, without their ends.
pub(super) fn lines(record: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = record;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = memchr::memchr(b'\n', rest);
            let line = &rest[..end.unwrap_or(rest.len())];
            rest = end.map_or(&[], |end| &rest[end + 1..]);
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
        None
    })
}
