//! Several servers that are nodes of one cluster, as processes.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::environment::scratch_directory;
use crate::process::lasting_port;
use crate::server::Server;
use crate::stand_in::StandIn;
use crate::tables::RunningTables;

const TOKEN: &str = "a token that only tests of this repository know";

/// How nodes are told of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// By a list of addresses.
    Peers,
    /// By a name, `localhost`: of one machine, so it finds one node alone.
    Name,
}

/// What a node of [`Cluster`] is started with.
#[derive(Debug)]
struct Plan {
    directory: PathBuf,
    catalog: String,
    settings: String,
}

/// Running nodes, which share streams and a table of checkpoints.
#[derive(Debug)]
pub struct Cluster {
    /// Each of them; `None` = it was ended.
    pub nodes: Vec<Option<Server>>,
    plans: Vec<Plan>,
    kinesis: String,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    tables: RunningTables,
}

impl Cluster {
    /// Starts so many nodes over a Kinesis endpoint and a directory of table definitions; `name` is of the test.
    pub fn start(name: &str, count: usize, told: Told, kinesis: &str, definitions: &std::path::Path) -> anyhow::Result<Self> {
        let tables = StandIn::Moto.start_tables()?;
        let ports = (0..count).map(|_| lasting_port()).collect::<anyhow::Result<Vec<u16>>>()?;
        let peers: Vec<String> = ports.iter().map(|port| format!("\"127.0.0.1:{port}\"")).collect();
        let plan = |(index, port): (usize, &u16)| {
            let told = match told {
                Told::Peers => format!("peers: [{}]", peers.join(", ")),
                Told::Name => format!("dns: \"localhost:{port}\""),
            };
            let settings = format!(
                "checkpoints: {{ dynamodb: {{ endpoint: \"{}\", region: us-east-1 }} }}\n\
                 cluster: {{ listen: \"127.0.0.1:{port}\", advertise: \"grpc://127.0.0.1:@FLIGHT_PORT@\", token: \"{TOKEN}\", {told} }}\n",
                tables.endpoint
            );
            Ok(Plan {
                directory: scratch_directory(&format!("{name}-{index}"))?,
                catalog: format!("path: \"{}\"", definitions.display()),
                settings,
            })
        };
        let plans = ports.iter().enumerate().map(plan).collect::<anyhow::Result<Vec<_>>>()?;
        let mut cluster = Self {
            nodes: Vec::new(),
            plans,
            kinesis: kinesis.to_owned(),
            tables,
        };
        for index in 0..count {
            let node = cluster.serve(index)?;
            cluster.nodes.push(Some(node));
        }
        Ok(cluster)
    }

    /// Where the nodes that run serve Flight SQL.
    pub fn flight(&self) -> Vec<SocketAddr> {
        self.nodes.iter().flatten().map(|node| node.flight).collect()
    }

    /// Ends a node at once.
    pub fn kill(&mut self, index: usize) {
        self.nodes[index] = None;
    }

    /// Starts a node that was ended.
    pub fn restart(&mut self, index: usize) -> anyhow::Result<()> {
        self.nodes[index] = Some(self.serve(index)?);
        Ok(())
    }

    fn serve(&self, index: usize) -> anyhow::Result<Server> {
        let plan = &self.plans[index];
        Server::with_catalog(&plan.directory, &self.kinesis, &plan.catalog, &plan.settings)
    }
}
