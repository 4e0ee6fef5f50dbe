//! Who shows the wrong things is no node, whatever list it stands in.

use integration_tests::node_certificates::{NodeAuthority, NodeCertificate};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::*;

const LOGGED_WITHIN: Duration = Duration::from_secs(60);
const OTHER_TOKEN: &str = "fedcba9876543210fedcba9876543210";
/// The certificates of tests are good until then.
const LONG: i32 = 4096;
const PAST: i32 = 2020;

/// Two nodes with certificates, and a third one that is spoiled.
struct Guarded {
    nodes: Nodes,
    authority: NodeAuthority,
}

fn shows(place: &mut Place, directory: &Path, certificate: &NodeCertificate, believed: &NodeAuthority) {
    place.keys = certificate.settings(directory, believed).unwrap();
}

impl Guarded {
    async fn start(spoil: impl FnOnce(&mut Place, &Path, &NodeAuthority)) -> Self {
        let authority = NodeAuthority::new("An authority of nodes").unwrap();
        let files = scratch_directory("cluster-trust").unwrap();
        let mut places = Place::here(3).unwrap();
        for (number, place) in places.iter_mut().enumerate() {
            shows(place, &files.join(number.to_string()), &authority.sign(LONG).unwrap(), &authority);
        }
        spoil(&mut places[2], &files.join("2"), &authority);
        let mut nodes = Nodes::planned(places).await;
        nodes.cluster.start_all(&nodes.stream.directory).unwrap();
        Self { nodes, authority }
    }

    /// The two work together, the third is left out, and everybody's answers are right. Each side logs why.
    async fn assert_left_out(&self, said: &str, of_the_others: &str) {
        let nodes = &self.nodes;
        let plan = nodes.cluster.wait_until_spread(0, GROUPED, 2).await.unwrap();
        for (asked, about, why) in [(0, 2, said), (1, 2, said), (2, 0, of_the_others)] {
            let address = nodes.cluster.addresses[about].as_str();
            let warned = |line: &str| (line.contains("WARN") && line.contains(address) && line.contains(why)).then_some(());
            let process = &nodes.cluster.nodes[asked].process;
            process
                .wait_for_log(LOGGED_WITHIN, &format!("that {address} is no node: {why}"), warned)
                .unwrap();
            assert!(!process.output().contains(OTHER_TOKEN), "a token is logged");
        }
        assert!(!plan.contains(&nodes.cluster.addresses[2]), "{plan}");
        for asked in 0..3 {
            nodes.answers_at(asked).await;
        }
        let counts = [nodes.alive(0).await.len(), nodes.alive(1).await.len(), nodes.alive(2).await.len()];
        assert_eq!(counts, [2, 2, 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_of_another_authority_makes_no_node() {
    let guarded = Guarded::start(|place, directory, authority| {
        // it believes the others, and so its word is the only one against it
        let other = NodeAuthority::new("Another authority").unwrap();
        shows(place, directory, &other.sign(LONG).unwrap(), authority);
    })
    .await;
    guarded.assert_left_out("UnknownIssuer", "does not answer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_expired_certificate_makes_no_node() {
    let guarded = Guarded::start(|place, directory, authority| {
        shows(place, directory, &authority.sign(PAST).unwrap(), authority);
    })
    .await;
    guarded.assert_left_out("certificate expired", "does not answer").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_makes_no_node() {
    let guarded = Guarded::start(|place, _, _| place.token = OTHER_TOKEN.to_owned()).await;
    let said = "is its cluster.token the same?";
    guarded.assert_left_out(said, said).await;
    // whoever listens hears of who calls without it
    let refused = |line: &str| (line.contains("WARN") && line.contains("shows no token of theirs")).then_some(());
    let process = &guarded.nodes.cluster.nodes[0].process;
    process.wait_for_log(LOGGED_WITHIN, "that calls were refused", refused).unwrap();
}

/// The first call on such a connection; with TLS 1.3 a client learns only then that it is refused.
async fn call(endpoint: Endpoint) -> Result<(), String> {
    let channel: Channel = endpoint.connect().await.map_err(|error| format!("{error:?}"))?;
    let mut client = arrow_flight::sql::client::FlightSqlServiceClient::new(channel);
    let called = client.execute("select 1".to_owned(), None).await;
    called.map(|_| ()).map_err(|error| format!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_not_heard_where_nodes_are() {
    let guarded = Guarded::start(|_, _, _| {}).await;
    guarded.nodes.together().await;
    let address = &guarded.nodes.cluster.addresses[1];
    let plain = Endpoint::from_shared(format!("http://{address}")).unwrap();
    call(plain).await.expect_err("without TLS");
    let believes = || ClientTlsConfig::new().ca_certificate(Certificate::from_pem(guarded.authority.pem()));
    let shows = |certificate: &NodeCertificate| believes().identity(Identity::from_pem(&certificate.cert, &certificate.key));
    let secured = |tls: ClientTlsConfig| {
        Endpoint::from_shared(format!("https://{address}"))
            .unwrap()
            .tls_config(tls)
            .unwrap()
    };
    call(secured(believes())).await.expect_err("without a certificate");
    let other = NodeAuthority::new("Another authority").unwrap();
    for (what, certificate) in [
        ("of another authority", other.sign(LONG)),
        ("expired", guarded.authority.sign(PAST)),
    ] {
        call(secured(shows(&certificate.unwrap()))).await.expect_err(what);
    }
    // a certificate of a node's, and no token
    let error = call(secured(shows(&guarded.authority.sign(LONG).unwrap()))).await.unwrap_err();
    assert!(error.contains("401"), "{error}");
    guarded.nodes.together().await;
    guarded.nodes.answers().await;
}
