//! Lines of a log, each bounded, whatever the file holds.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Kinesis takes records of 1 MiB (a stream can be set to take more), so a longer line cannot become one.
pub(crate) const MAX_LINE: usize = 1 << 20;

/// What stands between two line ends.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Its bytes, without the line end.
    Bytes(&'a [u8]),
    /// Longer than [`MAX_LINE`]; its first bytes.
    TooLong(&'a [u8]),
}

/// Reads lines one after the other, in bounded memory.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    number: u64,
    consumed: u64,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// Lines of `input`, which is at its start.
    pub(crate) const fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            number: 0,
            consumed: 0,
        }
    }

    /// Number of the last line returned, from 1.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the input consumed so far, line ends included.
    pub(crate) const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next line; None at the end. A last line without a line end is a line.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let mut length = 0_usize;
        let mut ended = false;
        while !ended {
            let chunk = self.input.fill_buf().await?;
            if chunk.is_empty() {
                break;
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = MAX_LINE.saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            length += part.len();
            ended = end.is_some();
            let used = part.len() + usize::from(ended);
            self.input.consume(used);
            self.consumed += used as u64;
        }
        if length == 0 && !ended {
            return Ok(None);
        }
        self.number += 1;
        Ok(Some(if length > MAX_LINE {
            Line::TooLong(&self.line[..80])
        } else {
            Line::Bytes(&self.line)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn blank_lines_and_a_cut_last_line_are_lines() {
        let mut lines = Lines::new(&b"a\n\nlast"[..]);
        assert_eq!(lines.next().await.unwrap(), Some(Line::Bytes(b"a")));
        assert_eq!(lines.next().await.unwrap(), Some(Line::Bytes(b"")));
        assert_eq!(lines.next().await.unwrap(), Some(Line::Bytes(b"last")));
        assert_eq!(lines.number(), 3);
        assert_eq!(lines.next().await.unwrap(), None);
        assert_eq!((lines.number(), lines.consumed()), (3, 7));
    }

    #[tokio::test]
    async fn a_line_that_never_ends_takes_no_more_memory_than_a_record() {
        let mut input = vec![b'x'; 3 * MAX_LINE];
        input.extend_from_slice(b"\nnext\n");
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(1000, &input[..]));
        assert_eq!(lines.next().await.unwrap(), Some(Line::TooLong(&[b'x'; 80])));
        assert_eq!(lines.next().await.unwrap(), Some(Line::Bytes(b"next")));
        assert!(lines.line.capacity() <= 2 * MAX_LINE);
    }
}
