//! Joda-Time patterns (`formatHint`) as strftime patterns.

/// Translates letters, quoted text and literals; the error names what it cannot. (Letters: Joda-Time's `DateTimeFormat`. There `Y` is the year of era, not the
/// year of weeks. Two digits of a year are one of the hundred years around thirty years ago there, which moves; here they are one of 1970 to 2069.)
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
                "yyyy" | "YYYY" | "y" | "Y" => "%Y",
                "yy" | "YY" => "%y",
                "MM" => "%m",
                "M" => "%-m",
                "MMM" => "%b",
                "MMMM" => "%B",
                "dd" => "%d",
                "d" => "%-d",
                "D" | "DDD" => "%j",
                "HH" => "%H",
                "H" => "%-H",
                "hh" => "%I",
                "h" => "%-I",
                "a" => "%p",
                "mm" => "%M",
                "m" => "%-M",
                "ss" => "%S",
                "s" => "%-S",
                "SSS" => "%3f",
                "SSSSSS" => "%6f",
                "SSSSSSSSS" => "%9f",
                "Z" => "%z",
                "ZZ" => "%:z",
                // Short names, and those of the database; long ones are not read there either.
                "z" | "zz" | "zzz" | "ZZZ" => "%Z",
                "E" | "EE" | "EEE" => "%a",
                "EEEE" => "%A",
                _ => {
                    return Err(format!(
                        "`{joda}`: `{letters}` is not supported yet (supported: yyyy yy M MM MMM MMMM d dd D H HH h hh a m mm s ss SSS SSSSSS SSSSSSSSS Z ZZ ZZZ z EEE EEEE)"
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
            ("d MMMM YYYY, h:mm a", "%-d %B %Y, %-I:%M %p"),
            ("yyyy-MM-dd HH:mm:ss.SSSSSS", "%Y-%m-%d %H:%M:%S.%6f"),
            ("dd/MM/yy HH:mm z", "%d/%m/%y %H:%M %Z"),
            ("yyyy-MM-dd HH:mm:ss ZZZ", "%Y-%m-%d %H:%M:%S %Z"),
            ("yyyy 'o''clock' '' %", "%Y o'clock ' %%"),
        ] {
            assert_eq!(to_strftime(joda).as_deref(), Ok(strftime));
        }
    }

    #[test]
    fn others_are_named() {
        assert!(to_strftime("yyyy-MM-dd zzzz").unwrap_err().contains("`zzzz` is not supported yet"));
        assert!(to_strftime("xxxx-'W'ww").unwrap_err().contains("`xxxx`"));
        assert!(to_strftime("yyyy 'x").unwrap_err().contains("quote"));
    }
}
