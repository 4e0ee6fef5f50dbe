//! Values of options as people write them.

use std::time::Duration;

use catalog::BadRecords;

use super::options::OptionValue;

pub(super) fn choice(text: &str, allowed: &[&str]) -> Result<OptionValue, String> {
    let lower = text.to_ascii_lowercase();
    if allowed.contains(&lower.as_str()) {
        Ok(OptionValue::Text(lower))
    } else {
        Err(format!("`{text}` is none of {}", allowed.join(", ")))
    }
}

pub(super) fn boolean(text: &str) -> Result<OptionValue, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Ok(OptionValue::Bool(true)),
        "false" | "off" | "0" => Ok(OptionValue::Bool(false)),
        _ => Err(format!("`{text}` is neither true nor false")),
    }
}

pub(super) fn bad_records(text: &str) -> Result<BadRecords, String> {
    match text.to_ascii_lowercase().as_str() {
        "null_row" => Ok(BadRecords::NullRow),
        "skip" => Ok(BadRecords::Skip),
        "fail" => Ok(BadRecords::Fail),
        _ => Err(format!("`{text}` is none of null_row, skip, fail")),
    }
}

pub(super) fn byte_size(text: &str) -> Result<u64, String> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        _ => return Err(format!("`{text}` is not a number of bytes such as 20GiB or 500MB")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(factor))
        .ok_or_else(|| format!("`{text}` is not a number of bytes such as 20GiB or 500MB"))
}

pub(super) fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit())?;
    let (digits, unit) = text.split_at(split);
    let number: u64 = digits.parse().ok()?;
    match unit.trim() {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        "d" => Some(Duration::from_secs(number.checked_mul(86400)?)),
        _ => None,
    }
}
