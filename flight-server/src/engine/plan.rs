//! The life of a statement up to its endpoints.

use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use catalog::DirectoryCatalog;
use datafusion::execution::SessionState;
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use shard_reader::checkpoints::CheckpointStore;
use shard_reader::{Readers, StatementMeter};
use tokio::time::Instant;
use uuid::Uuid;

use super::access::{Access, Grants};
use super::admission::Admission;
use super::api::{Planned, PlannedQuery, QueryPart, SourceProvider, StatementRequest};
use super::config::EngineConfig;
use super::consume::{Consumers, Ending};
use super::cost::{self, Total};
use super::definitions::InferredStreams;
use super::distribution::Distribution;
use super::error::EngineError;
use super::facts::ExecutionFacts;
use super::fetch_ahead::FetchAheads;
use super::files::{self, COPY};
use super::insert::{Cancelling, INSERT, WriteCounts};
use super::lookup::Lookup;
use super::offloads::Offloads;
use super::options::{OptionValue, OptionValues};
use super::parts::{endpoint_groups, pinned, snapshot_facts, split_parts};
use super::promises::BrokenPromises;
use super::queries::{Arrival, Queries};
use super::result::result_schema;
use super::scan_errors::ScanErrors;
use super::scratch::{self, Scratch};
use super::session::Session;
use super::sql::{ParsedStatement, StatementKind, TransactionStatement, parse};
pub(super) use super::statement::{Asker, Statement, Tables};
use super::statement_options::StatementOptions;
use super::table::StatementScope;
use super::task_slots::TaskSlots;
use super::{commands, explain, parameters, physical, pin, runtime, split, system, view};

/// Kind of a statement that was not planned, or not yet.
const UNPLANNED: &str = "unplanned";

/// Plans and runs statements over streams. One a server.
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    catalog: Arc<DirectoryCatalog>,
    readers: Arc<Readers>,
    sources: Arc<dyn SourceProvider>,
    runtime: Arc<RuntimeEnv>,
    template: SessionState,
    queries: Arc<Queries>,
    errors: Arc<ScanErrors>,
    fetch_aheads: FetchAheads,
    this: Weak<Self>,
    promises: Arc<BrokenPromises>,
    inferred_streams: InferredStreams,
    consumers: Consumers,
    admission: Arc<Admission>,
    scratch: Scratch,
    pub(super) distribution: OnceLock<Arc<dyn Distribution>>,
    pub(super) offloads: OnceLock<Arc<dyn Offloads>>,
    pub(super) written: Arc<WriteCounts>,
    pub(super) task_slots: Arc<TaskSlots>,
}

