//! The rows of a job's iteration, and the records of it that cannot be decoded.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::BadRecords;
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

/// The rows of an iteration.
pub struct JobRows {
    /// Where each row is made of one record they come by shard and position; the schema is the plan's.
    pub batches: Batches,
    judged: Option<Arc<AtomicU64>>,
}

impl fmt::Debug for JobRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobRows").field("judged", &self.judged).finish_non_exhaustive()
    }
}

impl JobRows {
    /// Counts the bad records of the iteration, once all rows have been taken; `None`: not each of its records is looked at on the way to these rows, and
    /// [`Engine::job_bad_records`] has to be asked.
    pub fn judged(&self) -> Option<BadRecordCount> {
        self.judged.as_ref().map(|count| BadRecordCount(Arc::clone(count)))
    }
}

/// How many bad records were met on the way.
#[derive(Debug)]
pub struct BadRecordCount(Arc<AtomicU64>);

impl BadRecordCount {
    /// Up to now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Engine {
    /// The rows of an iteration.
    pub async fn job_rows(&self, plan: &JobPlan, iteration: &JobIteration) -> Result<JobRows, EngineError> {
        let options = plan.job.options.clone();
        // what ends at its first bad record has not seen those behind it
        let judge = plan.options.bad_records.unwrap_or(plan.definition.bad_records) != BadRecords::Fail;
        let (schema, rows) = self
            .rows_of_iteration(plan, iteration, plan.job.sql.clone(), options, judge)
            .await?;
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
        Ok(self.rows_of_iteration(plan, iteration, sql, options, false).await?.1.batches)
    }

    async fn rows_of_iteration(
        &self,
        plan: &JobPlan,
        iteration: &JobIteration,
        sql: String,
        options: OptionValues,
        judge: bool,
    ) -> Result<(SchemaRef, JobRows), EngineError> {
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
        let judged = (judge && split::is_per_shard(&physical) && split::decodes_all(&physical)).then(Arc::<AtomicU64>::default);
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
        let count = judged.clone();
        let batches = stream::iter(parts)
            .then(move |part| {
                let (engine, count) = (Arc::clone(&engine), count.clone());
                async move { engine.execute_judging(part, count).await.map(|execution| execution.batches) }
            })
            .try_flatten()
            .boxed();
        Ok((statement.schema, JobRows { batches, judged }))
    }
}
