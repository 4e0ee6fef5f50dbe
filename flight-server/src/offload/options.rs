//! What a job can be told: the one registry of `OPTIONS (…)`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;

use super::complete::Completeness;
use super::error::OffloadError;
use crate::engine::{OptionValues, parse_option};

/// An option of a job.
#[derive(Debug)]
struct JobOption {
    name: &'static str,
    set: fn(&mut JobOptions, &str) -> Result<(), String>,
}

/// Nothing is read more than this at once, unless it is said otherwise: an iteration that fails is done again as a whole.
const ITERATION_MAX: &str = "1GB";

const OPTIONS: [JobOption; 11] = [
    JobOption {
        name: "bad_records",
        set: |options, text| options.of_session("bad_records", text),
    },
    JobOption {
        name: "complete",
        set: |options, text| {
            options.complete = Some(text.to_owned());
            Ok(())
        },
    },
    JobOption {
        name: "complete_width",
        set: |options, text| {
            options.complete_width = Some(duration(text, Duration::from_secs(1))?);
            Ok(())
        },
    },
    JobOption {
        name: "every",
        set: |options, text| {
            options.every = duration(text, Duration::from_secs(1))?;
            Ok(())
        },
    },
    JobOption {
        name: "heartbeat",
        set: |options, text| {
            options.heartbeat = duration(text, Duration::from_secs(1))?;
            Ok(())
        },
    },
    JobOption {
        name: "iteration_max",
        set: |options, text| options.of_session("iteration_max", text),
    },
    JobOption {
        name: "lateness",
        set: |options, text| {
            options.lateness = duration(text, Duration::ZERO)?;
            Ok(())
        },
    },
    JobOption {
        name: "maintain",
        set: |options, text| {
            options.maintain = match text {
                "never" => None,
                text => Some(duration(text, Duration::from_secs(60)).map_err(|error| format!("{error}, or never"))?),
            };
            Ok(())
        },
    },
    JobOption {
        name: "on_gap",
        set: |options, text| options.of_session("on_gap", text),
    },
    JobOption {
        name: "start",
        set: |options, text| options.of_session("start", text),
    },
    JobOption {
        name: "target_file",
        set: |options, text| {
            let size = ByteSize::from_str(text).map_err(|_| format!("`{text}` is no size such as 128MB"))?;
            if size.as_u64() < 1 << 20 {
                return Err(format!("`{text}` is less than 1MiB"));
            }
            options.target_file_bytes = size.as_u64();
            Ok(())
        },
    },
];

/// The options of a job, typed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JobOptions {
    /// How often it looks for new records.
    pub(super) every: Duration,
    /// A stream without records is said to have none that often, so that readers know to which moment the table is complete.
    pub(super) heartbeat: Duration,
    /// How often small files are put together and left-over ones removed; `None`: never.
    pub(super) maintain: Option<Duration>,
    /// Size from which a file is ended and the next one begun.
    pub(super) target_file_bytes: u64,
    /// The column that says when a partition of time begins.
    complete: Option<String>,
    complete_width: Option<Duration>,
    lateness: Duration,
    /// What its statement is planned with.
    pub(super) session: OptionValues,
}

impl JobOptions {
    /// From what was written.
    ///
    /// # Errors
    /// [`OffloadError::Invalid`] for an option that there is not, with the nearest one that there is, and for a value that does not fit.
    pub(super) fn parse(written: &BTreeMap<String, String>) -> Result<Self, OffloadError> {
        let mut options = Self {
            // what arrives is in the lake within a minute, reading and writing included
            every: Duration::from_secs(30),
            heartbeat: Duration::from_secs(600),
            maintain: Some(Duration::from_secs(3600)),
            target_file_bytes: 128_000_000,
            complete: None,
            complete_width: None,
            lateness: Duration::ZERO,
            session: OptionValues::default(),
        };
        let fixed = [
            ("timestamp_unit", "declared"),
            ("endpoints", "single"),
            ("max_bytes", "9223372036854775807"),
            ("iteration_max", ITERATION_MAX),
        ];
        for (name, text) in fixed {
            options.of_session(name, text).map_err(OffloadError::Invalid)?;
        }
        for (name, text) in written {
            let known = OPTIONS.iter().find(|known| known.name == name).ok_or_else(|| unknown(name))?;
            (known.set)(&mut options, text).map_err(|why| OffloadError::Invalid(format!("option `{name}`: {why}")))?;
        }
        if options.complete.is_some() != options.complete_width.is_some() {
            return Err(OffloadError::Invalid(
                "options `complete` and `complete_width` go together: the column of a partition's time, and how long a partition is".into(),
            ));
        }
        Ok(options)
    }

    /// When partitions are complete, if that is to be said.
    pub(super) fn completeness(&self) -> Option<Completeness> {
        Some(Completeness {
            column: self.complete.clone()?,
            width: self.complete_width?,
            lateness: self.lateness,
        })
    }

    pub(super) fn of_session(&mut self, name: &str, text: &str) -> Result<(), String> {
        let (name, value) = parse_option(name, text).map_err(|error| error.to_string())?;
        self.session.insert(name, value);
        Ok(())
    }
}

fn duration(text: &str, least: Duration) -> Result<Duration, String> {
    let parsed = humantime::parse_duration(text).map_err(|_| format!("`{text}` is no duration such as 60s or 10m"))?;
    if parsed < least {
        return Err(format!("`{text}` is less than {}", humantime::format_duration(least)));
    }
    Ok(parsed)
}

fn unknown(name: &str) -> OffloadError {
    let nearest = OPTIONS
        .iter()
        .map(|known| (strsim::jaro_winkler(known.name, name), known.name))
        .filter(|(score, _)| *score > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let names: Vec<&str> = OPTIONS.iter().map(|known| known.name).collect();
    let told = match nearest {
        Some((_, nearest)) => format!("did you mean `{nearest}`?"),
        None => format!("there are {}", names.join(", ")),
    };
    OffloadError::Invalid(format!("an offload has no option `{name}`; {told}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(name: &str, value: &str) -> Result<JobOptions, String> {
        JobOptions::parse(&BTreeMap::from([(name.to_owned(), value.to_owned())])).map_err(|error| error.to_string())
    }

    #[test]
    fn names_are_in_order_and_values_are_checked() {
        assert!(OPTIONS.is_sorted_by_key(|option| option.name));
        assert_eq!(parsed("every", "5s").unwrap().every, Duration::from_secs(5));
        assert_eq!(parsed("target_file", "2MB").unwrap().target_file_bytes, 2_000_000);
        assert_eq!(parsed("maintain", "never").unwrap().maintain, None);
        let start = parsed("start", "trim_horizon").unwrap();
        assert_eq!(start.session.get("start").unwrap().to_text(), "trim_horizon");
        assert_eq!(start.session.get("iteration_max").unwrap().to_text(), "1GB");
        for (name, value, part) in [
            ("evry", "5s", "did you mean `every`?"),
            ("colour", "5s", "there are bad_records, complete"),
            ("every", "0s", "less than 1s"),
            ("complete", "hour", "go together"),
            ("every", "soon", "no duration"),
            ("target_file", "1kB", "less than 1MiB"),
            ("bad_records", "maybe", "null_row"),
            ("start", "yesterday", "yesterday"),
            ("iteration_max", "much", "much"),
        ] {
            let error = parsed(name, value).unwrap_err();
            assert!(error.contains(part), "{name} = {value}: {error}");
        }
    }
}
