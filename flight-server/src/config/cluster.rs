//! The nodes that share the work.

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Deserialize;
use url::Url;

use super::Config;
use super::auth::Secret;
use super::model::section;
use super::units::ListenAddr;

/// A shorter token can be guessed.
const SHORTEST_TOKEN: usize = 32;
/// How clients may reach a node.
const FLIGHT_SCHEMES: [&str; 3] = ["grpc", "grpc+tcp", "grpc+tls"];

/// `cluster:`; absent: this process is alone.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterSection {
    /// Where other nodes reach this one.
    pub listen: ListenAddr,
    /// What other nodes call this one, `HOST:PORT` [default: what stands in `peers`, or its address].
    pub address: Option<String>,
    /// Where clients reach this node's Flight SQL, as a Flight location [default: endpoints name no location].
    pub advertise: Option<String>,
    /// What nodes know each other by.
    pub token: Option<Secret>,
    /// All nodes, `HOST:PORT`.
    pub peers: Vec<String>,
    /// A file with all nodes, one `HOST:PORT` a line, that is read again and again.
    pub peers_file: Option<PathBuf>,
    /// A name whose addresses are all nodes, `NAME:PORT`.
    pub dns: Option<String>,
    /// TLS between nodes.
    #[serde(deserialize_with = "section")]
    pub tls: ClusterTlsSection,
}

impl Default for ClusterSection {
    fn default() -> Self {
        Self {
            listen: ListenAddr::loopback(32011),
            address: None,
            advertise: None,
            token: None,
            peers: Vec::new(),
            peers_file: None,
            dns: None,
            tls: ClusterTlsSection::default(),
        }
    }
}

/// `cluster.tls:`; nodes show each other a certificate, and check it by the CA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClusterTlsSection {
    /// The node's certificate and those that lead to its CA, PEM.
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    pub key: Option<PathBuf>,
    /// CA of all nodes' certificates, PEM.
    pub ca: Option<PathBuf>,
    /// Name that all nodes' certificates are for [default: each one's own host].
    pub name: Option<String>,
}

/// A cluster's configuration, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterConfig {
    /// Where other nodes reach this one.
    pub listen: SocketAddr,
    /// What other nodes call this one, if that is said.
    pub address: Option<Url>,
    /// Flight location of this node, for clients.
    pub advertise: Option<String>,
    /// What nodes know each other by.
    pub token: Secret,
    /// Who the other nodes are.
    pub peers: Peers,
    /// TLS between nodes.
    pub tls: Option<ClusterTls>,
}

/// Where it stands who the nodes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peers {
    /// These, this node among them or not.
    Static(Vec<Url>),
    /// Those that stand in a file, one `HOST:PORT` a line; empty lines and what follows `#` say nothing.
    File(PathBuf),
    /// All addresses of a name.
    Dns {
        /// The name.
        host: String,
        /// Port of each.
        port: u16,
    },
}

/// Mutual TLS between nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterTls {
    /// The node's certificate chain, PEM.
    pub cert: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// CA of all nodes' certificates, PEM.
    pub ca: PathBuf,
    /// Name that all nodes' certificates are for; `None` = each one's own host.
    pub name: Option<String>,
}

impl ClusterConfig {
    /// A node's URL.
    ///
    /// # Errors
    /// A sentence, if `address` is not `HOST:PORT`.
    pub fn node_url(&self, address: &str) -> Result<Url, String> {
        node_url(self.tls.is_some(), address)
    }
}

