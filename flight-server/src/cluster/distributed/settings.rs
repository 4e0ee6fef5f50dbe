//! What of a statement's configuration its tasks need: a task starts with defaults, and headers of its call bring these. Rows depend on them, so a
//! task that they do not come with is not run.

use datafusion::common::{Result as DfResult, extensions_options, internal_err};
use datafusion::config::ConfigExtension;
use datafusion::prelude::SessionConfig;

use crate::cluster::Node;

/// The zone of a statement that names none.
const UTC: &str = "+00:00";

extensions_options! {
    /// Settings of a statement.
    pub(super) struct StatementSettings {
        /// Time zone of functions; empty: it was not said.
        pub time_zone: String, default = String::new()
        /// Rows of a batch.
        pub batch_size: usize, default = 8192
        /// Partitions of an operator.
        pub target_partitions: usize, default = 1
        /// The node where it was asked for.
        pub node: String, default = String::new()
    }
}

impl ConfigExtension for StatementSettings {
    const PREFIX: &'static str = "shardflight";
}

impl StatementSettings {
    /// Of a statement that is to be spread.
    pub(super) fn of(config: &SessionConfig, node: &Node) -> Self {
        let execution = &config.options().execution;
        Self {
            time_zone: execution.time_zone.clone().unwrap_or_else(|| UTC.to_owned()),
            batch_size: execution.batch_size.into(),
            target_partitions: execution.target_partitions,
            node: node.url.to_string(),
        }
    }

    /// The configuration of a task of the statement whose settings came with it.
    /// And that node.
    pub(super) fn applied(config: SessionConfig) -> DfResult<(SessionConfig, String)> {
        let settings = config
            .options()
            .extensions
            .get::<Self>()
            .filter(|settings| !settings.time_zone.is_empty());
        let Some(settings) = settings.cloned() else {
            return internal_err!("a task came without the settings of its statement");
        };
        let mut config = config
            .with_batch_size(settings.batch_size)
            .with_target_partitions(settings.target_partitions);
        config.options_mut().execution.time_zone = Some(settings.time_zone);
        Ok((config, settings.node))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_runs_with_its_statements_settings_or_not_at_all() {
        let mut asked = SessionConfig::new().with_batch_size(100).with_target_partitions(3);
        asked.options_mut().execution.time_zone = Some("+09:00".to_owned());
        let node = Node {
            url: url::Url::parse("http://10.0.0.1:32011/").unwrap(),
        };
        let came = SessionConfig::new().with_option_extension(StatementSettings::of(&asked, &node));
        let (task, asked_by) = StatementSettings::applied(came).unwrap();
        assert_eq!(asked_by, node.to_string());
        assert_eq!((task.batch_size(), task.target_partitions()), (100, 3));
        assert_eq!(task.options().execution.time_zone.as_deref(), Some("+09:00"));
        for nothing in [
            SessionConfig::new(),
            SessionConfig::new().with_option_extension(StatementSettings::default()),
        ] {
            assert!(StatementSettings::applied(nothing).is_err());
        }
    }
}
