//! Joda-Time patterns (`formatHint`) as strftime patterns.

/// Translates the letters `yyyy MM MMM dd HH mm ss SSS Z ZZ EEE`, quoted text and literals; the error names what it cannot.
pub(super) fn to_strftime(joda: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = joda;
    while let Some(first) = rest.chars().next() {
        if first == '\'' {
            rest = quoted(&rest[1..], &mut out).ok_or_else(|| format!("`{joda}`: a quote is not closed"))?;
        } else if first.is_ascii_alphabetic() {
            let run = rest.chars().take_while(|c| *c == first).count();
            let letters = &rest[..run];
            out.push_str(match letters {
                "yyyy" => "%Y",
                "MM" => "%m",
                "MMM" => "%b",
                "dd" => "%d",
                "HH" => "%H",
                "mm" => "%M",
                "ss" => "%S",
                "SSS" => "%3f",
                "Z" => "%z",
                "ZZ" => "%:z",
                "EEE" => "%a",
                _ => {
                    return Err(format!(
                        "`{joda}`: `{letters}` is not supported yet (supported: yyyy MM MMM dd HH mm ss SSS Z ZZ EEE)"
                    ));
                }
            });
            rest = &rest[run..];
        } else {
            push_literal(first, &mut out);
            rest = &rest[first.len_utf8()..];
        }
    }
    Ok(out)
}

/// After an opening quote: text to the closing one, `''` for a quote in it (and `''` alone for a quote). Gives what follows.
fn quoted<'a>(text: &'a str, out: &mut String) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix('\'') {
        out.push('\'');
        return Some(rest);
    }
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c != '\'' {
            push_literal(c, out);
        } else if text[at + 1..].starts_with('\'') {
            out.push('\'');
            chars.next();
        } else {
            return Some(&text[at + 1..]);
        }
    }
    None
}

fn push_literal(c: char, out: &mut String) {
    if c == '%' {
        out.push('%');
    }
    out.push(c);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_letters_quotes_and_literals() {
        for (joda, strftime) in [
            ("dd/MMM/yyyy:HH:mm:ss Z", "%d/%b/%Y:%H:%M:%S %z"),
            ("yyyy-MM-dd'T'HH:mm:ss.SSSZZ", "%Y-%m-%dT%H:%M:%S.%3f%:z"),
            ("EEE MMM dd HH:mm:ss Z yyyy", "%a %b %d %H:%M:%S %z %Y"),
            ("yyyy 'o''clock' '' %", "%Y o'clock ' %%"),
        ] {
            assert_eq!(to_strftime(joda).as_deref(), Ok(strftime));
        }
    }

    #[test]
    fn others_are_named() {
        assert!(to_strftime("YYYY-MM-dd").unwrap_err().contains("`YYYY` is not supported yet"));
        assert!(to_strftime("hh:mm a").unwrap_err().contains("`hh`"));
        assert!(to_strftime("yyyy 'x").unwrap_err().contains("quote"));
    }
}
