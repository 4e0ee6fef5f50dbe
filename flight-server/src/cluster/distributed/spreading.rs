//! Spreads a plan that is ready over nodes.
//!
//! Each task of a stage that scans has a node, and scans the shards which that node owns; other tasks run on the same nodes, and what is left to one task runs
//! where the statement was asked for.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{DataFusionError, Result as DfResult};
use datafusion::execution::SessionState;
use datafusion::execution::context::QueryPlanner;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedExec, DistributedExt, DistributedLeafExec, RouteTasksEvent,
    RouteTasksEventResponse, ScaleUpLeafNodeEvent, ScaleUpLeafNodeEventResponse, SessionStateBuilderExt, WorkerResolver,
    display_plan_ascii,
};
use shard_reader::PinElsewhere;
use tokio::task::JoinSet;
use url::Url;

use super::allowed::keeps_here;
use super::channels::Resolver;
use super::codec::ScanCodec;
use super::part::Others;
use super::peers::Peers;
use super::pins::Owners;
use super::settings::StatementSettings;
use super::slots;
use crate::cluster::{Node, Placement};
use crate::engine::{Distribution, EngineError, FactsElsewhere, ShardScanExec, SharedStream, Spread, TaskSlots};

/// Spreads plans over the nodes that answer.
#[derive(Debug)]
pub(crate) struct Spreading {
    peers: Arc<Peers>,
    others: Others,
    /// This node's own.
    slots: Arc<TaskSlots>,
}

impl Spreading {
    pub(crate) fn new(peers: Arc<Peers>, others: Others, slots: Arc<TaskSlots>) -> Arc<Self> {
        Arc::new(Self { peers, others, slots })
    }
}

/// Which node does what of one statement.
#[derive(Debug)]
struct Assignment {
    placement: Placement,
    /// Owners of the shards that are read. Task i of a stage is the i-th one's.
    homes: Vec<Node>,
    own: Node,
}

/// The plan, whatever is asked for.
#[derive(Debug)]
struct Ready(Arc<dyn ExecutionPlan>);

#[async_trait]
impl QueryPlanner for Ready {
    async fn create_physical_plan(&self, _: &LogicalPlan, _: &dyn Session) -> DfResult<Arc<dyn ExecutionPlan>> {
        Ok(Arc::clone(&self.0))
    }
}

struct Homes(Vec<Url>);

impl WorkerResolver for Homes {
    fn get_urls(&self) -> Result<Vec<Url>, DataFusionError> {
        Ok(self.0.clone())
    }
}

impl Assignment {
    fn of(plan: &Arc<dyn ExecutionPlan>, placement: Placement, own: Node) -> Self {
        let mut homes = BTreeSet::new();
        each_scan(plan, &mut |scan| {
            for pin in scan.pins() {
                homes.insert(placement.owner(&scan.stream().arn, &pin.range.shard).clone());
            }
        });
        Self {
            placement,
            homes: homes.into_iter().collect(),
            own,
        }
    }

    fn task_count(&self, scan: &ShardScanExec) -> DesiredTaskCountEventResponse {
        // rows of one partition may stand in an order, or under a limit, that nothing above restores
        if scan.partition_count() < 2 {
            return DesiredTaskCountEventResponse::maximum(1);
        }
        DesiredTaskCountEventResponse::desired(self.homes.len())
    }

    fn scaled(&self, leaf: &Arc<dyn ExecutionPlan>, scan: &ShardScanExec, tasks: usize) -> DfResult<ScaleUpLeafNodeEventResponse> {
        if tasks < 2 {
            return Ok(ScaleUpLeafNodeEventResponse::new(Arc::clone(leaf)));
        }
        let mut shards = vec![Vec::new(); tasks];
        for pin in scan.pins() {
            let owner = self.placement.owner(&scan.stream().arn, &pin.range.shard);
            let home = self.homes.binary_search(owner).unwrap_or(0);
            shards[home % tasks].push(pin);
        }
        // all tasks have as many partitions as the one that has most shards
        let most = shards.iter().map(Vec::len).max().unwrap_or(1);
        let partitions = most.clamp(1, scan.partition_count());
        let variants = shards
            .into_iter()
            .map(|pins| Arc::new(scan.of_shards(pins, partitions)) as Arc<dyn ExecutionPlan>);
        let spread = DistributedLeafExec::try_new(Arc::clone(leaf), variants)?;
        Ok(ScaleUpLeafNodeEventResponse::new(Arc::new(spread)))
    }

