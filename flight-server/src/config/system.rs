//! `system:` and `prices:`, what the server keeps and knows to tell of itself.

use serde::Deserialize;

use super::units::ByteCount;
use crate::engine::{Prices, SystemLimits};

/// `system:`
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SystemSection {
    /// Statements that `kinesis.system.queries` keeps.
    pub queries: usize,
    /// Bad records that `kinesis.system.scan_errors` keeps.
    pub scan_errors: usize,
    /// Bytes of these.
    pub scan_error_bytes: ByteCount,
}

impl Default for SystemSection {
    fn default() -> Self {
        let limits = SystemLimits::default();
        Self {
            queries: limits.queries,
            scan_errors: limits.scan_errors,
            scan_error_bytes: ByteCount(limits.scan_error_bytes as u64),
        }
    }
}

impl SystemSection {
    /// As the engine takes it.
    pub fn limits(&self) -> SystemLimits {
        SystemLimits {
            queries: self.queries,
            scan_errors: self.scan_errors,
            scan_error_bytes: usize::try_from(self.scan_error_bytes.0).unwrap_or(usize::MAX),
        }
    }
}

/// `prices:`, in dollars per GB.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PricesSection {
    /// Data retrieved from on-demand streams.
    pub on_demand_per_gb: f64,
    /// Data older than 7 days, retrieved from provisioned streams.
    pub long_term_per_gb: f64,
}

impl Default for PricesSection {
    fn default() -> Self {
        let prices = Prices::default();
        Self {
            on_demand_per_gb: prices.on_demand_per_gb,
            long_term_per_gb: prices.long_term_per_gb,
        }
    }
}

impl PricesSection {
    /// As the engine takes it.
    pub fn prices(&self) -> Prices {
        Prices {
            on_demand_per_gb: self.on_demand_per_gb,
            long_term_per_gb: self.long_term_per_gb,
        }
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        for (key, price) in [
            ("prices.on_demand_per_gb", self.on_demand_per_gb),
            ("prices.long_term_per_gb", self.long_term_per_gb),
        ] {
            if !(price.is_finite() && price >= 0.0) {
                return Err(format!("{key}: {price} is no price"));
            }
        }
        Ok(())
    }
}
