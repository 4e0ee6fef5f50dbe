//! What was found, for people and for programs.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::json;

use super::policy::HeldPolicy;
use super::prices;
use super::reading::Reading;

/// What a check came to. The worst comes last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Outcome {
    /// As it should be.
    Ok,
    /// Something to know.
    Note,
    /// It could not be found out.
    Unknown,
    /// It works, and may not go on to.
    Warning,
    /// A server would not work.
    Failed,
}

impl Outcome {
    const fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Failed => "FAILED",
        }
    }
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// `configuration`, `stream NAME`, `table NAME`.
    pub(super) about: String,
    pub(super) check: &'static str,
    pub(super) outcome: Outcome,
    pub(super) text: String,
}

/// All checks.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) findings: Vec<Finding>,
    pub(super) readings: Vec<Reading>,
    pub(super) policies: Vec<HeldPolicy>,
}

impl Report {
    pub(super) fn add(&mut self, about: &str, check: &'static str, outcome: Outcome, text: impl Into<String>) {
        self.findings.push(Finding {
            about: about.to_owned(),
            check,
            outcome,
            text: text.into(),
        });
    }

    /// How many checks failed.
    pub(super) fn failed(&self) -> usize {
        self.findings.iter().filter(|finding| finding.outcome == Outcome::Failed).count()
    }

    /// One JSON document.
    pub(super) fn json(&self) -> Result<String, serde_json::Error> {
        let document = json!({
            "findings": self.findings,
            "full_reads": self.readings,
            "prices": { "source": prices::SOURCE, "as_of": prices::AS_OF, "region": prices::REGION },
            "policies": self.policies,
        });
        Ok(serde_json::to_string_pretty(&document)? + "\n")
    }

    /// For a terminal.
    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        let mut text = String::new();
        let mut about = "";
        for finding in &self.findings {
            if about != finding.about {
                about = &finding.about;
                // Writing to a String cannot fail.
                let _ = writeln!(text, "{}{about}", if text.is_empty() { "" } else { "\n" });
            }
            let _ = writeln!(text, "  {:<8} {:<18} {}", finding.outcome.word(), finding.check, finding.text);
        }
        for reading in &self.readings {
            let _ = write!(text, "\na full read of {}\n{}", reading.stream, reading.text());
        }
        if !self.readings.is_empty() {
            let (region, as_of, source) = (prices::REGION, prices::AS_OF, prices::SOURCE);
            let _ = writeln!(text, "  prices             {region}, {as_of} ({source}); other regions have others");
        }
        for held in &self.policies {
            let policy = serde_json::to_string_pretty(&held.policy)?;
            let _ = writeln!(text, "\nleast IAM policy of {}\n{policy}", held.holder);
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_stand_below_what_they_are_about() {
        let mut report = Report::default();
        report.add("configuration", "credentials", Outcome::Ok, "somebody");
        report.add("stream s", "status", Outcome::Failed, "not there");
        assert_eq!(report.failed(), 1);
        let expected = "configuration\n  ok       credentials        somebody\n\nstream s\n  FAILED   status             not there\n";
        assert_eq!(report.text().unwrap(), expected);
    }
}
