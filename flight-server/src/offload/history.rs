//! What jobs have published, as the histories of their tables.

use catalog::TableName;

use super::definition::JobDefinition;
use super::error::OffloadError;
use super::jobs::Jobs;
use super::locations;
use super::step::check_stream;
use crate::engine::{History, PinnedHistory};

impl Jobs {
    pub(super) async fn try_history(&self, name: &str, table: &TableName, pinned: Option<&PinnedHistory>) -> Result<History, OffloadError> {
        let definition = match self.definition(name) {
            // made by another node just now
            Err(OffloadError::Unknown(_)) => {
                self.look().await?;
                self.definition(name)?
            }
            known => known?,
        };
        check_table(&definition, table)?;
        if let Some(pinned) = pinned
            && pinned.id != definition.id
        {
            return Err(OffloadError::FailedPrecondition(format!(
                "table {table}: offload `{name}` is another one than when the statement was planned; plan it again"
            )));
        }
        locations::check(&self.locations, &definition.location)?;
        let engine = self.engine()?;
        let plan = Box::pin(engine.plan_job(&definition.statement()?)).await?;
        let terms = plan
            .history_terms()
            .map_err(|why| OffloadError::Invalid(format!("table {table}: offload `{name}` cannot be its history: {why}")))?;
        let lake = self.lakes.open(definition.spec(&plan)?).await?;
        let nothing = || {
            OffloadError::FailedPrecondition(format!(
                "table {table}: its history, offload `{name}`, has published nothing yet at {}",
                definition.location
            ))
        };
        if pinned.is_none() && lake.table.published().await?.is_none() {
            return Err(nothing());
        }
        let snapshot = lake.table.snapshot(pinned.map(|pinned| pinned.version)).await?;
        let mark = snapshot.mark.ok_or_else(nothing)?;
        check_stream(&definition, &plan, &mark)?;
        Ok(History {
            pinned: PinnedHistory {
                offload: name.to_owned(),
                id: definition.id.clone(),
                version: snapshot.version,
            },
            mark,
            terms,
            rows: snapshot.table,
        })
    }
}

fn check_table(definition: &JobDefinition, table: &TableName) -> Result<(), OffloadError> {
    if definition.table_name() == *table {
        return Ok(());
    }
    Err(OffloadError::Invalid(format!(
        "table {table}: offload `{}` cannot be its history: it is over table {}",
        definition.offload,
        definition.table_name()
    )))
}
