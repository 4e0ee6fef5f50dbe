//! What of a statement's configuration its tasks need: a task starts with defaults, and headers of its call bring these.

use datafusion::common::extensions_options;
use datafusion::config::ConfigExtension;
use datafusion::prelude::SessionConfig;

extensions_options! {
    /// Settings of a statement.
    pub(super) struct StatementSettings {
        /// Time zone of functions.
        pub time_zone: String, default = "+00:00".to_owned()
        /// Rows of a batch.
        pub batch_size: usize, default = 8192
        /// Partitions of an operator.
        pub target_partitions: usize, default = 1
    }
}

impl ConfigExtension for StatementSettings {
    const PREFIX: &'static str = "shardflight";
}

impl StatementSettings {
    /// Of a statement that is to be spread.
    pub(super) fn of(config: &SessionConfig) -> Self {
        let execution = &config.options().execution;
        let mut settings = Self::default();
        if let Some(zone) = &execution.time_zone {
            settings.time_zone.clone_from(zone);
        }
        settings.batch_size = execution.batch_size.into();
        settings.target_partitions = execution.target_partitions;
        settings
    }

    /// The configuration of a task of that statement.
    pub(super) fn applied(&self, config: SessionConfig) -> SessionConfig {
        let mut config = config
            .with_batch_size(self.batch_size)
            .with_target_partitions(self.target_partitions);
        config.options_mut().execution.time_zone = Some(self.time_zone.clone());
        config
    }
}
