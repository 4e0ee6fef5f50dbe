//! Constraints on members of requests, reported all at once as AWS does.

use std::fmt::Display;

use super::error::{ApiError, ErrorCode};

/// Collects what a request violates.
#[derive(Debug, Default)]
pub(crate) struct Violations(Vec<String>);

impl Violations {
    pub(crate) fn add(&mut self, value: impl Display, member: impl Display, constraint: impl Display) {
        self.0
            .push(format!("Value '{value}' at '{member}' failed to satisfy constraint: {constraint}"));
    }

    pub(crate) fn missing(&mut self, member: impl Display) {
        self.0.push(format!(
            "Value null at '{member}' failed to satisfy constraint: Member must not be null"
        ));
    }

    /// Length in characters.
    pub(crate) fn length(&mut self, value: &str, member: impl Display, min: usize, max: usize) {
        let length = value.chars().count();
        if length < min {
            self.add(
                value,
                member,
                format_args!("Member must have length greater than or equal to {min}"),
            );
        } else if length > max {
            self.add(value, member, format_args!("Member must have length less than or equal to {max}"));
        }
    }

    /// Name characters: `[a-zA-Z0-9_.-]+`, 1 to 128 of them.
    pub(crate) fn name(&mut self, value: &str, member: &str) {
        if !value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)) {
            self.add(value, member, "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+");
        }
        self.length(value, member, 1, 128);
    }

    /// A hash key: `0|([1-9]\d{0,38})`.
    pub(crate) fn hash_key(&mut self, value: &str, member: impl Display) {
        let digits = value.len() <= 39 && !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if !digits || (value.starts_with('0') && value.len() > 1) {
            self.add(value, member, r"Member must satisfy regular expression pattern: 0|([1-9]\d{0,38})");
        }
    }

    pub(crate) fn range(&mut self, value: Option<i64>, member: &str, min: i64, max: i64) {
        let Some(value) = value else { return };
        if value < min {
            self.add(value, member, format_args!("Member must have value greater than or equal to {min}"));
        } else if value > max {
            self.add(value, member, format_args!("Member must have value less than or equal to {max}"));
        }
    }

    /// The value that matches one of the names, case included.
    pub(crate) fn one_of<T: Copy>(&mut self, value: Option<&str>, member: &str, names: &[(&str, T)]) -> Option<T> {
        let Some(value) = value else {
            self.missing(member);
            return None;
        };
        let found = names.iter().find(|(name, _)| *name == value);
        if found.is_none() {
            let set: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            self.add(
                value,
                member,
                format_args!("Member must satisfy enum value set: [{}]", set.join(", ")),
            );
        }
        found.map(|(_, value)| *value)
    }

    /// A member that must be there; noted as missing if not.
    pub(crate) fn required<T>(&mut self, value: Option<T>, member: &str) -> Option<T> {
        if value.is_none() {
            self.missing(member);
        }
        value
    }

    /// The error, if anything was violated.
    pub(crate) fn check(self) -> Result<(), ApiError> {
        match self.0.len() {
            0 => Ok(()),
            1 => Err(ApiError::new(
                ErrorCode::Validation,
                format!("1 validation error detected: {}", self.0[0]),
            )),
            many => Err(ApiError::new(
                ErrorCode::Validation,
                format!("{many} validation errors detected: {}", self.0.join("; ")),
            )),
        }
    }
}

/// A required member after [`Violations::check`] has passed.
pub(crate) fn checked<T>(value: Option<T>) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::defect("a required member passed validation without a value"))
}
