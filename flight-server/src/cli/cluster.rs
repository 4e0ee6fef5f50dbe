//! Joining the nodes that the configuration speaks of.

use std::sync::Arc;

use tokio::net::TcpListener;

use super::server::bind;
use crate::cluster::Cluster;
use crate::config::Config;

/// This process as a node, and where the others reach it.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) cluster: Arc<Cluster>,
    pub(super) listener: TcpListener,
}

/// `None` where the configuration speaks of no nodes.
pub(super) async fn join(config: &Config) -> anyhow::Result<Option<Joined>> {
    let Some(cluster) = config.cluster().map_err(anyhow::Error::msg)? else {
        return Ok(None);
    };
    let listener = bind("cluster.listen", cluster.listen).await?;
    let cluster = Cluster::join(cluster, &listener).await?;
    Ok(Some(Joined { cluster, listener }))
}
