//! Who the nodes are: a list, the lines of a file, or all addresses of a name.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;

use async_trait::async_trait;
use url::Url;

use super::error::ClusterError;
use super::members::Node;
use crate::config::{ClusterConfig, Peers};

/// Finds addresses of names.
#[async_trait]
pub(crate) trait Resolve: std::fmt::Debug + Send + Sync {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As the system does.
#[derive(Debug)]
pub(crate) struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// The nodes that the configuration speaks of, this one among them or not.
///
/// # Errors
/// The name has no address now; the file cannot be read, or a line of it is no node, or none is.
pub(crate) async fn listed(config: &ClusterConfig, resolver: &dyn Resolve) -> io::Result<BTreeSet<Node>> {
    match &config.peers {
        Peers::Static(urls) => Ok(urls.iter().map(|url| Node { url: url.clone() }).collect()),
        Peers::File(path) => Ok(in_file(config, path).await?.into_iter().map(|url| Node { url }).collect()),
        Peers::Dns { host, port } => {
            let addresses = resolver.resolve(host, *port).await?;
            if addresses.is_empty() {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
            }
            let nodes = addresses.into_iter().filter_map(|address| of_address(config, address).ok());
            Ok(nodes.collect())
        }
    }
}

/// What other nodes call this one, which listens on `bound`: what is said; else what stands in the list and is this machine's; else its address.
pub(crate) async fn own(config: &ClusterConfig, bound: SocketAddr, resolver: &dyn Resolve) -> Result<Node, ClusterError> {
    if let Some(url) = &config.address {
        return Ok(Node { url: url.clone() });
    }
    let is_own = |address: SocketAddr| {
        let same_host = if bound.ip().is_unspecified() {
            is_of_this_machine(address.ip())
        } else {
            address.ip() == bound.ip()
        };
        same_host && address.port() == bound.port()
    };
    let urls = match &config.peers {
        Peers::Static(urls) => urls.clone(),
        // one that is not there yet names nobody
        Peers::File(path) => in_file(config, path).await.unwrap_or_default(),
        Peers::Dns { host, port } => {
            let addresses = resolver.resolve(host, *port).await.unwrap_or_default();
            if let Some(own) = addresses.into_iter().find(|address| is_own(*address)) {
                return of_address(config, own);
            }
            Vec::new()
        }
    };
    for url in urls {
        if resolved(&url, resolver).await.into_iter().any(is_own) {
            return Ok(Node { url });
        }
    }
    let ip = if bound.ip().is_unspecified() {
        outbound(bound)?
    } else {
        bound.ip()
    };
    of_address(config, SocketAddr::new(ip, bound.port()))
}

/// The nodes that stand in a file. One that is being written may name too few, or one that does not answer; it is soon read again.
async fn in_file(config: &ClusterConfig, path: &Path) -> io::Result<Vec<Url>> {
    let text = tokio::fs::read_to_string(path).await?;
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let urls: Result<Vec<Url>, String> = lines.filter(|line| !line.is_empty()).map(|line| config.node_url(line)).collect();
    let wrong = |message: String| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {message}", path.display()));
    let urls = urls.map_err(wrong)?;
    if urls.is_empty() {
        return Err(wrong("it names no node".to_owned()));
    }
    Ok(urls)
}

fn of_address(config: &ClusterConfig, address: SocketAddr) -> Result<Node, ClusterError> {
    let url = config.node_url(&address.to_string()).map_err(ClusterError::Address)?;
    Ok(Node { url })
}

/// No address, where it cannot be resolved: then it is not found to be this node.
async fn resolved(url: &Url, resolver: &dyn Resolve) -> Vec<SocketAddr> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or_default();
    resolver.resolve(host, port).await.unwrap_or_default()
}

/// Only an address of the machine itself can be bound.
fn is_of_this_machine(ip: IpAddr) -> bool {
    UdpSocket::bind((ip, 0)).is_ok()
}

