//! Sources for tables: one for each distinct set of AWS settings.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use catalog::KinesisOverrides;
use shard_reader::{KinesisSettings, KinesisSource, ShardSource};
use tokio::sync::{Mutex, OnceCell};

use super::api::SourceProvider;
use super::error::EngineError;

/// Connected once, however many ask at the same time.
type Connected = Arc<OnceCell<Arc<dyn ShardSource>>>;

/// Sources that speak to Kinesis, or to what speaks its protocol.
#[derive(Debug)]
pub struct KinesisSources {
    base: KinesisSettings,
    connected: Mutex<HashMap<KinesisSettings, Connected>>,
}

impl KinesisSources {
    /// Sources with the server's settings, where a table does not say otherwise.
    pub fn new(base: KinesisSettings) -> Self {
        Self {
            base,
            connected: Mutex::new(HashMap::new()),
        }
    }

    /// How a table's stream is reached.
    pub fn settings(&self, overrides: Option<&KinesisOverrides>) -> KinesisSettings {
        let mut settings = self.base.clone();
        if let Some(own) = overrides {
            let set = |target: &mut Option<String>, value: &Option<String>| {
                if value.is_some() {
                    target.clone_from(value);
                }
            };
            set(&mut settings.region, &own.region);
            set(&mut settings.endpoint, &own.endpoint);
            set(&mut settings.profile, &own.profile);
            set(&mut settings.role_arn, &own.role_arn);
            set(&mut settings.external_id, &own.external_id);
            set(&mut settings.session_name, &own.session_name);
        }
        settings
    }
}

#[async_trait]
impl SourceProvider for KinesisSources {
    async fn source(&self, overrides: Option<&KinesisOverrides>) -> Result<(String, Arc<dyn ShardSource>), EngineError> {
        let settings = self.settings(overrides);
        let key = format!("{settings:?}");
        // The map's lock is not held while connecting: credentials of one account must not hold up the tables of another.
        let cell = Arc::clone(self.connected.lock().await.entry(settings.clone()).or_default());
        let source = cell
            .get_or_try_init(|| async {
                let source = KinesisSource::connect(&settings).await?;
                Ok::<Arc<dyn ShardSource>, EngineError>(Arc::new(source))
            })
            .await?;
        Ok((key, Arc::clone(source)))
    }
}
