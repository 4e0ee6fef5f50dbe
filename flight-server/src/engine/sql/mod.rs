//! From a statement's text to one that the query engine can plan.

mod follow;
mod hint;
mod literals;
mod parse;
mod refuse;
mod relations;
#[cfg(test)]
mod tests;
mod wildcard;

pub(super) use parse::{DIALECT, ParsedStatement, StatementKind, parse};
pub(super) use relations::CATALOG;
