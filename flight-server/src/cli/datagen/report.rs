//! What a run of `datagen` came to.

use std::fmt;

use anyhow::bail;

use super::load::Totals;
use super::verify::Verified;

/// The report's lines, and the verdict.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) totals: &'a Totals,
    pub(super) put: bool,
    pub(super) parsed: bool,
    pub(super) verified: Option<Verified>,
    pub(super) seconds: f64,
}

impl Report<'_> {
    /// An error if anything was not acknowledged or not found again. Unparsable lines are the input's own affair.
    pub(super) fn verdict(&self) -> anyhow::Result<()> {
        let totals = self.totals;
        if self.put && totals.acknowledged != totals.produced {
            bail!(
                "{} of {} records were not acknowledged",
                totals.produced.saturating_sub(totals.acknowledged),
                totals.produced
            );
        }
        match self.verified {
            Some(found) if found.verified != totals.acknowledged => bail!(
                "{} of {} acknowledged records were not verified: {} missing, {} with another key or other bytes",
                totals.acknowledged.saturating_sub(found.verified),
                totals.acknowledged,
                found.missing,
                found.different
            ),
            _ => Ok(()),
        }
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let totals = self.totals;
        writeln!(f, "Read {} lines", totals.lines)?;
        if self.parsed {
            writeln!(f, "Produced {} records", totals.produced)?;
        }
        if self.put {
            writeln!(f, "Acknowledged {} records", totals.acknowledged)?;
            writeln!(f, "Retried {} entries", totals.retried)?;
        }
        if let Some(found) = self.verified {
            writeln!(f, "Verified {} records", found.verified)?;
            writeln!(f, "Foreign {} records", found.foreign)?;
        }
        if self.parsed {
            writeln!(f, "Unparsable {} lines", totals.unparsable)?;
            writeln!(f, "Blank {} lines", totals.blank)?;
        }
        writeln!(f, "Total time {:.3} seconds", self.seconds)?;
        let (done, unit) = if self.parsed {
            (totals.produced, "Records")
        } else {
            (totals.lines, "Lines")
        };
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = done as f64 / self.seconds.max(f64::MIN_POSITIVE);
        writeln!(f, "{unit} per second {rate:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals() -> Totals {
        Totals {
            lines: 12,
            blank: 1,
            unparsable: 1,
            produced: 10,
            acknowledged: 10,
            ..Totals::default()
        }
    }

    #[test]
    fn a_whole_report() {
        let totals = totals();
        let verified = Some(Verified {
            verified: 10,
            foreign: 3,
            ..Verified::default()
        });
        let report = Report {
            totals: &totals,
            put: true,
            parsed: true,
            verified,
            seconds: 2.0,
        };
        assert_eq!(
            report.to_string(),
            "Read 12 lines\nProduced 10 records\nAcknowledged 10 records\nRetried 0 entries\nVerified 10 records\nForeign 3 records\n\
             Unparsable 1 lines\nBlank 1 lines\nTotal time 2.000 seconds\nRecords per second 5\n"
        );
        assert!(report.verdict().is_ok());
    }

    #[test]
    fn what_is_not_acknowledged_or_not_verified_fails() {
        let mut totals = totals();
        let verified = Some(Verified {
            verified: 8,
            different: 1,
            missing: 1,
            foreign: 0,
        });
        let error = Report {
            totals: &totals,
            put: true,
            parsed: true,
            verified,
            seconds: 1.0,
        }
        .verdict()
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "2 of 10 acknowledged records were not verified: 1 missing, 1 with another key or other bytes"
        );
        totals.acknowledged = 7;
        let report = Report {
            totals: &totals,
            put: true,
            parsed: true,
            verified: None,
            seconds: 1.0,
        };
        assert_eq!(report.verdict().unwrap_err().to_string(), "3 of 10 records were not acknowledged");
        assert!(Report { put: false, ..report }.verdict().is_ok());
    }
}
