//! From a field's text to a value: the one rule of every type, whichever way the text was found.
//!
//! A JSON number arrives as it is written in the document, a string unescaped, a boolean as `true` or `false`. So `2342` and `"2342"` convert
//! alike, and a boolean is no number because its text is none.

use std::str::FromStr;

/// An integer: digits with an optional sign, or a fraction or exponent that comes to an exact integer (`12.0`, `1e3`). Blanks around are
/// ignored; anything else, and whatever exceeds 64 bits, is `None`.
pub(super) fn integer(text: &str) -> Option<i64> {
    match text.parse() {
        Ok(value) => Some(value),
        Err(_) => exact_integer(text),
    }
}

/// [`integer`] in the range of a smaller type.
pub(super) fn narrow<T: TryFrom<i64>>(text: &str) -> Option<T> {
    T::try_from(integer(text)?).ok()
}

#[cold]
fn exact_integer(text: &str) -> Option<i64> {
    let scaled = Scaled::parse(text, 0).filter(|scaled| scaled.exact)?;
    i64::try_from(scaled.value).ok()
}

/// A decimal number times a power of ten, cut off towards zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Scaled {
    /// The integer part.
    pub(super) value: i128,
    /// Nothing was cut off.
    pub(super) exact: bool,
    /// The number is below zero, even where the integer part is not.
    negative: bool,
}

impl Scaled {
    /// `text` times 10^`places`; `None` if it is no number or exceeds 128 bits.
    pub(super) fn parse(text: &str, places: u8) -> Option<Self> {
        let number = Number::parse(text)?;
        let shift = number.shift + i64::from(places);
        let (mut value, mut exact) = (0_i128, true);
        let kept = number.digits() + shift.min(0);
        for (index, digit) in (0_i64..).zip(number.bytes()) {
            let digit = i128::from(digit - b'0');
            if index >= kept {
                if digit != 0 {
                    exact = false;
                    break;
                }
                continue;
            }
            value = append(value, digit, number.negative)?;
        }
        if value != 0 {
            for _ in 0..shift.max(0) {
                value = append(value, 0, number.negative)?;
            }
        }
        Some(Self {
            value,
            exact,
            negative: number.negative,
        })
    }

    /// Cut off towards the past instead.
    pub(super) fn floor(self) -> i128 {
        self.value - i128::from(self.negative && !self.exact)
    }
}

/// Digits are subtracted from a negative value, because its range is larger by one.
fn append(value: i128, digit: i128, negative: bool) -> Option<i128> {
    value.checked_mul(10)?.checked_add(if negative { -digit } else { digit })
}

/// A decimal number as written: the integer of its digits, moved by `shift` decimal places.
#[derive(Debug, Clone, Copy)]
pub(super) struct Number<'a> {
    pub(super) negative: bool,
    whole: &'a str,
    fraction: &'a str,
    pub(super) shift: i64,
}

impl<'a> Number<'a> {
    /// A sign, digits with a point, an exponent; blanks around are ignored.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_ascii();
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, clamped_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let number = Self {
            negative,
            whole,
            fraction,
            shift: exponent - i64::try_from(fraction.len()).ok()?,
        };
        let empty = whole.is_empty() && fraction.is_empty();
        (!empty && number.bytes().all(|digit| digit.is_ascii_digit())).then_some(number)
    }

    /// The digits, as ASCII.
    pub(super) fn bytes(&self) -> impl Iterator<Item = u8> + use<'a> {
        self.whole.bytes().chain(self.fraction.bytes())
    }

    /// How many there are.
    pub(super) fn digits(&self) -> i64 {
        i64::try_from(self.whole.len() + self.fraction.len()).unwrap_or(i64::MAX)
    }
}

/// An exponent beyond any number's that fits a type is as good as its limit.
fn clamped_exponent(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    const LIMIT: i64 = 1 << 40;
    let value = digits.parse().unwrap_or(LIMIT).min(LIMIT);
    Some(if text.starts_with('-') { -value } else { value })
}

/// A finite decimal number; `NaN`, `inf` and what exceeds the type are `None`.
pub(super) fn float<T: FromStr + Copy + Into<f64>>(text: &str) -> Option<T> {
    let text = text.trim_ascii();
    // Rust also parses `inf` and `nan`, which JSON has no word for.
    if !text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'))
    {
        return None;
    }
    text.parse().ok().filter(|value: &T| (*value).into().is_finite())
}

/// `true` or `false` in any case, blanks around ignored.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "true" => Some(true),
        "false" => Some(false),
        other => {
            let other = other.trim_ascii();
            if other.eq_ignore_ascii_case("true") {
                Some(true)
            } else {
                other.eq_ignore_ascii_case("false").then_some(false)
            }
        }
    }
}

/// A UUID in any of its usual spellings, as its canonical text.
pub(super) fn uuid(text: &str, buffer: &mut [u8; 36]) -> bool {
    match uuid::Uuid::try_parse(text.trim_ascii()) {
        Ok(value) => {
            value.hyphenated().encode_lower(buffer);
            true
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, expected) in [
            ("2342", Some(2342)),
            ("-7", Some(-7)),
            ("+7", Some(7)),
            (" 42 ", Some(42)),
            ("12.0", Some(12)),
            ("1e3", Some(1000)),
            ("1.5e1", Some(15)),
            ("150e-1", Some(15)),
            ("-0.0", Some(0)),
            ("0e999999999999999999999", Some(0)),
            ("0.000e5", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("-9223372036854775808.0", Some(i64::MIN)),
            ("9223372036854775807.000", Some(i64::MAX)),
            ("9007199254740993.0", Some(9_007_199_254_740_993)),
            ("9223372036854775808", None),
            ("9223372036854775808.0", None),
            ("12.7", None),
            ("1e-1", None),
            ("1e19", None),
            ("1e999999999999", None),
            ("1e-999999999999", None),
            ("", None),
            (" ", None),
            ("-", None),
            (".", None),
            ("e5", None),
            ("1e", None),
            ("1.2.3", None),
            ("abc", None),
            ("true", None),
            ("0x10", None),
            ("1_000", None),
            ("NaN", None),
            ("١", None),
        ] {
            assert_eq!(integer(text), expected, "{text}");
        }
        assert_eq!(narrow::<i8>("127"), Some(127));
        assert_eq!(narrow::<i8>("128"), None);
        assert_eq!(narrow::<i16>("-32768.0"), Some(i16::MIN));
        assert_eq!(narrow::<i32>("2147483648"), None);
    }

    #[test]
    fn floats() {
        assert_eq!(float::<f64>("1.5"), Some(1.5));
        assert_eq!(float::<f64>(" -2e-3 "), Some(-0.002));
        assert_eq!(float::<f32>("3.4028235e38"), Some(f32::MAX));
        for text in ["", "NaN", "inf", "-Infinity", "1e999", "true", "1,5", "--1"] {
            assert_eq!(float::<f64>(text), None, "{text}");
        }
        assert_eq!(float::<f32>("1e39"), None);
    }

    #[test]
    fn booleans() {
        assert_eq!(boolean("true"), Some(true));
        assert_eq!(boolean(" FALSE"), Some(false));
        for text in ["", "1", "0", "yes", "truee"] {
            assert_eq!(boolean(text), None, "{text}");
        }
    }
}
