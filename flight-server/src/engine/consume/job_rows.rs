//! The rows of a job's iteration, and the records of it that cannot be decoded.

use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use futures::stream::{self, StreamExt, TryStreamExt};
use uuid::Uuid;

use super::super::api::{PinnedTable, QueryPart};
use super::super::error::EngineError;
use super::super::execute::Batches;
use super::super::options::{OptionValues, parse_option};
use super::super::parts::{endpoint_groups, split_parts};
use super::super::plan::{Asker, Engine, Tables};
use super::super::scratch::PinnedScratch;
use super::super::split;
use super::super::sql::{CATALOG, parse};
use super::job::{JobIteration, JobPlan};

impl Engine {
    /// The rows of an iteration. Where each row is made of one record they come by shard and position; the schema is the plan's.
    pub async fn job_rows(&self, plan: &JobPlan, iteration: &JobIteration) -> Result<Batches, EngineError> {
        let options = plan.job.options.clone();
        let (schema, rows) = self.rows_of_iteration(plan, iteration, plan.job.sql.clone(), options).await?;
        if schema != *plan.schema() {
            return Err(EngineError::Internal(
                "a job's statement gives other columns than it was planned with".into(),
            ));
        }
        Ok(rows)
    }

    /// The bad records of an iteration, by shard and position: `_shard_id`, `_shard_sequence_id`, `_sub_sequence`, `_row_index`, `_message_timestamp`,
    /// `_message_error`, `_message`.
    pub async fn job_bad_records(&self, plan: &JobPlan, iteration: &JobIteration) -> Result<Batches, EngineError> {
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let sql = format!(
            "SELECT _shard_id, _shard_sequence_id, _sub_sequence, _row_index, _message_timestamp, _message_error, _message FROM {CATALOG}.{}.{} WHERE NOT _message_valid",
            quoted(&plan.table.schema),
            quoted(&plan.table.table),
        );
        let mut options = plan.job.options.clone();
        let (name, value) = parse_option("bad_records", "null_row")?;
        options.insert(name, value);
        Ok(self.rows_of_iteration(plan, iteration, sql, options).await?.1)
    }

    async fn rows_of_iteration(
        &self,
        plan: &JobPlan,
        iteration: &JobIteration,
        sql: String,
        options: OptionValues,
    ) -> Result<(SchemaRef, Batches), EngineError> {
        let query_id = Uuid::now_v7().to_string();
        let now_ns = iteration.opened_ms.saturating_mul(1_000_000);
        let tables = vec![PinnedTable {
            name: plan.table.clone(),
            definition: Arc::clone(&plan.definition),
            snapshot: Some(iteration.snapshot.clone()),
            history: None,
        }];
        let asker = Asker {
            query_id: query_id.clone(),
            principal: plan.job.principal.clone(),
        };
        let pinned = Tables::Pinned {
            tables: tables.clone(),
            files: Vec::new(),
            scratch: Arc::default(),
            now_ns,
        };
        let statement = self.statement(parse(&sql)?.bound(None)?, &options, pinned, asker).await?;
        let physical = self.physical(&statement).await?;
        let whole = QueryPart {
            query_id,
            sql,
            options,
            now_ns,
            tables,
            files: Vec::new(),
            part: 0,
            parts: 1,
            principal: plan.job.principal.clone(),
            consumption: None,
            parameters: None,
            scratch: PinnedScratch::default(),
        };
        let groups = if split::is_per_shard(&physical) {
            let mut pins = split::pins(&physical);
            pins.retain(|pin| pin.range.start < pin.range.end);
            pins.sort_by(|one, other| one.range.shard.cmp(&other.range.shard));
            endpoint_groups(pins, usize::MAX)
        } else {
            Vec::new()
        };
        let parts = if groups.is_empty() {
            vec![whole]
        } else {
            split_parts(whole, groups)
        };
        let engine = self
            .this()
            .upgrade()
            .ok_or_else(|| EngineError::Unavailable("the server stops".into()))?;
        let rows = stream::iter(parts)
            .then(move |part| {
                let engine = Arc::clone(&engine);
                async move { engine.execute(part).await.map(|execution| execution.batches) }
            })
            .try_flatten()
            .boxed();
        Ok((statement.schema, rows))
    }
}
