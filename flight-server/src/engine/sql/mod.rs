//! From a statement's text to one that the query engine can plan.

mod arrows;
mod call;
mod copy;
mod ddl;
mod follow;
mod hint;
mod insert;
mod literals;
mod parse;
mod placeholders;
mod refuse;
mod relations;
mod scratch;
mod shown;
mod stream_function;
#[cfg(test)]
mod tests;
mod wildcard;

pub(super) use call::Call;
pub(super) use copy::CopyTarget;
pub use ddl::CreateOffload;
pub(super) use ddl::{CreateTable, DdlColumn, DdlStatement, Literal, OffloadStatement};
pub(super) use insert::InsertTarget;
pub(super) use parse::{DIALECT, ParsedStatement, StatementKind, TransactionStatement, parse};
pub(super) use relations::{CATALOG, table_of};
pub(super) use scratch::{ScratchStatement, ViewQuery};
pub(super) use stream_function::{STREAM_SCHEMA, StreamCall};
pub(super) use wildcard::Named;