    fn routed(&self, tasks: usize) -> RouteTasksEventResponse {
        let urls = match tasks {
            1 => vec![self.own.url.clone()],
            _ => self.homes.iter().take(tasks).map(|node| node.url.clone()).collect(),
        };
        RouteTasksEventResponse::new(urls)
    }
}

fn each_scan(plan: &Arc<dyn ExecutionPlan>, see: &mut dyn FnMut(&ShardScanExec)) {
    if let Some(scan) = plan.downcast_ref::<ShardScanExec>() {
        see(scan);
    }
    for child in plan.children() {
        each_scan(child, see);
    }
}

fn is_spread(plan: &Arc<dyn ExecutionPlan>) -> bool {
    plan.is::<DistributedExec>() || plan.children().into_iter().any(is_spread)
}

#[async_trait]
impl Distribution for Spreading {
    async fn spread(&self, plan: Arc<dyn ExecutionPlan>, state: &SessionState, facts: Arc<FactsElsewhere>) -> DfResult<Option<Spread>> {
        if let Some(operator) = keeps_here(&plan) {
            tracing::debug!(%operator, "the plan runs here alone");
            return Ok(None);
        }
        let assignment = Arc::new(Assignment::of(&plan, self.peers.placement(), self.peers.own().clone()));
        if assignment.homes.len() < 2 {
            return Ok(None);
        }
        let (counting, scaling, routing) = (Arc::clone(&assignment), Arc::clone(&assignment), Arc::clone(&assignment));
        let config = state.config().clone();
        let settings = StatementSettings::of(&config, self.peers.own());
        let config = config
            .with_distributed_option_extension(settings)
            .with_distributed_worker_resolver(Homes(assignment.homes.iter().map(|node| node.url.clone()).collect()))
            .with_distributed_channel_resolver(Resolver(Arc::clone(self.peers.channels())))
            .with_distributed_user_codec(ScanCodec::sending())
            .with_distributed_desired_task_count_handler(move |event: DesiredTaskCountEvent<'_>| {
                let scan = event.plan.downcast_ref::<ShardScanExec>()?;
                Some(Ok(counting.task_count(scan)))
            })
            .with_distributed_scale_up_leaf_node_handler(move |event: ScaleUpLeafNodeEvent<'_>| {
                let scan = event.plan.downcast_ref::<ShardScanExec>()?;
                Some(scaling.scaled(event.plan, scan, event.task_count))
            })
            .with_distributed_route_tasks_handler(move |event: RouteTasksEvent<'_>| Some(Ok(routing.routed(event.task_count))))
            // tasks of a union's parts would run elsewhere than where their shards are
            .with_distributed_children_isolator_unions(false)?
            .with_extension(facts);
        let state = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(config)
            .with_query_planner(Arc::new(Ready(plan)))
            .with_distributed_planner()
            .build();
        let plan = state.query_planner().create_physical_plan(&LogicalPlan::default(), &state).await?;
        let context = state.task_ctx();
        let nodes = assignment.homes.iter().map(Node::to_string).collect();
        Ok(is_spread(&plan).then_some(Spread { plan, context, nodes }))
    }

    fn explained(&self, spread: &Spread) -> String {
        display_plan_ascii(spread.plan.as_ref(), false)
    }

    async fn admitted(&self, spread: &Spread, statement: &str, facts: &Arc<FactsElsewhere>) -> Result<JoinSet<()>, EngineError> {
        let own = self.peers.own();
        let mut others = Vec::new();
        for node in &spread.nodes {
            let url = Url::parse(node).map_err(|error| EngineError::Internal(error.to_string()))?;
            others.push(Node { url });
        }
        others.retain(|node| node != own);
        others.sort();
        slots::take(&self.others.connections, &others, self.slots.own(statement), statement, facts).await
    }

    fn lost(&self, node: &str) {
        self.peers.lost(node);
    }

    fn pins(&self, stream: SharedStream) -> Arc<dyn PinElsewhere> {
        Arc::new(Owners {
            stream,
            placement: self.peers.placement(),
            peers: Arc::clone(&self.peers),
            connections: Arc::clone(&self.others.connections),
            counters: Arc::clone(&self.others.counters),
        })
    }

    fn names_locations(&self) -> bool {
        self.others.advertised
    }
}
