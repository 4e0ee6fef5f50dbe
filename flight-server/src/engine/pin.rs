//! Pins the snapshot of a statement: per stream once, whatever the number of references to it.
//!
//! Each reference says by its filters which shards, sequence numbers and arrival times it can need; a stream is pinned for what any of them needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use catalog::{Start, TableName};
use datafusion::catalog::default_table_source::source_as_provider;
use datafusion::common::ToDFSchema;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::expr_rewriter::unnormalize_col;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_expr::PhysicalExpr;
use futures::future::try_join_all;
use shard_reader::{Freshness, PinRequest, ReadErrorKind, ScanStart, SequenceNumber, ShardBounds, ShardInfo, ShardScope, Snapshot};
use tokio::time::Instant;

use super::consume::Fixed;
use super::distribution::Distribution;
use super::error::EngineError;
use super::pins_elsewhere::SharedStream;
use super::plan::Statement;
use super::scan::{ArrivalSlack, Clues, KnownShard, Reach};
use super::statement_options::{Freshness as FreshnessOption, StatementOptions};
use super::table::StreamTable;

/// The streams that a plan scans, each once.
pub(super) fn scanned(plan: &LogicalPlan) -> Result<Vec<StreamTable>, EngineError> {
    let mut found: BTreeMap<TableName, StreamTable> = BTreeMap::new();
    each_scan(plan, |table, _| {
        found.insert(table.name().clone(), table);
        Ok(())
    })?;
    Ok(found.into_values().collect())
}

fn each_scan(plan: &LogicalPlan, mut see: impl FnMut(StreamTable, &[Expr]) -> Result<(), EngineError>) -> Result<(), EngineError> {
    let mut failed = Ok(());
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Ok(provider) = source_as_provider(&scan.source)
            && let Some(table) = StreamTable::of(provider.as_ref())
        {
            failed = see(table, &scan.filters);
        }
        Ok(if failed.is_ok() {
            TreeNodeRecursion::Continue
        } else {
            TreeNodeRecursion::Stop
        })
    })?;
    failed
}

/// One reference to a table: its filters, all of which must hold.
struct Reference {
    clues: Clues,
    filters: Vec<Arc<dyn PhysicalExpr>>,
}

impl Reference {
    fn new(statement: &Statement, table: &StreamTable, filters: &[Expr]) -> Result<Self, EngineError> {
        let schema = table.full_schema().to_dfschema()?;
        let physical = |filter: &Expr| statement.state.create_physical_expr(unnormalize_col(filter.clone()), &schema);
        // a column that counts records of the range counts from its start
        let filters = if table.counts_records() { &[] } else { filters };
        Ok(Self {
            clues: Clues::of(table.definition()),
            filters: filters.iter().map(physical).collect::<Result<_, _>>()?,
        })
    }

    fn reach(&self, shard: &ShardInfo) -> Reach {
        let shard = KnownShard {
            id: &shard.id,
            hashes: (shard.hash_start, shard.hash_end),
        };
        self.clues.reach(&self.filters, Some(shard))
    }
}

/// What all references to a stream need of its shards.
struct Needed {
    references: Vec<Reference>,
    /// What they need of any shard, where that is the same for all.
    everywhere: Option<Reach>,
    slack: ArrivalSlack,
}

impl Needed {
    fn new(references: Vec<Reference>, slack: ArrivalSlack) -> Self {
        let same = !references.iter().any(|reference| Clues::depend_on_shard(&reference.filters));
        let everywhere = references.iter().fold(Reach::NONE, |all, reference| {
            all.or(reference.clues.reach(&reference.filters, None))
        });
        Self {
            references,
            everywhere: same.then_some(everywhere),
            slack,
        }
    }

    fn is_everything(&self) -> bool {
        self.everywhere == Some(Reach::ALL)
    }

    async fn pin(
        &self,
        table: &StreamTable,
        request: &PinRequest,
        follow: bool,
        among: Option<&dyn Distribution>,
    ) -> Result<Snapshot, EngineError> {
        let reader = table.reader().await?;
        if let Some(among) = among {
            let others = among.pins(SharedStream::new(table.definition(), &reader));
            let scope = |shard: &ShardInfo| self.of(shard);
            let scope: Option<&ShardScope<'_>> = if self.is_everything() { None } else { Some(&scope) };
            return Ok(reader.pin_among(request, scope, others.as_ref()).await?);
        }
        let pinned = if self.is_everything() {
            reader.pin(request).await
        } else if follow {
            // what is followed has no end, and a shard that is left out would be taken for a new one
            let start_of = |shard: &ShardInfo| {
                let bounds = self.of(shard).unwrap_or_default();
                Some(ShardBounds {
                    to: None,
                    before_ms: None,
                    ..bounds
                })
            };
            reader.pin_scope(request, &start_of).await
        } else {
            reader.pin_scope(request, &|shard: &ShardInfo| self.of(shard)).await
        };
        Ok(pinned?)
    }

