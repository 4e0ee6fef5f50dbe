//! One log line.

use std::borrow::Cow;

use memchr::{memchr, memchr2, memrchr};

use crate::LogLines;

/// The parts of a line, as written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Line<'a> {
    pub(super) host: &'a [u8],
    pub(super) ident: &'a [u8],
    pub(super) user: &'a [u8],
    pub(super) time: &'a [u8],
    pub(super) request: &'a [u8],
    pub(super) status: &'a [u8],
    pub(super) bytes: &'a [u8],
    /// Empty in the common format.
    pub(super) referer: &'a [u8],
    /// Empty in the common format.
    pub(super) user_agent: &'a [u8],
}

impl<'a> Line<'a> {
    /// The parts of a line without its end, or what is not there.
    pub(super) fn scan(line: &'a [u8], format: LogLines) -> Result<Self, &'static str> {
        let (host, rest) = word(line).ok_or("no host")?;
        let (ident, rest) = word(rest).ok_or("no ident after the host")?;
        let (user, rest) = word(rest).ok_or("no user after host and ident")?;
        let rest = rest
            .strip_prefix(b"[")
            .ok_or("no time in brackets after three words: host, ident and user")?;
        let end = memchr(b']', rest).ok_or("the time has no closing bracket")?;
        let (time, rest) = (&rest[..end], &rest[end + 1..]);
        let rest = rest.strip_prefix(b" \"").ok_or("no quoted request after the time")?;
        let (request, status, bytes, rest) = request(rest, true)
            .or_else(|| request(rest, false))
            .ok_or("no status and number of bytes after the request")?;
        let (referer, user_agent, rest): (&[u8], &[u8], _) = match format {
            LogLines::Common => (b"", b"", rest),
            LogLines::Combined => {
                let (referer, rest) = rest
                    .strip_prefix(b" \"")
                    .and_then(quoted)
                    .ok_or("no quoted referer after the bytes")?;
                let (user_agent, rest) = rest
                    .strip_prefix(b" \"")
                    .and_then(quoted)
                    .ok_or("no quoted user agent after the referer")?;
                (referer, user_agent, rest)
            }
        };
        if !are_fields(rest) {
            return Err("what follows is neither words nor quoted texts");
        }
        Ok(Self {
            host,
            ident,
            user,
            time,
            request,
            status,
            bytes,
            referer,
            user_agent,
        })
    }
}

/// A word and what follows the blank after it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr(b' ', text).filter(|end| *end > 0)?;
    Some((&text[..end], &text[end + 1..]))
}

/// The closing quotes in a text, each as the text before and the text behind it.
fn closings(text: &[u8], escapes: bool) -> impl Iterator<Item = (&[u8], &[u8])> {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + memchr2(b'"', b'\\', text.get(from..)?)?;
            if text[at] == b'"' {
                from = at + 1;
                return Some((&text[..at], &text[at + 1..]));
            }
            from = if escapes { at + 2 } else { at + 1 };
        }
    })
}

/// Request, status, bytes, and the rest.
type Middle<'a> = (&'a [u8], &'a [u8], &'a [u8], &'a [u8]);

fn request(text: &[u8], escapes: bool) -> Option<Middle<'_>> {
    closings(text, escapes).find_map(|(request, rest)| {
        let (status, rest) = word(rest.strip_prefix(b" ")?)?;
        let end = memchr(b' ', rest).unwrap_or(rest.len());
        let (bytes, rest) = rest.split_at(end);
        let is_status = status == b"-" || status.len() == 3 && status.iter().all(u8::is_ascii_digit);
        let is_number = bytes == b"-" || !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
        (is_status && is_number).then_some((request, status, bytes, rest))
    })
}

/// A text up to its closing quote, which is at the end of the line or before a blank, and what follows that quote.
fn quoted(text: &[u8]) -> Option<(&[u8], &[u8])> {
    closings(text, true).find(|(_, rest)| matches!(rest.first(), None | Some(b' ')))
}

/// Whether these are words and quoted texts, each after a blank.
fn are_fields(mut rest: &[u8]) -> bool {
    while !rest.trim_ascii().is_empty() {
        let Some(field) = rest.strip_prefix(b" ") else { return false };
        rest = match field.strip_prefix(b"\"") {
            Some(text) => match quoted(text) {
                Some((_, rest)) => rest,
                None => return false,
            },
            None => {
                let (word, rest) = field.split_at(memchr(b' ', field).unwrap_or(field.len()));
                if word.contains(&b'"') {
                    return false;
                }
                rest
            }
        };
    }
    true
}

/// The text that a quoted text stands for.
pub(super) fn unescaped(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr(b'\\', text).is_none() {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        let escaped = if byte == b'\\' { escape(tail) } else { None };
        match escaped {
            Some((byte, tail)) => {
                plain.push(byte);
                rest = tail;
            }
            None => plain.push(byte),
        }
    }
    if std::str::from_utf8(&plain).is_ok() {
        Cow::Owned(plain)
    } else {
        Cow::Borrowed(text)
    }
}

/// What follows a backslash: the byte it stands for, and the rest.
fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    let (letter, rest) = text.split_first()?;
    let byte = match letter {
        b'"' | b'\\' => *letter,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 8,
        b'v' => 11,
        b'f' => 12,
        b'x' => {
            let (digits, rest) = rest.split_first_chunk::<2>()?;
            let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
            return Some((digit(digits[0])? << 4 | digit(digits[1])?, rest));
        }
        _ => return None,
    };
    Some((byte, rest))
}

/// Method, target and protocol. HTTP/0.9 knows no protocol.
type Request<'a> = (&'a [u8], &'a [u8], Option<&'a [u8]>);

/// The parts of a request; `None` if it does not begin with a method.
pub(super) fn split_request(request: &[u8]) -> Option<Request<'_>> {
    let (method, rest) = word(request)?;
    // RFC 9110, section 5.6.2: a method is a token.
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    if !method.iter().all(is_token) {
        return None;
    }
    match memrchr(b' ', rest) {
        Some(at) if rest[at + 1..].starts_with(b"HTTP/") => Some((method, &rest[..at], Some(&rest[at + 1..]))),
        _ => Some((method, rest, None)),
    }
}
