//! Lines and their fields, as csv-core finds them.

use std::fmt;
use std::ops::Range;

use csv_core::ReadRecordResult;

use crate::CsvFormat;

/// Fields of a line.
const MOST_FIELDS: usize = 65_536;

const UNCLOSED: &str = "not valid CSV: a quote is not closed";
const TOO_MANY: &str = "not valid CSV: a line of more than 65536 fields";
const NO_TEXT: &str = "not valid UTF-8";

/// Finds lines in records.
pub(super) struct Reader {
    parser: csv_core::Reader,
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// Lines, their quotes undone.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Fields one after the other; what is past `used` is room.
    buffer: Vec<u8>,
    used: usize,
    /// Where fields end, from their line's beginning; what is past `used_ends` is room.
    ends: Vec<usize>,
    used_ends: usize,
    lines: Vec<Line>,
}

#[derive(Debug, Clone, Copy)]
struct Line {
    start: usize,
    first_end: usize,
    fields: usize,
    problem: Option<&'static str>,
}

impl Reader {
    pub(super) fn new(options: &CsvFormat) -> Self {
        let mut builder = csv_core::ReaderBuilder::new();
        builder.delimiter(options.delimiter).comment(options.comment);
        match options.quote {
            Some(quote) => builder
                .quote(quote)
                .escape(options.escape.filter(|escape| *escape != quote))
                .double_quote(true),
            None => builder.quoting(false),
        };
        Self { parser: builder.build() }
    }

    /// Begins with a record.
    pub(super) fn begin<'a>(&mut self, record: &'a [u8]) -> &'a [u8] {
        self.parser.reset();
        record
    }

    /// Adds the next line that is not blank and takes it off `rest`; false if there is none.
    pub(super) fn read_line(&mut self, rest: &mut &[u8], lines: &mut Lines) -> bool {
        if rest.is_empty() {
            return false;
        }
        let line = Line {
            start: lines.used,
            first_end: lines.used_ends,
            fields: 0,
            problem: None,
        };
        let mut problem = None;
        let mut at_end = false;
        loop {
            lines.make_room(rest.len());
            // A line end that is not there shows whether a quote is open: there it is text.
            let input = if at_end { &b"\n"[..] } else { *rest };
            let (result, read, written, ended) =
                self.parser
                    .read_record(input, &mut lines.buffer[lines.used..], &mut lines.ends[lines.used_ends..]);
            if !at_end {
                *rest = &rest[read..];
            }
            lines.used += written;
            lines.used_ends += ended;
            if lines.used_ends - line.first_end > MOST_FIELDS {
                lines.used_ends = line.first_end + MOST_FIELDS;
                problem = Some(TOO_MANY);
            }
            match result {
                ReadRecordResult::Record => break,
                ReadRecordResult::InputEmpty if at_end => {
                    if lines.used == line.start && lines.used_ends == line.first_end {
                        return false;
                    }
                    problem = Some(UNCLOSED);
                    break;
                }
                ReadRecordResult::InputEmpty => at_end = true,
                ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
                ReadRecordResult::End => return false,
            }
        }
        let fields = if problem.is_some() { 0 } else { lines.used_ends - line.first_end };
        lines.lines.push(Line { fields, problem, ..line });
        true
    }
}

impl Lines {
    /// For as many bytes, and for some ends.
    fn make_room(&mut self, bytes: usize) {
        let wanted = self.used + bytes + 16;
        if self.buffer.len() < wanted {
            self.buffer.resize(wanted.max(2 * self.buffer.len()), 0);
        }
        if self.ends.len() < self.used_ends + 64 {
            self.ends.resize((2 * self.ends.len()).max(1024), 0);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Bytes of the lines.
    pub(super) fn bytes(&self) -> usize {
        self.used
    }

    /// Finds lines that are not text; false if some are not.
    pub(super) fn check_text(&mut self) -> bool {
        if std::str::from_utf8(&self.buffer[..self.used]).is_ok() {
            return true;
        }
        let ends = self
            .lines
            .iter()
            .skip(1)
            .map(|line| line.start)
            .chain([self.used])
            .collect::<Vec<_>>();
        for (line, end) in self.lines.iter_mut().zip(ends) {
            if std::str::from_utf8(&self.buffer[line.start..end]).is_err() {
                line.fields = 0;
                line.problem.get_or_insert(NO_TEXT);
            }
        }
        false
    }

    /// All lines as one text, if they are.
    pub(super) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.buffer[..self.used]).ok()
    }

    /// Where a field lies in [`Self::text`], if the line has it.
    #[inline]
    pub(super) fn range(&self, row: usize, field: usize) -> Option<Range<usize>> {
        let line = self.lines.get(row).filter(|line| field < line.fields)?;
        self.range_of(line, field)
    }

    /// Lines that are no rows of values, and why.
    pub(super) fn problems(&self) -> impl Iterator<Item = (usize, &'static str)> {
        self.lines
            .iter()
            .enumerate()
            .filter_map(|(row, line)| line.problem.map(|problem| (row, problem)))
    }

    /// How many fields the other lines have.
    pub(super) fn widths(&self) -> impl Iterator<Item = (usize, usize)> {
        self.lines
            .iter()
            .enumerate()
            .filter(|(_, line)| line.problem.is_none())
            .map(|(row, line)| (row, line.fields))
    }

    /// A field, if the line has it.
    #[inline]
    pub(super) fn field(&self, row: usize, field: usize) -> Option<&[u8]> {
        let line = self.lines.get(row).filter(|line| field < line.fields)?;
        self.bytes_of(line, field)
    }

    /// The fields of a line as bytes.
    pub(super) fn raw_fields(&self, row: usize) -> Vec<&[u8]> {
        match self.lines.get(row) {
            Some(line) => (0..line.fields).filter_map(|field| self.bytes_of(line, field)).collect(),
            None => Vec::new(),
        }
    }

    #[inline]
    fn bytes_of(&self, line: &Line, field: usize) -> Option<&[u8]> {
        self.buffer.get(self.range_of(line, field)?)
    }

    #[inline]
    fn range_of(&self, line: &Line, field: usize) -> Option<Range<usize>> {
        let start = match field {
            0 => 0,
            _ => *self.ends.get(line.first_end + field - 1)?,
        };
        let end = *self.ends.get(line.first_end + field)?;
        Some(line.start + start..line.start + end)
    }

    pub(super) fn clear(&mut self) {
        self.lines.clear();
        (self.used, self.used_ends) = (0, 0);
    }
}