    /// `None`: nothing of the shard.
    fn of(&self, shard: &ShardInfo) -> Option<ShardBounds> {
        let mut reach = self.everywhere.unwrap_or_else(|| {
            self.references
                .iter()
                .fold(Reach::NONE, |all, reference| all.or(reference.reach(shard)))
        });
        if let Some(ending) = shard.ending_sequence {
            reach = reach.and(Reach::numbered(SequenceNumber::MIN, ending));
            if reach.sequence.high == ending {
                reach.sequence.high = SequenceNumber::MAX;
            }
        }
        if reach.is_none() {
            return None;
        }
        // a record without an arrival time is on neither side of a time
        let stamped = !reach.unstamped;
        Some(ShardBounds {
            from: reach.lowest(),
            to: reach.highest(),
            from_ms: reach.earliest().filter(|_| stamped).and_then(|time| self.slack.earlier(time)),
            before_ms: reach
                .latest()
                .filter(|_| stamped)
                .and_then(|time| self.slack.later(time))
                .map(|time| time.saturating_add(1)),
        })
    }
}

/// What tells streams apart before their readers are known: key of the source, and the name that the definition has.
pub(super) type StreamKey = (String, String);

/// Tables by the stream that they read.
pub(super) async fn by_stream(tables: &[StreamTable]) -> Result<BTreeMap<StreamKey, Vec<StreamTable>>, EngineError> {
    let mut by_stream: BTreeMap<StreamKey, Vec<StreamTable>> = BTreeMap::new();
    for table in tables {
        by_stream.entry(table.stream_key().await?).or_default().push(table.clone());
    }
    Ok(by_stream)
}

/// How new ends must be.
pub(super) fn freshness(options: &StatementOptions) -> Freshness {
    match options.freshness {
        FreshnessOption::Latest => Freshness::Latest,
        FreshnessOption::Cached => Freshness::Cached,
        FreshnessOption::Within(age) => Freshness::Within(age),
    }
}

/// Pins every table that the statement scans and that no ticket has pinned. What is fixed already stays as it is. `among`: each shard is pinned by the
/// node that will scan it.
pub(super) async fn pin(
    statement: &Statement,
    arrived: Instant,
    fixed: &Fixed,
    among: Option<&dyn Distribution>,
) -> Result<(), EngineError> {
    let mut references: BTreeMap<TableName, Vec<Reference>> = BTreeMap::new();
    each_scan(&statement.plan, |table, filters| {
        let reference = Reference::new(statement, &table, filters)?;
        references.entry(table.name().clone()).or_default().push(reference);
        Ok(())
    })?;
    let freshness = freshness(&statement.options);
    let mut pinning = Vec::new();
    for (key, mut tables) in by_stream(&statement.tables).await? {
        if let Some(snapshot) = fixed.ranges.get(&key) {
            for table in &tables {
                table.pin(snapshot.clone())?;
            }
            continue;
        }
        let of_stream = tables.iter().filter_map(|table| references.remove(table.name())).flatten();
        let needed = Needed::new(of_stream.collect(), statement.options.arrival_slack);
        let mut first: Option<Snapshot> = fixed.ends.get(&key).cloned();
        // what begins behind a history begins there whatever the filters say, and ends where the others do
        tables.sort_by_key(|table| table.history().is_some());
        pinning.push(async move {
            for table in tables {
                let mut snapshot = match table.history() {
                    Some(history) => history.behind(&table, &statement.options, arrived).await?,
                    None => {
                        let start = start(statement, &table);
                        let request = PinRequest { start, freshness, arrived };
                        let mut pinned = needed.pin(&table, &request, statement.follow, among).await;
                        if matches!(&pinned, Err(EngineError::Read(error)) if error.kind == ReadErrorKind::Recreated) {
                            // the statement is about the stream that has the name now
                            pinned = needed.pin(&table, &request, statement.follow, among).await;
                        }
                        pinned?
                    }
                };
                match &first {
                    None => first = Some(snapshot.clone()),
                    Some(first) => same_end(&mut snapshot, first),
                }
                table.pin(snapshot)?;
            }
            Ok::<(), EngineError>(())
        });
    }
    try_join_all(pinning).await?;
    Ok(())
}

/// Tables over one stream see the same end, whatever their starts.
fn same_end(snapshot: &mut Snapshot, first: &Snapshot) {
    snapshot.shards.retain_mut(|pin| {
        // sorted by shard id
        let Ok(at) = first.shards.binary_search_by(|known| known.range.shard.cmp(&pin.range.shard)) else {
            return false;
        };
        let known = &first.shards[at];
        pin.range.end = known.range.end;
        pin.range.start = pin.range.start.min(known.range.end);
        true
    });
}

fn start(statement: &Statement, table: &StreamTable) -> ScanStart {
    let now_ms = statement.now_ns / 1_000_000;
    match statement.options.start.unwrap_or(table.definition().start) {
        Start::Latest => ScanStart::Latest,
        Start::TrimHorizon => ScanStart::TrimHorizon,
        Start::Age(age) => ScanStart::Timestamp(now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))),
        Start::Timestamp(time) => ScanStart::Timestamp(time.timestamp_millis()),
    }
}
