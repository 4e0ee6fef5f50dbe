//! Links between nodes that lose all that is sent: neither end hears of it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use integration_tests::hosts::{self, Hosts, in_own_network};
use integration_tests::links::Link;
use integration_tests::server::Host;
use integration_tests::stand_in::StandIn;

use super::*;

const NODES: u8 = 3;

/// What leads from node to node.
enum Wires {
    /// Each node calls each other one through a proxy of its own.
    Proxies(BTreeMap<(u8, u8), Link>),
    /// A network namespace is a host.
    Hosts {
        hosts: Hosts,
        #[expect(dead_code, reason = "held: they lead the hosts to the services of this process")]
        services: Vec<Link>,
    },
}

struct Wired {
    nodes: Nodes,
    wires: Wires,
    /// What each node calls each.
    names: Vec<Vec<String>>,
}

fn address(endpoint: &str) -> SocketAddr {
    endpoint.strip_prefix("http://").unwrap().parse().unwrap()
}

impl Wired {
    async fn by_proxies() -> Self {
        let mut places = Place::here(NODES.into()).unwrap();
        let mut links = BTreeMap::new();
        for (from, to) in (0..NODES)
            .flat_map(|from| (0..NODES).map(move |to| (from, to)))
            .filter(|(from, to)| from != to)
        {
            let listens = places[usize::from(to)].listen.parse().unwrap();
            let link = Link::start(Ipv4Addr::LOCALHOST, listens).await.unwrap();
            places[usize::from(from)].peers[usize::from(to)] = link.address.to_string();
            links.insert((from, to), link);
        }
        let names = places.iter().map(|place| place.peers.clone()).collect();
        Self {
            nodes: Nodes::placed(places).await,
            wires: Wires::Proxies(links),
            names,
        }
    }

    async fn by_hosts() -> Self {
        let hosts = Hosts::start(NODES).unwrap();
        let stream = Stream::new("cluster-hosts").await;
        let checkpoints = StandIn::Ministack.start_tables().unwrap();
        let to_kinesis = Link::start(Hosts::own(), address(&stream.kinesis.endpoint)).await.unwrap();
        let to_checkpoints = Link::start(Hosts::own(), address(&checkpoints.endpoint)).await.unwrap();
        let mut places = Place::here(NODES.into()).unwrap();
        let addresses: Vec<String> = (0..NODES).map(|number| format!("{}:32011", Hosts::address(number))).collect();
        for (number, place) in (0..NODES).zip(&mut places) {
            place.listen.clone_from(&addresses[usize::from(number)]);
            place.peers.clone_from(&addresses);
            place.settings = "insecure: true\n".to_owned();
            place.host = Host {
                address: Hosts::address(number),
                enter: hosts.enter(number),
            };
        }
        let kinesis = format!("http://{}", to_kinesis.address);
        let reached = format!("http://{}", to_checkpoints.address);
        let mut cluster = Cluster::over(checkpoints, &reached, places, &kinesis, PACE);
        cluster.start_all(&stream.directory).unwrap();
        let nodes = Nodes { cluster, stream };
        nodes.together().await;
        Self {
            nodes,
            wires: Wires::Hosts {
                hosts,
                services: vec![to_kinesis, to_checkpoints],
            },
            names: vec![addresses; NODES.into()],
        }
    }

    fn cut(&self, one: u8, other: u8) {
        match &self.wires {
            Wires::Proxies(links) => [(one, other), (other, one)].iter().for_each(|way| links[way].cut()),
            Wires::Hosts { hosts, .. } => hosts.cut(one, other).unwrap(),
        }
    }

    fn heal(&self, one: u8, other: u8) {
        match &self.wires {
            Wires::Proxies(links) => [(one, other), (other, one)].iter().for_each(|way| links[way].heal()),
            Wires::Hosts { hosts, .. } => hosts.heal(one, other).unwrap(),
        }
    }

    /// That one of the two ends does not answer, by the name that the other one or the third gives it.
    fn assert_between(&self, error: &FlightError, took: Duration, one: u8, other: u8) {
        let FlightError::Tonic(status) = error else { panic!("{error}") };
        assert_eq!(status.code(), Code::Unavailable, "{status}");
        let ends = self
            .names
            .iter()
            .flat_map(|names| [&names[usize::from(one)], &names[usize::from(other)]]);
        assert!(ends.into_iter().any(|name| status.message().contains(name.as_str())), "{status}");
        assert_in_time(took, status.message());
    }

    /// Shards are planned at one node, and each is read at one of these.
    async fn assert_read_by_shard(&self, planned: usize, read: &[usize]) {
        let flight = |node: usize| self.nodes.cluster.nodes[node].flight;
        let mut client = Client::connect(flight(planned), Mode::PerShard).await.unwrap();
        let info = client.plan("select n from many").await.unwrap();
        assert_eq!(info.endpoint.len(), usize::try_from(SHARDS).unwrap());
        let mut numbers = Vec::new();
        for (endpoint, node) in info.endpoint.into_iter().zip(read.iter().cycle()) {
            let mut client = Client::connect(flight(*node), Mode::PerShard).await.unwrap();
            let mut rows = client.fetch(endpoint.ticket.unwrap()).await.unwrap();
            while let Some(batch) = rows.try_next().await.unwrap() {
                numbers.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
            }
        }
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..RECORDS), "not each number once");
    }
}

async fn links_lose_all_that_is_sent(wired: Wired) {
    let nodes = &wired.nodes;
    let (error, took) = nodes.broken_by(|| wired.cut(0, 1)).await;
    wired.assert_between(&error, took, 0, 1);
    // whoever is asked now, by those it reaches: the third reaches both, which do not reach each other
    for asked in 0..NODES.into() {
        nodes.answers_at(asked).await;
    }
    for planned in [0, 1] {
        wired.assert_read_by_shard(planned, &[0, 1, 2]).await;
    }
    wired.heal(0, 1);
    nodes.together().await;
    nodes.answers().await;
    // no row was sent yet: the statement is begun again
    let mut client = nodes.client().await;
    let mut rows = client.stream(COUNTED).await.unwrap();
    wired.cut(0, 2);
    assert_counted(&mut rows).await;
    nodes.answers().await;
    // while shards are read one by one
    wired.assert_read_by_shard(0, &[2, 0]).await;
    wired.heal(0, 2);
    nodes.together().await;
    wired.assert_read_by_shard(0, &[0, 1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_through_proxies_lose_all_that_is_sent() {
    links_lose_all_that_is_sent(Wired::by_proxies().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_between_hosts_lose_all_that_is_sent() {
    match in_own_network("cluster_faults::links::links_between_hosts_lose_all_that_is_sent").unwrap() {
        hosts::Place::Inside => links_lose_all_that_is_sent(Wired::by_hosts().await).await,
        hosts::Place::Done => {}
        hosts::Place::Nowhere => println!("this machine makes no network namespaces: tried through proxies alone"),
    }
}
