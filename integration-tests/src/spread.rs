//! Several servers that share their work.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::flight::{Client, Mode};
use crate::process::lasting_port;
use crate::server::{Host, Server};
use crate::stand_in::StandIn;
use crate::tables::RunningTables;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// How long nodes may take to find each other, on a busy machine.
const TOGETHER: Duration = Duration::from_secs(60);

/// What a node is started with.
#[derive(Debug, Clone)]
pub struct Place {
    /// `HOST:PORT` of its listener for nodes.
    pub listen: String,
    /// What it calls the nodes, itself among them.
    pub peers: Vec<String>,
    /// What it shows the others.
    pub token: String,
    /// Further keys of its `cluster`, each with a comma behind it.
    pub keys: String,
    /// Further lines of its configuration.
    pub settings: String,
    /// Where it runs.
    pub host: Host,
}

impl Place {
    /// So many, on this machine.
    pub fn here(count: usize) -> anyhow::Result<Vec<Self>> {
        let addresses = (0..count)
            .map(|_| Ok(format!("127.0.0.1:{}", lasting_port()?)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let place = |listen: &String| Self {
            listen: listen.clone(),
            peers: addresses.clone(),
            token: TOKEN.to_owned(),
            keys: String::new(),
            settings: String::new(),
            host: Host::default(),
        };
        Ok(addresses.iter().map(place).collect())
    }
}

/// Nodes over one Kinesis, with checkpoints in one table.
#[derive(Debug)]
pub struct Cluster {
    /// The servers, each with files of its own.
    pub nodes: Vec<Server>,
    /// `HOST:PORT` of each on the cluster's own listener.
    pub addresses: Vec<String>,
    places: Vec<Place>,
    settings: String,
    endpoint: String,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    checkpoints: RunningTables,
}

impl Cluster {
    /// Starts nodes that serve the tables of `directory`, which also holds their files; `settings` are further lines of the configuration.
    pub fn start(nodes: usize, directory: &Path, endpoint: &str, settings: &str) -> anyhow::Result<Self> {
        let mut cluster = Self::placed(Place::here(nodes)?, endpoint, settings)?;
        cluster.start_all(directory)?;
        Ok(cluster)
    }

    /// Of nodes that are not started yet.
    pub fn placed(places: Vec<Place>, endpoint: &str, settings: &str) -> anyhow::Result<Self> {
        let checkpoints = StandIn::Ministack.start_tables()?;
        let reached = checkpoints.endpoint.clone();
        Ok(Self::over(checkpoints, &reached, places, endpoint, settings))
    }

    /// As [`Self::placed`], with checkpoints that nodes reach at `reached`.
    pub fn over(checkpoints: RunningTables, reached: &str, places: Vec<Place>, endpoint: &str, settings: &str) -> Self {
        let settings = format!(
            "{settings}checkpoints: {{ dynamodb: {{ table: shardflight, create: true, region: us-east-1, endpoint: \"{reached}\" }} }}\n"
        );
        Self {
            nodes: Vec::new(),
            addresses: places.iter().map(|place| place.listen.clone()).collect(),
            places,
            settings,
            endpoint: endpoint.to_owned(),
            checkpoints,
        }
    }

    /// Starts all nodes.
    pub fn start_all(&mut self, directory: &Path) -> anyhow::Result<()> {
        for number in 0..self.places.len() {
            let server = self.start_node(number, directory)?;
            self.nodes.push(server);
        }
        Ok(())
    }

    /// Starts a node, again if it ended.
    pub fn start_node(&self, number: usize, directory: &Path) -> anyhow::Result<Server> {
        let own = directory.join(format!("node-{number}"));
        std::fs::create_dir_all(&own)?;
        let place = &self.places[number];
        let peers: Vec<String> = place.peers.iter().map(|address| format!("\"{address}\"")).collect();
        let settings = format!(
            "{}{}cluster: {{ {}listen: \"{}\", token: \"{}\", peers: [{}] }}\n",
            self.settings,
            place.settings,
            place.keys,
            place.listen,
            place.token,
            peers.join(", ")
        );
        let catalog = format!("path: \"{}\"", directory.join("tables").display());
        Server::at(&place.host, &own, &self.endpoint, &catalog, &settings)
    }

    /// Waits until the plan of a statement, asked for at node `asked`, runs on at least so many nodes.
    pub async fn wait_until_spread(&self, asked: usize, sql: &str, nodes: usize) -> anyhow::Result<String> {
        let deadline = Instant::now() + TOGETHER;
        loop {
            let plan = self.plan(asked, sql).await?;
            let tasks = plan
                .split("tasks=")
                .skip(1)
                .filter_map(|rest| rest.split(',').next()?.parse::<usize>().ok());
            if tasks.max().is_some_and(|most| most >= nodes) {
                return Ok(plan);
            }
            if Instant::now() > deadline {
                let output: String = self.nodes.iter().map(|node| node.process.output()).collect();
                bail!("the plan does not run on {nodes} nodes:\n{plan}\n{output}");
            }
            // nodes tell nobody when they found each other; a plan shows it
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// What EXPLAIN says of where a statement runs.
    pub async fn plan(&self, asked: usize, sql: &str) -> anyhow::Result<String> {
        let mut client = Client::connect(self.nodes[asked].flight, Mode::Single).await?;
        let answer = client.query(&format!("explain {sql}")).await?;
        let mut plan = String::new();
        for batch in &answer.batches {
            let text = |column: usize| -> anyhow::Result<_> {
                let column = arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8)?;
                let texts = column
                    .as_any()
                    .downcast_ref::<arrow::array::StringArray>()
                    .context("no text")?
                    .clone();
                Ok(texts)
            };
            let (kinds, plans) = (text(0)?, text(1)?);
            for (kind, text) in kinds.iter().zip(plans.iter()) {
                if kind == Some("distributed_plan") {
                    plan.push_str(text.unwrap_or_default());
                }
            }
        }
        Ok(plan)
    }
}
