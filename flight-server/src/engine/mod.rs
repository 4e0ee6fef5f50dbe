//! SQL -> plan -> endpoints: sessions, tables, shard scan, split.
//!
//! This room names no gRPC and no Flight type.

mod access;
mod admission;
mod api;
mod audit;
mod cancel;
mod carried;
mod commands;
mod config;
mod consume;
mod cost;
mod definitions;
mod distribution;
mod endless;
mod error;
mod exact_times;
mod execute;
mod explain;
mod facts;
mod facts_elsewhere;
mod fetch_ahead;
mod files;
mod flat;
mod functions;
mod hidden;
mod history;
mod in_order;
mod insert;
mod lookup;
mod metadata;
mod named_shards;
mod nodes;
mod offloads;
mod option_aliases;
mod option_text;
mod options;
mod parameters;
mod parts;
mod physical;
mod pin;
mod pins_elsewhere;
mod plan;
mod prepare;
mod procedures;
mod promises;
mod queries;
mod result;
mod runtime;
mod scan;
mod scan_errors;
mod scratch;
mod session;
mod sources;
mod split;
mod sql;
mod sql_words;
mod statement;
mod statement_options;
mod system;
mod table;
mod task_slots;
#[cfg(test)]
mod tests;
mod view;

pub use access::{Access, AccessRule, Patterns, PrincipalLimits, Right};
pub use admission::AdmissionLimits;
pub use api::{
    DoneResult, Execution, PinnedTable, Planned, PlannedQuery, Prepared, QueryPart, SourceProvider, StatementRequest, TableEntry, TableKind,
};
pub use audit::{AuditEvent, AuditLog, origin, with_origin};
pub(crate) use carried::CarriedError;
pub use config::EngineConfig;
pub use consume::{
    BadRecordCount, ConsumerCounts, Consumers, Consumption, Ending, JOB_CHECKPOINTS, JobIteration, JobOpening, JobPlan, JobRows,
    JobStatement, OldPositions, Steered,
};
pub use cost::Prices;
pub(crate) use definitions::placeholder;
pub use definitions::{AllowedStreams, DEFAULT_SAMPLE, DefinitionRules, Proposal};
pub(crate) use distribution::register_functions;
pub use distribution::{Distribution, Spread};
pub use error::{EngineError, ErrorCategory};
pub use facts::ExecutionFacts;
pub use facts_elsewhere::FactsElsewhere;
pub use fetch_ahead::FetchProgress;
pub use files::{FileAccess, FileStores, NoStores, PinnedFile, PinnedFiles, Place, Places};
pub use hidden::HiddenColumn;
pub use history::{History, HistoryTerms, PinnedHistory};
pub use insert::{IfExists, IfMissing, IngestRequest, WriteCounts, Written};
pub use nodes::{Alone, NodeState, Nodes};
pub use offloads::{CreateOffload, JobMaker, OffloadState, Offloads};
pub use options::{OptionError, OptionSpec, OptionValue, OptionValues, check_option, option_specs, parse_option};
pub(crate) use pins_elsewhere::PinOrder;
pub use pins_elsewhere::SharedStream;
pub use plan::Engine;
pub use promises::BrokenPromises;
pub use queries::CancelOutcome;
pub use runtime::SystemLimits;
pub(crate) use scan::{SCAN_FACTS, ScanOrder, ShardScanExec, ShippedScanExec, Workplace};
pub use scratch::{PinnedScratch, PinnedView, ScratchConfig, ScratchKeep};
pub use session::{Principal, Session, SessionId};
pub use sources::KinesisSources;
pub use sql_words::SqlWords;
pub use statement_options::{CheckpointMode, KplDedup, OnLimit, StatementOptions};
pub(crate) use task_slots::{TaskSlot, TaskSlots};