impl Engine {
    /// An engine over a catalog, with readers that live as long as it does.
    pub fn new(
        config: EngineConfig,
        catalog: Arc<DirectoryCatalog>,
        readers: Arc<Readers>,
        sources: Arc<dyn SourceProvider>,
        checkpoints: Arc<dyn CheckpointStore>,
    ) -> Result<Arc<Self>, EngineError> {
        let admission = config.admission;
        let scratch = Scratch::new(config.scratch.clone());
        let runtime = runtime::runtime_env(&config)?;
        let template = runtime::template_state(&config, Arc::clone(&runtime))?;
        Ok(Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            fetch_aheads: FetchAheads::default(),
            queries: Queries::new(config.system.queries, Arc::clone(&config.audit)),
            errors: ScanErrors::new(config.system.scan_errors, config.system.scan_error_bytes),
            config,
            catalog,
            readers,
            sources,
            runtime,
            template,
            promises: Arc::default(),
            inferred_streams: InferredStreams::default(),
            consumers: Consumers::new(checkpoints),
            admission: Admission::new(admission),
            scratch,
            distribution: OnceLock::new(),
            offloads: OnceLock::new(),
            written: Arc::default(),
            task_slots: TaskSlots::new(admission),
        }))
    }

    pub(super) fn config(&self) -> &EngineConfig {
        &self.config
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.config.access
    }

    pub(super) fn template(&self) -> &SessionState {
        &self.template
    }

    pub(super) fn runtime(&self) -> &Arc<RuntimeEnv> {
        &self.runtime
    }

    pub(super) fn catalog(&self) -> &Arc<DirectoryCatalog> {
        &self.catalog
    }

    pub(super) fn sources(&self) -> &Arc<dyn SourceProvider> {
        &self.sources
    }

    /// The checkpoints.
    pub fn consumers(&self) -> &Consumers {
        &self.consumers
    }

    /// Records outside of what definitions promise: for metrics.
    pub fn promises(&self) -> &Arc<BrokenPromises> {
        &self.promises
    }

    /// The shared readers: for metrics.
    pub fn readers(&self) -> &Arc<Readers> {
        &self.readers
    }

    pub(super) fn scratch(&self) -> &Scratch {
        &self.scratch
    }

    pub(super) fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    pub(super) fn fetch_aheads(&self) -> &FetchAheads {
        &self.fetch_aheads
    }

    /// For tasks of the engine's, which must not keep it alive.
    pub(super) fn this(&self) -> Weak<Self> {
        Weak::clone(&self.this)
    }

    pub(super) fn inferred_streams(&self) -> &InferredStreams {
        &self.inferred_streams
    }

    pub(super) fn queries(&self) -> &Arc<Queries> {
        &self.queries
    }

    pub(super) fn errors(&self) -> &Arc<ScanErrors> {
        &self.errors
    }

    /// Bad records met so far: for metrics.
    pub fn bad_records(&self) -> u64 {
        self.errors.all()
    }

    /// Parses a statement, decides what kind it is, pins its snapshot and plans it. SET, RESET and SHOW run here, once.
    pub async fn plan(&self, session: &Session, request: StatementRequest) -> Result<Planned, EngineError> {
        let mut arrival = Arrival {
            id: Uuid::now_v7().to_string(),
            principal: session.principal().to_string(),
            sql: request.sql.clone(),
            kind: UNPLANNED,
            parts: 1,
            bytes_expected: None,
            tables: Vec::new(),
        };
        let planning = self.queries.planning(&arrival);
        let cancelling = Cancelling::new(planning.token());
        let planned = cancelling
            .run(Box::pin(self.planned(session, request, &mut arrival, &cancelling)))
            .await;
        planning.end();
        match &planned {
            Ok(Planned::Query(_)) => self.queries.planned(arrival),
            Ok(Planned::Done(done)) => {
                arrival.id.clone_from(&done.query_id);
                if arrival.kind == UNPLANNED {
                    arrival.kind = "session";
                }
                self.queries.ended(arrival, None);
            }
            Err(error) => self.queries.ended(arrival, Some(error)),
        }
        planned
    }

    async fn planned(
        &self,
        session: &Session,
        request: StatementRequest,
        arrival: &mut Arrival,
        cancelling: &Cancelling,
    ) -> Result<Planned, EngineError> {
        let parsed = parse(&request.sql)?;
        let values = request.overrides.over(&session.options());
        match parsed.kind {
            StatementKind::Query(_) => {
                let _running = self.admit(&arrival.principal, &arrival.id).await?;
                let query = self.planned_query(session, request, parsed, values, arrival);
                return query.await.map(Planned::Query);
            }
            StatementKind::Insert { .. } => {
                arrival.kind = INSERT;
                let _running = self.admit(&arrival.principal, &arrival.id).await?;
                let run = self.insert(session, request, parsed, values, arrival, cancelling);
                return Box::pin(run).await.map(Planned::Done);
            }
            StatementKind::Copy { .. } => {
                arrival.kind = COPY;
                let _running = self.admit(&arrival.principal, &arrival.id).await?;
                let run = self.copy(session, request, parsed, values, arrival, cancelling);
                return Box::pin(run).await.map(Planned::Done);
            }
            StatementKind::Scratch(_) => {
                arrival.kind = scratch::KIND;
                let _running = self.admit(&arrival.principal, &arrival.id).await?;
                let run = self.run_scratch(session, request, parsed, values, arrival);
                return Box::pin(run).await.map(Planned::Done);
            }
            _ => {}
        }
        let parsed = parsed.bound(request.parameters)?;
        if let StatementKind::Transaction(statement) = parsed.kind {
            arrival.kind = "transaction";
            match statement {
                TransactionStatement::Begin => self.sql_begin(session).await?,
                TransactionStatement::Commit => self.sql_end(session, Ending::Commit).await?,
                TransactionStatement::Rollback => self.sql_end(session, Ending::Rollback).await?,
            }
            return Ok(Planned::Done(commands::nothing()));
        }
        if let StatementKind::Call(call) = &parsed.kind {
            arrival.kind = "call";
            let options = StatementOptions::resolve(&parsed.hint.over(&values))?;
            return Box::pin(self.call(&arrival.principal, &options, call)).await.map(Planned::Done);
        }
        if let Some(done) = commands::run(session, &values, &parsed)? {
            return Ok(Planned::Done(done));
        }
        let _running = self.admit(&arrival.principal, &arrival.id).await?;
        if let StatementKind::Offload(statement) = &parsed.kind {
            arrival.kind = "definition";
            let options = StatementOptions::resolve(&parsed.hint.over(&values))?;
            let run = self.run_offload(&arrival.principal, &options, statement);
            return Box::pin(run).await.map(Planned::Done);
        }
        if let StatementKind::Definition(definition) = &parsed.kind {
            arrival.kind = "definition";
            let options = StatementOptions::resolve(&parsed.hint.over(&values))?;
            if let Some(done) = self.run_scratch_definition(session, &options, definition)? {
                return Ok(Planned::Done(done));
            }
            let run = self.run_definition(&arrival.principal, &options, definition);
            return Box::pin(run).await.map(Planned::Done);
        }
        Err(EngineError::Internal("a statement of no kind".into()))
    }

    /// Pins and plans what gives rows.
    pub(super) async fn planned_query(
        &self,
        session: &Session,
        request: StatementRequest,
        parsed: ParsedStatement,
        values: OptionValues,
        arrival: &mut Arrival,
    ) -> Result<PlannedQuery, EngineError> {
        let kept = request.parameters.as_ref().map(parameters::encoded).transpose()?;
        let mut parsed = parsed.bound(request.parameters)?;
        let per_shard = match parsed.hint.get("endpoints") {
            Some(OptionValue::Text(mode)) if mode == "shard" => true,
            Some(OptionValue::Text(mode)) if mode == "single" => false,
            _ => request.per_shard,
        } && !parsed.follow
            && parameters::fit_every_ticket(kept.as_ref());
        let query_id = arrival.id.clone();
        let asker = Asker {
            query_id: query_id.clone(),
            principal: session.principal().to_string(),
        };
        let transaction = session.transaction(request.transaction.as_deref())?;
        let tables = self.tables_now(session, &mut parsed).await?;
        let statement = self.statement(parsed, &values, tables, asker).await?;
        if !statement.tables.is_empty() {
            self.check_checkpoint(&arrival.principal, &statement.options)?;
        }
        arrival.tables = statement.names();
        let key = parameters::statement_key(&request.sql, kept.as_ref());
        let fixed = Box::pin(self.fix(&statement, transaction.as_ref(), &key, request.arrived)).await?;
        pin::pin(&statement, request.arrived, &fixed, self.pinned_among(&statement, per_shard)).await?;
        files::pin(&statement.plan).await?;
        let physical = self.physical(&statement).await?;
        let histories = statement.named.iter().any(|table| table.history().is_some());
        let groups = if per_shard && !histories && split::is_per_shard(&physical) {
            endpoint_groups(split::pins(&physical), statement.options.max_endpoints)
        } else {
            Vec::new()
        };
        let readings = cost::readings(&physical);
        cost::check(&readings, &statement.options)?;
        let total = Total::of(&readings, &self.config.prices);
        arrival.kind = statement.facts.kind();
        arrival.bytes_expected = total.bytes();
        let tables = statement.named.iter().map(pinned).collect::<Vec<_>>();
        let mut facts = snapshot_facts(&query_id, &readings, &total, &statement);
        if let Some(consumption) = &fixed.consumption {
            facts["consumes"] = consumption.facts();
        }
        let whole = QueryPart {
            query_id: query_id.clone(),
            sql: request.sql,
            options: values,
            now_ns: statement.now_ns,
            tables,
            files: statement.files.iter().map(files::FilesTable::to_pin).collect(),
            part: 0,
            parts: 1,
            principal: arrival.principal.clone(),
            consumption: fixed.consumption,
            parameters: kept,
            scratch: self.pin_scratch(session, &statement.scratch)?,
        };
        let parts = if groups.is_empty() {
            vec![whole]
        } else {
            split_parts(whole, groups)
        };
        arrival.parts = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        if let Some(consumption) = parts.first().and_then(|part| part.consumption.as_ref()) {
            self.begin_run(consumption, &query_id, &arrival.sql, arrival.parts).await?;
        }
        Ok(PlannedQuery {
            query_id,
            schema: statement.schema,
            parts,
            facts,
        })
    }

    /// From a parsed query to its optimized logical plan.
    pub(super) async fn statement(
        &self,
        mut parsed: ParsedStatement,
        values: &OptionValues,
        tables: Tables,
        asker: Asker,
    ) -> Result<Statement, EngineError> {
        let writes = match parsed.kind {
            StatementKind::Insert { .. } => Some(INSERT),
            StatementKind::Copy { .. } => Some(COPY),
            StatementKind::Scratch(_) => Some(scratch::KIND),
            _ => None,
        };
        parsed = parsed.into_rows();
        let options = self.limited(&asker.principal, StatementOptions::resolve(&parsed.hint.over(values))?);
        let grants = Grants::new(&self.config.access, &asker.principal);
        let deadline = options.max_seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let meter = StatementMeter::new(options.max_bytes, deadline);
        let facts = ExecutionFacts::new(asker.query_id.clone(), Arc::clone(&meter), options.on_limit);
        let now_ns = match &tables {
            Tables::Current { .. } | Tables::Streams | Tables::Sampled(_) => now_ns(),
            Tables::Pinned { now_ns, .. } => *now_ns,
        };
        let available = view::Available::new(&self.catalog, tables, grants.clone(), &self.config.files);
        let mut lookup = Lookup::new(&available, &parsed, &options);
        parsed.rewrite(&options.schema, &mut |schema, table, is_qualified| {
            lookup.find(schema, table, is_qualified)
        })?;
        let Lookup {
            exposed,
            scratch,
            files,
            lists_tables,
            ..
        } = lookup;
        let scratch = available.scratch(|name| lists_tables || scratch.contains(name));
        let follow = parsed.follow;
        let StatementKind::Query(ast) = parsed.kind else {
            return Err(EngineError::Internal("a statement that is no query cannot be planned".into()));
        };
        let scope = Arc::new(StatementScope {
            options: options.clone(),
            readers: Arc::clone(&self.readers),
            sources: Arc::clone(&self.sources),
            meter,
            facts: Arc::clone(&facts),
            errors: Arc::clone(&self.errors),
            query_id: asker.query_id.into(),
            promises: Arc::clone(&self.promises),
            target_partitions: self.config.target_partitions,
            least_partitions: if self.distribution.get().is_some() { 2 } else { 1 },
            follow,
        });
        let histories = Box::pin(self.histories(available.histories(&exposed)?, &options, follow)).await?;
        let files = Box::pin(files::opened(files)).await?;
        let own_stores = !histories.is_empty() || !files.is_empty();
        let streams = available.tables(&exposed, files, &scope, &self.config.files, histories)?;
        let named = streams.named();
        let files = streams.files();
        let catalogs = view::catalogs(
            streams,
            system::Facts {
                catalog: self.catalog.current(),
                readers: Arc::clone(&self.readers),
                queries: Arc::clone(&self.queries),
                errors: Arc::clone(&self.errors),
                grants,
                promises: Arc::clone(&self.promises),
                nodes: Arc::clone(&self.config.nodes),
                checkpoints: Arc::clone(self.consumers.store()),
                offloads: self.offloads.get().map(Arc::clone),
            },
        );
        let runtime = match own_stores {
            true => files::runtime(&self.runtime)?,
            false => Arc::clone(&self.runtime),
        };
        let state = self.state(&options, catalogs, now_ns, follow, runtime);
        let logical = state.statement_to_plan(*ast).await?;
        SQLOptions::new()
            .with_allow_ddl(false)
            .with_allow_dml(false)
            .with_allow_statements(false)
            .verify_plan(&logical)?;
        let bound = parsed.parameters.plans(logical.clone())?;
        let runs = bound.len();
        let plans = bound.iter().map(|plan| state.optimize(plan));
        let plan = physical::gathered(plans.collect::<Result<_, _>>()?)?;
        let parameters = parsed.parameters.schema(&logical, &plan)?;
        if explain::explained(&plan).is_some() {
            facts.set_kind("explain");
        } else if let Some(kind) = writes {
            facts.set_kind(kind);
        }
        let schema = result_schema(plan.schema(), &options);
        let tables = pin::scanned(&plan)?;
        Ok(Statement {
            state,
            plan,
            runs,
            parameters,
            schema,
            facts,
            options,
            now_ns,
            follow,
            tables,
            named,
            files,
            scratch,
        })
    }
}

pub(super) fn now_ns() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|age| i64::try_from(age.as_nanos()).ok())
        .unwrap_or(0)
}
