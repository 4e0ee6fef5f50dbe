//! The keys and their defaults.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use shard_reader::FanOutConfig;

use super::auth::{AuditSection, AuthSection, TlsSection};
use super::checkpoints::CheckpointsSection;
use super::cluster::ClusterSection;
use super::scratch::ScratchSection;
use super::system::{PricesSection, SystemSection};
use super::units::{ByteCount, ListenAddr, MemoryShare, duration};
use crate::engine::{AllowedStreams, Patterns, Places};

/// What `serve` runs with.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Flight SQL (gRPC).
    pub listen: ListenAddr,
    /// Health and metrics.
    pub http: ListenAddr,
    /// Listen beyond loopback without TLS and authentication.
    pub insecure: bool,
    /// Where the server keeps what must outlive it.
    pub data_dir: PathBuf,
    /// TLS of the Flight SQL listener.
    #[serde(deserialize_with = "section")]
    pub tls: TlsSection,
    /// Who may come in, and what they may do; absent: everybody may do everything.
    #[serde(deserialize_with = "named")]
    pub auth: Option<AuthSection>,
    /// Who did what.
    #[serde(deserialize_with = "section")]
    pub audit: AuditSection,
    /// What statements may name beside what definition files name.
    #[serde(deserialize_with = "section")]
    pub allow: AllowSection,
    /// How streams are reached; tables can say otherwise.
    #[serde(deserialize_with = "section")]
    pub kinesis: KinesisSection,
    /// Table definitions.
    #[serde(deserialize_with = "section")]
    pub catalog: CatalogSection,
    /// Reading of streams.
    #[serde(deserialize_with = "section")]
    pub reader: ReaderSection,
    /// Records kept on disk.
    #[serde(deserialize_with = "section")]
    pub segments: SegmentsSection,
    /// What named consumers have consumed.
    #[serde(deserialize_with = "section")]
    pub checkpoints: CheckpointsSection,
    /// Running of statements.
    #[serde(deserialize_with = "section")]
    pub query: QuerySection,
    /// How the object storage is reached in which files of tables lie.
    #[serde(deserialize_with = "section")]
    pub lake: LakeSection,
    /// Tickets handed to clients.
    #[serde(deserialize_with = "section")]
    pub tickets: TicketsSection,
    /// Scratch tables.
    #[serde(deserialize_with = "section")]
    pub scratch: ScratchSection,
    /// Metrics.
    #[serde(deserialize_with = "section")]
    pub metrics: MetricsSection,
    /// What the system tables keep.
    #[serde(deserialize_with = "section")]
    pub system: SystemSection,
    /// What AWS charges for reading.
    #[serde(deserialize_with = "section")]
    pub prices: PricesSection,
    /// The nodes that share the work; absent: this process is alone.
    #[serde(deserialize_with = "named")]
    pub cluster: Option<ClusterSection>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: ListenAddr::loopback(32010),
            http: ListenAddr::loopback(8080),
            insecure: false,
            tls: TlsSection::default(),
            auth: None,
            audit: AuditSection::default(),
            allow: AllowSection::default(),
            data_dir: "data".into(),
            kinesis: KinesisSection::default(),
            catalog: CatalogSection::default(),
            reader: ReaderSection::default(),
            segments: SegmentsSection::default(),
            checkpoints: CheckpointsSection::default(),
            query: QuerySection::default(),
            lake: LakeSection::default(),
            tickets: TicketsSection::default(),
            scratch: ScratchSection::default(),
            metrics: MetricsSection::default(),
            system: SystemSection::default(),
            prices: PricesSection::default(),
            cluster: None,
        }
    }
}

/// `kinesis:`; what is absent is AWS's default chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KinesisSection {
    /// Region.
    pub region: Option<String>,
    /// Endpoint URL.
    pub endpoint: Option<String>,
    /// Profile of the AWS configuration.
    pub profile: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id for it.
    pub external_id: Option<String>,
    /// Session name for it.
    pub session_name: Option<String>,
}

/// `allow:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AllowSection {
    /// Names and ARNs of streams, with `*` for any text, that CREATE EXTERNAL TABLE and `kinesis_stream` may name; streams of definition files they
    /// may name anyway.
    pub streams: Vec<String>,
    /// ARNs of roles, with `*` for any text, by which tables of CREATE EXTERNAL TABLE may reach their streams.
    pub roles: Vec<String>,
    /// `s3://BUCKET/PREFIX` and `file:///DIRECTORY` that tables over files may read.
    pub read: Vec<String>,
    /// Those in which statements may write: COPY, and offload jobs.
    pub write: Vec<String>,
}