/// The address that this machine would send from. Connecting a UDP socket sends nothing; the addresses are reserved for documentation.
fn outbound(bound: SocketAddr) -> Result<IpAddr, ClusterError> {
    let found = |any: IpAddr, to: &str| {
        let socket = UdpSocket::bind((any, 0))?;
        socket.connect(to)?;
        socket.local_addr()
    };
    let found = if bound.is_ipv4() {
        found(bound.ip(), "192.0.2.1:9")
    } else {
        found(bound.ip(), "[2001:db8::1]:9")
    };
    match found {
        Ok(address) if !address.ip().is_unspecified() => Ok(address.ip()),
        _ => Err(ClusterError::Address(format!(
            "cluster.listen is {bound} and this machine has no address that leads to others"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    #[derive(Debug)]
    struct Names(Vec<(&'static str, Vec<&'static str>)>);

    #[async_trait]
    impl Resolve for Names {
        async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
            let found = self.0.iter().find(|(name, _)| *name == host);
            let (_, addresses) = found.ok_or_else(|| io::Error::other("no such name"))?;
            Ok(addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect())
        }
    }

    fn config(peers: Peers) -> ClusterConfig {
        ClusterConfig {
            listen: "127.0.0.1:7000".parse().unwrap(),
            address: None,
            advertise: None,
            token: Secret("0123456789abcdef0123456789abcdef".to_owned()),
            peers,
            tls: None,
        }
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    async fn own_url(config: &ClusterConfig, bound: &str, names: &Names) -> String {
        own(config, at(bound), names).await.unwrap().url.to_string()
    }

    #[tokio::test]
    async fn this_node_is_called_what_stands_in_the_list() {
        let names = Names(vec![
            ("elsewhere", vec!["192.0.2.7"]),
            ("here", vec!["127.0.0.1"]),
            ("127.0.0.1", vec!["127.0.0.1"]),
        ]);
        let urls = [
            "http://elsewhere:7000/",
            "http://missing:7000/",
            "http://here:7001/",
            "http://here:7000/",
        ];
        let config = config(Peers::Static(urls.map(url).to_vec()));
        assert_eq!(own_url(&config, "127.0.0.1:7000", &names).await, "http://here:7000/");
        assert_eq!(own_url(&config, "0.0.0.0:7001", &names).await, "http://here:7001/");
        assert_eq!(
            own_url(&config, "127.0.0.1:7002", &names).await,
            "http://127.0.0.1:7002/",
            "in no list"
        );
        let said = ClusterConfig {
            address: Some(url("http://elsewhere:1/")),
            ..config
        };
        assert_eq!(own_url(&said, "127.0.0.1:7000", &names).await, "http://elsewhere:1/");
    }

    #[tokio::test]
    async fn a_name_has_all_nodes_addresses() {
        let names = Names(vec![("nodes", vec!["192.0.2.7", "127.0.0.1", "2001:db8::7"]), ("empty", vec![])]);
        let of = |host: &str| {
            config(Peers::Dns {
                host: host.to_owned(),
                port: 7000,
            })
        };
        let nodes = listed(&of("nodes"), &names).await.unwrap();
        let urls: Vec<_> = nodes.iter().map(|node| node.url.as_str()).collect();
        assert_eq!(
            urls,
            ["http://127.0.0.1:7000/", "http://192.0.2.7:7000/", "http://[2001:db8::7]:7000/"]
        );
        assert_eq!(own_url(&of("nodes"), "0.0.0.0:7000", &names).await, "http://127.0.0.1:7000/");
        assert!(listed(&of("missing"), &names).await.is_err() && listed(&of("empty"), &names).await.is_err());
        assert_eq!(own_url(&of("missing"), "127.0.0.1:7000", &names).await, "http://127.0.0.1:7000/");
    }

    #[tokio::test]
    async fn a_file_has_a_node_a_line_and_may_change() {
        let names = Names(vec![("here", vec!["127.0.0.1"]), ("elsewhere", vec!["192.0.2.7"])]);
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("nodes");
        let config = config(Peers::File(file.clone()));
        assert!(listed(&config, &names).await.is_err(), "it is not there yet");
        assert_eq!(own_url(&config, "127.0.0.1:7000", &names).await, "http://127.0.0.1:7000/");
        let urls = async || -> io::Result<Vec<String>> {
            let nodes = listed(&config, &names).await?;
            Ok(nodes.iter().map(|node| node.url.to_string()).collect())
        };
        std::fs::write(&file, "# all nodes\nhere:7000  # this one\n\nelsewhere:7000\n").unwrap();
        assert_eq!(urls().await.unwrap(), ["http://elsewhere:7000/", "http://here:7000/"]);
        assert_eq!(own_url(&config, "127.0.0.1:7000", &names).await, "http://here:7000/");
        std::fs::write(&file, "here:7000\n").unwrap();
        assert_eq!(urls().await.unwrap(), ["http://here:7000/"]);
        for wrong in ["", "# nobody\n", "here:7000\nelsewhere\n"] {
            std::fs::write(&file, wrong).unwrap();
            assert!(urls().await.is_err(), "{wrong:?}");
        }
    }
}
