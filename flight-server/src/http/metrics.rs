//! What is counted here: statements.

use std::fmt;

use parking_lot::RwLock;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::facts::{Facts, FactsCollector};
use super::offloads::{OffloadCollector, OffloadFacts};

/// How a statement ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// To its last row.
    Ok,
    /// With an error.
    Error,
    /// Its client went away, or cancelled it.
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindAndOutcome {
    kind: String,
    outcome: Outcome,
}

/// Counters of the process. One handle is shared by all who count.
#[derive(Debug)]
pub struct Metrics {
    registry: RwLock<Registry>,
    statements: Family<KindAndOutcome, Counter>,
    seconds: Family<Kind, Histogram, fn() -> Histogram>,
    rows: Family<Kind, Counter>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("shardflight");
        let statements = Family::default();
        // 1 ms to about 17 minutes.
        let seconds = Family::new_with_constructor((|| Histogram::new(exponential_buckets(0.001, 4.0, 11))) as fn() -> Histogram);
        let rows = Family::default();
        registry.register("statements", "Statements that ended", Family::clone(&statements));
        registry.register(
            "statement_seconds",
            "Seconds from a statement's start to its end",
            Family::clone(&seconds),
        );
        registry.register("statement_rows", "Rows sent", Family::clone(&rows));
        Self {
            registry: RwLock::new(registry),
            statements,
            seconds,
            rows,
        }
    }
}

impl Metrics {
    /// A statement ended. `kind` is one of a few words (`query`, `session`, ...), never text of a client.
    pub fn statement(&self, kind: &'static str, seconds: f64, rows: u64, outcome: Outcome) {
        let labels = Kind { kind: kind.to_owned() };
        self.statements
            .get_or_create(&KindAndOutcome {
                kind: kind.to_owned(),
                outcome,
            })
            .inc();
        self.seconds.get_or_create(&labels).observe(seconds);
        self.rows.get_or_create(&labels).inc_by(rows);
    }

    /// Rows of a statement that is counted elsewhere.
    pub fn rows(&self, kind: &'static str, rows: u64) {
        self.rows.get_or_create(&Kind { kind: kind.to_owned() }).inc_by(rows);
    }

    /// Asks `facts` at each scrape; per-shard series for at most `max_shards`.
    pub fn add_facts(&self, facts: impl Facts, max_shards: usize) {
        self.registry
            .write()
            .register_collector(Box::new(FactsCollector { facts, max_shards }));
    }

    /// Asks about offload jobs at each scrape.
    pub fn add_offloads(&self, facts: impl OffloadFacts) {
        self.registry.write().register_collector(Box::new(OffloadCollector { facts }));
    }

    /// All of it, in OpenMetrics text.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut buffer = String::new();
        text::encode(&mut buffer, &self.registry.read())?;
        Ok(buffer)
    }
}