/// `lake:`; how the buckets of `allow.read` and `allow.write` are reached. What is absent is AWS's default chain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LakeSection {
    /// Endpoint URL of the object storage.
    pub endpoint: Option<String>,
    /// Region of the object storage, if it is not that of Kinesis.
    pub region: Option<String>,
    /// Role to assume.
    pub role_arn: Option<String>,
    /// External id for it.
    pub external_id: Option<String>,
}

/// `catalog:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogSection {
    /// Directory of definitions, or `s3://BUCKET/PREFIX`.
    pub path: PathBuf,
    /// Endpoint URL of the object storage.
    pub endpoint: Option<String>,
    /// Region of the object storage, if it is not that of Kinesis.
    pub region: Option<String>,
    /// Statements may change definitions [default: where rights say who may, or only this machine reaches the server].
    pub ddl: Option<bool>,
    /// How often it is looked at.
    #[serde(deserialize_with = "duration")]
    pub refresh: Duration,
    /// Schema of definitions that name none.
    pub default_schema: String,
}

impl Default for CatalogSection {
    fn default() -> Self {
        Self {
            path: "tables".into(),
            endpoint: None,
            region: None,
            ddl: None,
            refresh: Duration::from_secs(10),
            default_schema: "default".to_owned(),
        }
    }
}

/// `reader:`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ReaderSection {
    /// Memory for records held.
    pub memory: MemoryShare,
    /// A shard's reader stops after that long without a statement.
    #[serde(deserialize_with = "duration")]
    pub idle_stop: Duration,
    /// GetRecords calls a second and shard; AWS allows 5 to all consumers together.
    pub calls_per_second: f64,
    /// Bytes a second and shard; AWS allows 2 MB to all consumers together.
    pub bytes_per_second: ByteCount,
    /// Bytes of a shard that a FOLLOW statement may leave lying, once it had caught up.
    pub follow_lag: ByteCount,
    /// Enhanced fan-out.
    #[serde(deserialize_with = "section")]
    pub fan_out: FanOutSection,
}

/// `reader.fan_out:`; without a consumer, shards are read by polling alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FanOutSection {
    /// Name of the consumer that is registered with each stream.
    pub consumer: Option<String>,
    /// Where it is used.
    #[serde(rename = "use")]
    pub used: FanOutUse,
}

/// Where fan-out is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FanOutUse {
    /// At the tip of shards; the backlog is polled.
    #[default]
    Tip,
    /// Nowhere.
    Off,
}

impl FanOutSection {
    /// The consumer, where fan-out is used.
    pub fn reader_config(&self) -> Option<FanOutConfig> {
        let consumer = self.consumer.clone().filter(|_| self.used == FanOutUse::Tip)?;
        Some(FanOutConfig { consumer })
    }
}

impl Default for ReaderSection {
    fn default() -> Self {
        Self {
            memory: MemoryShare::Percent(25.0),
            idle_stop: Duration::from_secs(600),
            calls_per_second: 2.0,
            bytes_per_second: ByteCount(1_000_000),
            follow_lag: ByteCount(256 << 20),
            fan_out: FanOutSection::default(),
        }
    }
}

/// `segments:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SegmentsSection {
    /// Directory [default: `segments` in `data_dir`]; `none` = nothing is stored.
    pub path: Option<PathBuf>,
    /// Disk for it.
    pub disk: ByteCount,
    /// Object storage that nodes share: `s3://BUCKET/PREFIX` or `file:///DIRECTORY`.
    pub store: Option<String>,
    /// Endpoint URL of the object storage.
    pub store_endpoint: Option<String>,
    /// Region of the object storage, if it is not that of Kinesis.
    pub store_region: Option<String>,
}

impl Default for SegmentsSection {
    fn default() -> Self {
        Self {
            path: None,
            disk: ByteCount(20 << 30),
            store: None,
            store_endpoint: None,
            store_region: None,
        }
    }
}

/// `query:`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct QuerySection {
    /// Memory of all statements together.
    pub memory: MemoryShare,
    /// Directory for what does not fit [default: `spill` in `data_dir`].
    pub spill: Option<PathBuf>,
    /// Disk for that.
    pub spill_disk: ByteCount,
    /// A statement's time.
    #[serde(deserialize_with = "duration")]
    pub timeout: Duration,
    /// Bytes that a statement may read from Kinesis.
    pub max_bytes: ByteCount,
    /// Statements that run at once.
    pub max_concurrent: usize,
    /// Statements that wait for that; one more is refused.
    pub queue: usize,
    /// How long one waits at most.
    #[serde(deserialize_with = "duration")]
    pub queue_timeout: Duration,
}