impl Config {
    /// The cluster that this process is a node of.
    ///
    /// # Errors
    /// A sentence that names the key.
    pub fn cluster(&self) -> Result<Option<ClusterConfig>, String> {
        let Some(section) = &self.cluster else { return Ok(None) };
        let tls = section.tls.checked()?;
        let of_key = |key: &'static str| move |error: String| format!("cluster.{key}: {error}");
        if !section.listen.0.ip().is_loopback() && tls.is_none() && !self.insecure {
            return Err(format!(
                "cluster.listen: {} can be reached from other machines; configure `cluster.tls`, or set `insecure: true` where the network itself keeps \
                 others out",
                section.listen
            ));
        }
        let token = match &section.token {
            Some(token) if token.0.len() >= SHORTEST_TOKEN => token.clone(),
            Some(_) => {
                return Err(format!(
                    "cluster.token: is shorter than {SHORTEST_TOKEN} bytes; `openssl rand -hex 32` makes one"
                ));
            }
            None => return Err("cluster.token: is missing; `openssl rand -hex 32` makes one, which all nodes share".to_owned()),
        };
        if self.checkpoints.dynamodb.is_none() {
            return Err(
                "cluster: checkpoints in a local file are one node's alone; configure `checkpoints.dynamodb`, which all nodes share"
                    .to_owned(),
            );
        }
        if let Some(advertise) = &section.advertise {
            check_location(advertise).map_err(of_key("advertise"))?;
        }
        let address = section.address.as_deref().map(|address| node_url(tls.is_some(), address));
        Ok(Some(ClusterConfig {
            listen: section.listen.0,
            address: address.transpose().map_err(of_key("address"))?,
            advertise: section.advertise.clone(),
            token,
            peers: section.peers(tls.is_some())?,
            tls,
        }))
    }
}

impl ClusterSection {
    fn peers(&self, tls: bool) -> Result<Peers, String> {
        match (self.peers.as_slice(), &self.peers_file, &self.dns) {
            ([], None, None) => Err(
                "cluster: `peers` (HOST:PORT of all nodes), `peers_file` (a file of such lines) or `dns` (NAME:PORT) must say who the nodes are".to_owned(),
            ),
            (peers, None, None) => {
                let urls = peers.iter().map(|peer| node_url(tls, peer)).collect::<Result<_, _>>();
                Ok(Peers::Static(urls.map_err(|error| format!("cluster.peers: {error}"))?))
            }
            ([], Some(file), None) => Ok(Peers::File(file.clone())),
            ([], None, Some(name)) => {
                let url = node_url(tls, name).map_err(|error| format!("cluster.dns: {error}"))?;
                let host = url.host_str().unwrap_or_default();
                Ok(Peers::Dns {
                    host: host.trim_matches(['[', ']']).to_owned(),
                    port: url.port_or_known_default().unwrap_or_default(),
                })
            }
            _ => Err("cluster: one of `peers`, `peers_file` and `dns` says who the nodes are, not several".to_owned()),
        }
    }
}

impl ClusterTlsSection {
    fn checked(&self) -> Result<Option<ClusterTls>, String> {
        match (&self.cert, &self.key, &self.ca) {
            (Some(cert), Some(key), Some(ca)) => Ok(Some(ClusterTls {
                cert: cert.clone(),
                key: key.clone(),
                ca: ca.clone(),
                name: self.name.clone(),
            })),
            (None, None, None) if self.name.is_none() => Ok(None),
            _ => Err("cluster.tls: needs `cert`, `key` and `ca`: nodes show each other certificates and check them".to_owned()),
        }
    }
}

/// `HOST:PORT` and nothing else.
fn node_url(tls: bool, address: &str) -> Result<Url, String> {
    let refused = || format!("`{address}` is not a host and port such as 10.0.0.1:32011 or node-1.example.org:32011");
    let scheme = if tls { "https" } else { "http" };
    let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
    let port: u16 = port.parse().map_err(|_| refused())?;
    if host.is_empty() || host.contains(['/', '@', '?', '#']) || port == 0 {
        return Err(refused());
    }
    Url::parse(&format!("{scheme}://{address}/")).map_err(|_| refused())
}

fn check_location(location: &str) -> Result<(), String> {
    let refused = || format!("`{location}` is not a Flight location such as grpc://node-1.example.org:32010 or grpc+tls://…");
    let url = Url::parse(location).map_err(|_| refused())?;
    let plain = url.path().trim_matches('/').is_empty() && url.query().is_none() && url.username().is_empty();
    let complete = url.host_str().is_some_and(|host| !host.is_empty()) && url.port().is_some();
    if FLIGHT_SCHEMES.contains(&url.scheme()) && plain && complete {
        return Ok(());
    }
    Err(refused())
}

#[cfg(test)]
mod tests;
