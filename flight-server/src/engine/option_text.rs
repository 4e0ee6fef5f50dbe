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

/// A list: as JSON, or separated by commas.
pub(super) fn list(text: &str) -> Result<OptionValue, String> {
    if text.starts_with('[') {
        let items = serde_json::from_str::<Vec<String>>(text).map_err(|error| format!("`{text}` is no JSON list of texts: {error}"))?;
        return Ok(OptionValue::List(items));
    }
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(OptionValue::List(items.map(str::to_owned).collect()))
}

/// The most that one iteration takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IterationMax {
    /// So many bytes of records, as they count against the limits of reading.
    Bytes(u64),
    /// What arrived within such a time of its oldest record.
    Time(Duration),
}

impl IterationMax {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bound = match duration(&text.to_ascii_lowercase()) {
            Some(time) => Self::Time(time),
            None => Self::Bytes(byte_size(text).map_err(|_| format!("`{text}` is neither a size such as 1GB nor a time such as 1h"))?),
        };
        match bound {
            Self::Bytes(0) | Self::Time(Duration::ZERO) => Err("an iteration takes in more than nothing".into()),
            bound => Ok(bound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_json_or_separated_by_commas() {
        let two = OptionValue::List(vec!["a".into(), "b.c".into()]);
        assert_eq!(list("a, b.c"), Ok(two.clone()));
        assert_eq!(list(r#"["a","b.c"]"#), Ok(two));
        assert_eq!(list(""), Ok(OptionValue::List(Vec::new())));
        assert!(list("[1]").is_err());
    }

    #[test]
    fn an_iteration_is_bounded_by_size_or_time() {
        assert_eq!(IterationMax::parse("1GB"), Ok(IterationMax::Bytes(1_000_000_000)));
        assert_eq!(IterationMax::parse("1000"), Ok(IterationMax::Bytes(1000)));
        assert_eq!(IterationMax::parse("15m"), Ok(IterationMax::Time(Duration::from_secs(900))));
        for wrong in ["0", "0s", "much", ""] {
            assert!(IterationMax::parse(wrong).is_err(), "{wrong}");
        }
    }
}
