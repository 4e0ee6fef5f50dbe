//! Who may do what: the one place that says no.
//!
//! A principal has the rights that rules give it, and no others. A table that no rule lets it read is refused by the same words whether
//! it is there or not, and is not listed. Rights are asked when a statement is planned, and again when its rows are fetched.

mod grants;
mod patterns;
mod rules;
mod statements;

pub(super) use grants::Grants;
pub use patterns::Patterns;
pub use rules::{Access, AccessRule, PrincipalLimits, Right};
