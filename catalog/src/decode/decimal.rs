//! Decimals, exact: a number that has more digits after the point than its type, other than zeros, is refused rather than rounded.

use arrow::datatypes::i256;

use super::coerce::{Number, Scaled};

/// Digits that 128 bits hold in any case.
const DIGITS_OF_128: u8 = 38;

/// The value times 10^`scale`, of at most `precision` (to 38) digits.
pub(super) fn decimal128(text: &str, precision: u8, scale: u8) -> Option<i128> {
    let scaled = short(text, scale).or_else(|| Scaled::parse(text, scale).filter(|scaled| scaled.exact).map(|scaled| scaled.value))?;
    within(scaled, precision)
}

/// A number, if it has at most so many (to 38) digits.
pub(super) fn within(value: i128, precision: u8) -> Option<i128> {
    let limit = 10_u128.checked_pow(u32::from(precision.min(DIGITS_OF_128)))?;
    (value.unsigned_abs() < limit).then_some(value)
}

/// The usual case: few digits, a point perhaps, no exponent, no more places than asked.
fn short(text: &str, scale: u8) -> Option<i128> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let (mut value, mut places) = (0_i64, None::<u8>);
    for byte in digits {
        match byte {
            b'0'..=b'9' => {
                value = value * 10 + i64::from(byte - b'0');
                places = places.map(|places| places + 1);
            }
            b'.' if places.is_none() => places = Some(0),
            _ => return None,
        }
    }
    if digits.len() == 1 && places.is_some() {
        return None;
    }
    let missing = scale.checked_sub(places.unwrap_or(0))?;
    let value = i128::from(value).checked_mul(10_i128.checked_pow(u32::from(missing))?)?;
    Some(if negative { -value } else { value })
}

/// As [`decimal128`], to 76 digits.
pub(super) fn decimal256(text: &str, precision: u8, scale: u8) -> Option<i256> {
    let number = Number::parse(text)?;
    let shift = number.shift + i64::from(scale);
    let kept = number.digits() + shift.min(0);
    let mut digits = String::new();
    for (index, digit) in (0_i64..).zip(number.bytes()) {
        if index >= kept {
            if digit != b'0' {
                return None;
            }
        } else if digit != b'0' || !digits.is_empty() {
            digits.push(char::from(digit));
        }
    }
    if digits.is_empty() {
        return Some(i256::ZERO);
    }
    let zeros = usize::try_from(shift.max(0)).ok()?;
    if digits.len().saturating_add(zeros) > usize::from(precision) {
        return None;
    }
    digits.extend(std::iter::repeat_n('0', zeros));
    let value = i256::from_string(&digits)?;
    Some(if number.negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exact_or_refused() {
        for (text, expected) in [
            ("12.34", Some(1234)),
            ("-12.34", Some(-1234)),
            ("12.3400", Some(1234)),
            ("12.345", None),
            ("1234e-2", Some(1234)),
            ("1.2e1", Some(1200)),
            ("99999999.99", Some(9_999_999_999)),
            ("100000000", None),
            ("-100000000.00", None),
            ("0e99999999999", Some(0)),
            (".5", Some(50)),
            ("5.", Some(500)),
            (" 5 ", Some(500)),
            ("+5", Some(500)),
            (".", None),
            ("-", None),
            ("", None),
            ("1,5", None),
            ("NaN", None),
            ("1e99999999999", None),
        ] {
            assert_eq!(decimal128(text, 10, 2), expected, "{text}");
            assert_eq!(decimal256(text, 10, 2), expected.map(i256::from_i128), "{text}");
        }
        assert_eq!(decimal128(&"9".repeat(38), 38, 0), Some(10_i128.pow(38) - 1));
        assert_eq!(decimal128(&"9".repeat(39), 38, 0), None);
        let nines = "9".repeat(76);
        assert_eq!(
            decimal256(&format!("-{nines}"), 76, 0).map(|value| value.to_string()),
            Some(format!("-{nines}"))
        );
        assert_eq!(decimal256(&"9".repeat(77), 76, 0), None);
    }

    proptest! {
        #[test]
        fn both_widths_agree(text in "-?[0-9]{0,20}(\\.[0-9]{0,10})?([eE][+-]?[0-9]{1,2})?", scale in 0_u8..20) {
            prop_assert_eq!(decimal128(&text, 38, scale).map(i256::from_i128), decimal256(&text, 38, scale));
        }
    }
}