impl Default for QuerySection {
    fn default() -> Self {
        Self {
            memory: MemoryShare::Percent(25.0),
            spill: None,
            spill_disk: ByteCount(20 << 30),
            timeout: Duration::from_secs(600),
            max_bytes: ByteCount(20 << 30),
            max_concurrent: 64,
            queue: 256,
            queue_timeout: Duration::from_secs(30),
        }
    }
}

/// `tickets:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TicketsSection {
    /// How long a ticket can be redeemed.
    #[serde(deserialize_with = "duration")]
    pub ttl: Duration,
}

impl Default for TicketsSection {
    fn default() -> Self {
        Self {
            ttl: Duration::from_secs(3600),
        }
    }
}

/// `metrics:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSection {
    /// Per-shard series for at most that many shards.
    pub max_shards: usize,
}

impl Default for MetricsSection {
    fn default() -> Self {
        Self { max_shards: 1000 }
    }
}

impl Config {
    /// The spill directory.
    pub fn spill_dir(&self) -> PathBuf {
        self.query.spill.clone().unwrap_or_else(|| self.data_dir.join("spill"))
    }

    /// The directory of stored segments; `None` = nothing is stored.
    pub fn segments_dir(&self) -> Option<PathBuf> {
        match &self.segments.path {
            Some(path) if path.as_os_str() == "none" => None,
            Some(path) => Some(path.clone()),
            None => Some(self.data_dir.join("segments")),
        }
    }

    /// Whether statements may change definitions.
    pub fn ddl(&self) -> bool {
        self.catalog
            .ddl
            .unwrap_or_else(|| self.auth.is_some() || self.listen.0.ip().is_loopback())
    }

    /// What no single key shows: addresses that need protection, numbers that make no sense.
    pub(super) fn validate(&self) -> Result<(), String> {
        self.tls.validate()?;
        if let Some(auth) = &self.auth {
            auth.validate(self.tls.client_ca.is_some())?;
        }
        let protected = self.tls.is_on() && self.auth.is_some();
        for (key, address) in [("listen", self.listen), ("http", self.http)] {
            if !address.0.ip().is_loopback() && !self.insecure && !protected {
                return Err(format!(
                    "{key}: {address} can be reached from other machines; configure `tls` and `auth`, use an address such as 127.0.0.1, \
                     or set `insecure: true` where the network itself keeps others out"
                ));
            }
        }
        if self.query.max_concurrent == 0 {
            return Err("query.max_concurrent: must be more than 0".to_owned());
        }
        if !(self.reader.calls_per_second.is_finite() && self.reader.calls_per_second > 0.0) {
            return Err(format!(
                "reader.calls_per_second: {} is not a number above 0",
                self.reader.calls_per_second
            ));
        }
        for (key, bytes) in [
            ("reader.bytes_per_second", self.reader.bytes_per_second),
            ("reader.follow_lag", self.reader.follow_lag),
            ("query.max_bytes", self.query.max_bytes),
            ("query.spill_disk", self.query.spill_disk),
            ("segments.disk", self.segments.disk),
        ] {
            if bytes.0 == 0 {
                return Err(format!("{key}: must be more than 0 bytes"));
            }
        }
        self.prices.validate()?;
        self.checkpoints.validate()?;
        self.cluster()?;
        if self.segments.store.is_some() && self.segments_dir().is_none() {
            return Err("segments.store: what is fetched from there goes to segments.path, which is `none`".to_owned());
        }
        if let Some(consumer) = &self.reader.fan_out.consumer {
            let valid =
                (1..=128).contains(&consumer.len()) && consumer.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
            if !valid {
                return Err(format!(
                    "reader.fan_out.consumer: {consumer:?} is not a consumer's name: 1 to 128 of a-z, A-Z, 0-9, `_`, `.` and `-`"
                ));
            }
        }
        AllowedStreams::new(&self.allow.streams).map_err(|error| format!("allow.streams: {error}"))?;
        Patterns::new(&self.allow.roles).map_err(|error| format!("allow.roles: {error}"))?;
        for (key, locations) in [("read", &self.allow.read), ("write", &self.allow.write)] {
            Places::new(locations).map_err(|error| format!("allow.{key}: {error}"))?;
        }
        if self.catalog.default_schema.is_empty() {
            return Err("catalog.default_schema: must not be empty".to_owned());
        }
        Ok(())
    }
}

/// A section that is named is there, even with nothing in it.
pub(super) fn named<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    section(deserializer).map(Some)
}

/// A section with nothing in it is all defaults.
pub(super) fn section<'de, T: Default + Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
