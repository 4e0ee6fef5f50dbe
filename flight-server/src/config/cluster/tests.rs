use super::*;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// What every cluster needs beside the section itself.
const SHARED: &str = "checkpoints: { dynamodb: {} }\n";

fn config(yaml: &str) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("shardflight.yaml");
    std::fs::write(&file, yaml).unwrap();
    Config::load(Some(&file), []).map_err(|error| error.to_string())
}

fn cluster(section: &str) -> Result<ClusterConfig, String> {
    let config = config(&format!("{SHARED}cluster: {section}\n"))?;
    config.cluster().map(|cluster| cluster.expect("there is a section"))
}

fn url(text: &str) -> Url {
    Url::parse(text).unwrap()
}

#[test]
fn without_the_section_a_process_is_alone() {
    assert_eq!(config("").unwrap().cluster(), Ok(None));
}

#[test]
fn peers_by_address() {
    let found = cluster(&format!(
        "{{ listen: '127.0.0.1:7000', address: 'a:7000', advertise: 'grpc://flight-a:32010', token: {TOKEN}, peers: ['a:7000', '[::1]:7001', 'a:80'] }}"
    ));
    let expected = ClusterConfig {
        listen: "127.0.0.1:7000".parse().unwrap(),
        address: Some(url("http://a:7000/")),
        advertise: Some("grpc://flight-a:32010".to_owned()),
        token: Secret(TOKEN.to_owned()),
        peers: Peers::Static(vec![url("http://a:7000/"), url("http://[::1]:7001/"), url("http://a:80/")]),
        tls: None,
    };
    assert_eq!(found, Ok(expected));
}

#[test]
fn peers_by_file() {
    let found = cluster(&format!("{{ token: {TOKEN}, peers_file: /etc/nodes }}")).unwrap();
    assert_eq!(found.peers, Peers::File("/etc/nodes".into()));
}

#[test]
fn peers_by_name_with_tls() {
    let tls = "{ cert: c.pem, key: k.pem, ca: ca.pem, name: shardflight.internal }";
    let found = cluster(&format!(
        "{{ listen: '0.0.0.0:32011', token: {TOKEN}, dns: 'nodes.example.org:443', tls: {tls} }}"
    ))
    .unwrap();
    let (host, port) = ("nodes.example.org".to_owned(), 443);
    assert_eq!(found.peers, Peers::Dns { host, port });
    let expected = ClusterTls {
        cert: "c.pem".into(),
        key: "k.pem".into(),
        ca: "ca.pem".into(),
        name: Some("shardflight.internal".to_owned()),
    };
    assert_eq!(found.tls, Some(expected));
    assert_eq!(found.node_url("10.0.0.1:443"), Ok(url("https://10.0.0.1:443/")));
}

#[test]
fn what_cannot_work_is_refused_with_the_key() {
    let with = |rest: &str| format!("{{ token: {TOKEN}, {rest} }}");
    for (section, what) in [
        ("{ peers: ['a:1'] }".to_owned(), "cluster.token: is missing"),
        (
            "{ token: short, peers: ['a:1'] }".to_owned(),
            "cluster.token: is shorter than 32 bytes",
        ),
        (with("listen: '127.0.0.1:1'"), "`peers` (HOST:PORT of all nodes), `peers_file`"),
        (with("peers: ['a:1'], dns: 'b:1'"), "not several"),
        (with("peers_file: nodes, dns: 'b:1'"), "not several"),
        (with("peers: ['a']"), "cluster.peers: `a` is not a host and port"),
        (with("peers: ['http://a:1']"), "cluster.peers: "),
        (with("peers: ['a:0']"), "cluster.peers: "),
        (with("dns: 'a'"), "cluster.dns: `a` is not a host and port"),
        (with("peers: ['a:1'], address: ':1'"), "cluster.address: "),
        (
            with("peers: ['a:1'], advertise: 'a:1'"),
            "cluster.advertise: `a:1` is not a Flight location",
        ),
        (with("peers: ['a:1'], advertise: 'http://a:1'"), "cluster.advertise: "),
        (with("peers: ['a:1'], advertise: 'grpc://a'"), "cluster.advertise: "),
        (
            with("peers: ['a:1'], listen: '0.0.0.0:1'"),
            "cluster.listen: 0.0.0.0:1 can be reached from other machines",
        ),
        (with("peers: ['a:1'], tls: { cert: c, key: k }"), "cluster.tls: needs"),
        (with("peers: ['a:1'], tls: { name: n }"), "cluster.tls: needs"),
        (with("peer: ['a:1']"), "unknown key `cluster.peer`; did you mean `peers`?"),
    ] {
        let error = cluster(&section).unwrap_err();
        assert!(error.contains(what), "{section}: {error}");
        assert!(!error.contains(TOKEN) && !error.contains("short,"), "{error}");
    }
    let error = config(&format!("cluster: {}", with("peers: ['a:1']"))).unwrap_err();
    assert!(error.contains("checkpoints.dynamodb"), "{error}");
    let open = format!("insecure: true\n{SHARED}cluster: {}", with("peers: ['a:1'], listen: '0.0.0.0:1'"));
    assert!(config(&open).is_ok());
}

#[test]
fn the_token_is_never_shown() {
    let shown = format!("{:?}", cluster(&format!("{{ token: {TOKEN}, peers: ['a:1'] }}")).unwrap());
    assert!(shown.contains("(secret)") && !shown.contains(TOKEN), "{shown}");
}
