//! Names of options that the connectors for Presto, Trino, Hive and EMR had.

use super::options::OptionError;

/// An old name, without `kinesis.` in front, and the one it has here.
const ALIASES: &[(&str, &str)] = &[
    // Presto and Trino; the shipped properties were spelled with hyphens
    ("checkpoint_logical_name", "checkpoint_name"),
    ("checkpoint-logical-name", "checkpoint_name"),
    ("iteration_number", "iteration"),
    ("iteration-number", "iteration"),
    ("iterator-number", "iteration"),
    // there, reading itself moved the checkpoint
    ("checkpoint_enabled", "commit_on_read"),
    ("checkpoint-enabled", "commit_on_read"),
    // Hive and EMR
    ("checkpoint.enabled", "commit_on_read"),
    ("checkpoint.logical.name", "checkpoint_name"),
    ("checkpoint.iteration.no", "iteration"),
];

/// Old names without a meaning here, and what is there instead.
const RETIRED: &[(&str, &str)] = &[
    (
        "checkpoint-interval-ms",
        "a checkpoint moves by COMMIT, not by the clock; with commit_on_read, when a statement was delivered",
    ),
    (
        "checkpoint-interval",
        "a checkpoint moves by COMMIT, not by the clock; with commit_on_read, when a statement was delivered",
    ),
    (
        "checkpoint.interval",
        "a checkpoint moves by COMMIT, not by the clock; with commit_on_read, when a statement was delivered",
    ),
    (
        "checkpoint.metastore.table.name",
        "one DynamoDB table holds all checkpoints: `checkpoints.dynamodb.table` of the server's configuration names it",
    ),
    ("checkpoint.dynamo.read.capacity", "the table of checkpoints is billed on demand"),
    ("checkpoint.dynamo.write.capacity", "the table of checkpoints is billed on demand"),
    ("dynamo-read-capacity", "the table of checkpoints is billed on demand"),
    ("dynamo-write-capacity", "the table of checkpoints is billed on demand"),
    (
        "iteration.timeout",
        "an iteration ends at the tip when it is opened; iteration_max bounds it",
    ),
    (
        "nodata.timeout",
        "an iteration ends at the tip when it is opened: silence does not end it, and needs not be waited for",
    ),
    (
        "rerun.iteration.without.wait",
        "an iteration that was opened has its end: reading it again waits for nothing",
    ),
];

/// The name an option has here, by its own name or an old one.
pub(super) fn current_name(name: &str) -> Result<&str, OptionError> {
    if let Some((name, reason)) = RETIRED.iter().find(|(old, _)| *old == name) {
        return Err(OptionError::Retired { name, reason });
    }
    let alias = ALIASES.iter().find(|(old, _)| *old == name);
    Ok(alias.map_or(name, |(_, current)| *current))
}

#[cfg(test)]
mod tests {
    use super::super::options::{OptionValue, find, parse_option};
    use super::*;

    #[test]
    fn old_names_lead_to_options_that_are_there() {
        for (old, current) in ALIASES {
            assert_eq!(find(old).unwrap().name, *current, "{old}");
        }
        assert_eq!(
            parse_option("kinesis.checkpoint.iteration.no", "3"),
            Ok(("iteration", OptionValue::Int(3)))
        );
        assert_eq!(
            parse_option("kinesis.checkpoint_enabled", "true"),
            Ok(("commit_on_read", OptionValue::Bool(true)))
        );
    }

    #[test]
    fn names_without_a_meaning_say_what_is_there_instead() {
        let error = parse_option("kinesis.nodata.timeout", "5").unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("option `nodata.timeout`: an iteration ends at the tip"),
            "{error}"
        );
    }
}
