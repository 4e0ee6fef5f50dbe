//! SQL -> plan -> endpoints: sessions, tables, shard scan, split.
//!
//! This room names no gRPC and no Flight type.

mod api;
mod error;
mod execute;
mod options;
mod session;

pub use api::{
    DoneResult, Execution, PinnedTable, Planned, PlannedQuery, Prepared, QueryPart, SourceProvider, StatementRequest, TableEntry, TableKind,
};
pub use error::{EngineError, ErrorCategory};
pub use execute::ExecutionFacts;
pub use options::{OptionError, OptionSpec, OptionValue, OptionValues, StatementOptions, check_option, option_specs, parse_option};
pub use session::{Principal, Session, SessionId};
