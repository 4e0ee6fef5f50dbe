//! `shardflight.yaml`, and the same keys as `SHARDFLIGHT_…` variables.
//!
//! A key `section.key` is the variable `SHARDFLIGHT_SECTION__KEY`; lists are JSON there. A variable wins over the file. Unknown keys are errors
//! with a suggestion; so are keys whose feature this version does not have.

mod auth;
mod checkpoints;
mod cluster;
mod keys;
mod load;
mod model;
mod scratch;
mod system;
mod units;

pub use auth::{
    AccessEntry, AuditSection, AuthSection, ClientCertificates, LimitsEntry, OidcSection, OneOrMany, RightName, Secret, TlsSection,
    TokenEntry, UserEntry,
};
pub use checkpoints::{CheckpointsSection, DynamoDbSection};
pub use cluster::{ClusterConfig, ClusterSection, ClusterTls, ClusterTlsSection, Peers};
pub use load::ConfigError;
pub use model::{
    AllowSection, CatalogSection, Config, FanOutSection, FanOutUse, KinesisSection, MetricsSection, QuerySection, ReaderSection,
    SegmentsSection, TicketsSection,
};
pub use scratch::ScratchSection;
pub use system::{PricesSection, SystemSection};
pub use units::{ByteCount, ListenAddr, MemoryShare};

#[cfg(test)]
mod tests;
