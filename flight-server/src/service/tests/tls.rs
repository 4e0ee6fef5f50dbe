//! TLS over sockets, with certificates of the tests' own CA.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType};
use tonic::Code;
use tonic::transport::{Certificate, ClientTlsConfig, Identity};

use super::*;
use crate::engine::AuditLog;
use crate::service::{Authentication, AuthenticationSettings, Tls, TlsError, TlsFiles, token_digest};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, PEM.
struct Pair {
    cert: String,
    key: String,
}

impl Authority {
    fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            issuer: Issuer::new(params, key),
            pem,
        }
    }

    fn sign(&self, change: impl FnOnce(&mut CertificateParams)) -> Pair {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        Pair {
            cert: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }

    fn server(&self) -> Pair {
        self.sign(|params| params.subject_alt_names = vec![SanType::DnsName("localhost".try_into().unwrap())])
    }

    /// A client's, with a common name and other names.
    fn client(&self, common: &str, names: Vec<SanType>) -> Pair {
        self.sign(|params| {
            params.distinguished_name.push(DnType::CommonName, common);
            params.subject_alt_names = names;
        })
    }
}

fn write(directory: &Path, pair: &Pair) {
    std::fs::write(directory.join("cert.pem"), &pair.cert).unwrap();
    std::fs::write(directory.join("key.pem"), &pair.key).unwrap();
}

fn files(directory: &Path, client_ca: Option<&Authority>, client_cert_optional: bool) -> TlsFiles {
    let path = directory.join("ca.pem");
    if let Some(authority) = client_ca {
        std::fs::write(&path, &authority.pem).unwrap();
    }
    TlsFiles {
        cert: directory.join("cert.pem"),
        key: directory.join("key.pem"),
        client_ca: client_ca.map(|_| path),
        client_cert_optional,
    }
}

async fn server(tls: &Arc<Tls>) -> TestServer {
    let settings = AuthenticationSettings {
        tokens: vec![("grafana".into(), token_digest("s3cr3t-token"))],
        token_ttl: PATIENCE,
        ..AuthenticationSettings::default()
    };
    let config = ServiceConfig {
        tls: Some(Arc::clone(tls)),
        authentication: Authentication::new(settings, AuditLog::off()).unwrap(),
        ..ServiceConfig::default()
    };
    TestServer::with(KEY, config, PATIENCE).await
}

async fn connect(server: &TestServer, authority: &Authority, identity: Option<&Pair>) -> Result<Client, tonic::transport::Error> {
    let trust = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost");
    let trust = match identity {
        Some(pair) => trust.identity(Identity::from_pem(&pair.cert, &pair.key)),
        None => trust,
    };
    let endpoint = Endpoint::from_shared(format!("https://{}", server.address))
        .unwrap()
        .tls_config(trust)
        .unwrap();
    Ok(FlightServiceClient::new(endpoint.connect().await?))
}

/// The principal of a call, or why there is none.
async fn principal(server: &TestServer, client: &mut Client, headers: &[(&'static str, &str)]) -> Result<String, Status> {
    client.get_flight_info(with_headers(query("numbers"), headers)).await?;
    Ok(server.backend.seen.lock().last().unwrap().principal.clone())
}

const TOKEN: [(&str, &str); 1] = [("authorization", "Bearer s3cr3t-token")];

#[tokio::test]
async fn connections_are_verified_and_bare_ones_refused() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    write(directory.path(), &authority.server());
    let server = server(&Tls::load(files(directory.path(), None, false)).await.unwrap()).await;
    let mut client = connect(&server, &authority, None).await.unwrap();
    assert_eq!(principal(&server, &mut client, &TOKEN).await.unwrap(), "grafana");
    let info = client
        .get_flight_info(with_headers(query("numbers"), &TOKEN))
        .await
        .unwrap()
        .into_inner();
    let rows = fetch(&mut client, with_headers(tickets(&info).remove(0), &TOKEN)).await.unwrap();
    assert!(!rows.numbers().is_empty());
    assert!(connect(&server, &other, None).await.is_err(), "of a CA that is not the client's");
    let bare = Endpoint::from_shared(format!("http://{}", server.address)).unwrap().connect().await;
    if let Ok(channel) = bare {
        assert!(FlightServiceClient::new(channel).get_flight_info(query("numbers")).await.is_err());
    }
    // Who says nothing keeps nobody waiting.
    let _silent: Vec<_> = futures::future::join_all((0..20).map(|_| tokio::net::TcpStream::connect(server.address))).await;
    let mut client = connect(&server, &authority, None).await.unwrap();
    assert_eq!(principal(&server, &mut client, &TOKEN).await.unwrap(), "grafana");
}

#[tokio::test]
async fn a_clients_certificate_says_who_it_is_unless_other_credentials_do() {
    let directory = tempfile::tempdir().unwrap();
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    write(directory.path(), &authority.server());
    let text = |text: &str| text.try_into().unwrap();
    let clients = [
        (authority.client("common", vec![]), "cert:common"),
        (
            authority.client("common", vec![SanType::Rfc822Name(text("ann@example.org"))]),
            "cert:ann@example.org",
        ),
        (
            authority.client(
                "common",
                vec![
                    SanType::Rfc822Name(text("ann@example.org")),
                    SanType::DnsName(text("job.example.org")),
                    SanType::URI(text("spiffe://example.org/job")),
                ],
            ),
            "cert:spiffe://example.org/job",
        ),
    ];
    let required = server(&Tls::load(files(directory.path(), Some(&authority), false)).await.unwrap()).await;
    for (pair, expected) in &clients {
        let mut client = connect(&required, &authority, Some(pair)).await.unwrap();
        assert_eq!(principal(&required, &mut client, &[]).await.unwrap(), *expected);
        assert_eq!(principal(&required, &mut client, &TOKEN).await.unwrap(), "grafana");
        let wrong = principal(&required, &mut client, &[("authorization", "Bearer wrong")])
            .await
            .unwrap_err();
        assert_eq!(
            wrong.code(),
            Code::Unauthenticated,
            "a certificate does not make up for wrong credentials"
        );
    }
    let expired = authority.sign(|params| {
        params.distinguished_name.push(DnType::CommonName, "common");
        params.not_before = rcgen::date_time_ymd(2019, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    for (what, identity) in [
        ("none", None),
        ("of another CA", Some(other.client("common", vec![]))),
        ("expired", Some(expired)),
    ] {
        // With TLS 1.3 a client learns of that at its first call.
        let refused = match connect(&required, &authority, identity.as_ref()).await {
            Err(_) => true,
            Ok(mut client) => client.get_flight_info(with_headers(query("numbers"), &TOKEN)).await.is_err(),
        };
        assert!(refused, "{what}");
    }
    let optional = server(&Tls::load(files(directory.path(), Some(&authority), true)).await.unwrap()).await;
    let mut without = connect(&optional, &authority, None).await.unwrap();
    assert_eq!(principal(&optional, &mut without, &TOKEN).await.unwrap(), "grafana");
    assert_eq!(
        principal(&optional, &mut without, &[]).await.unwrap_err().code(),
        Code::Unauthenticated
    );
    let mut with = connect(&optional, &authority, Some(&clients[0].0)).await.unwrap();
    assert_eq!(principal(&optional, &mut with, &[]).await.unwrap(), "cert:common");
}

#[tokio::test]
async fn certificates_change_under_load_and_bad_ones_do_not_count() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    write(directory.path(), &old.server());
    let tls = Tls::load(files(directory.path(), None, false)).await.unwrap();
    let server = server(&tls).await;
    let mut long_lived = connect(&server, &old, None).await.unwrap();
    assert!(!tls.reload().await.unwrap(), "nothing is new");
    // A certificate whose key is not there yet, what is no certificate, and one that is over: the old one stays.
    std::fs::write(directory.path().join("cert.pem"), new.server().cert).unwrap();
    assert!(matches!(tls.reload().await, Err(TlsError::Pair(_))));
    std::fs::write(directory.path().join("cert.pem"), "-----BEGIN").unwrap();
    assert!(matches!(tls.reload().await, Err(TlsError::Pem { .. })));
    let expired = new.sign(|params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    write(directory.path(), &expired);
    assert!(matches!(tls.reload().await, Err(TlsError::Expired { .. })));
    connect(&server, &old, None).await.unwrap();
    let pair = new.server();
    let loading = async {
        let mut ok = 0;
        for _ in 0..40 {
            let (by_old, by_new) = tokio::join!(connect(&server, &old, None), connect(&server, &new, None));
            assert!(by_old.is_ok() != by_new.is_ok() || by_old.is_ok(), "one of both is always good");
            ok += usize::from(by_new.is_ok());
        }
        ok
    };
    let changing = async {
        tokio::task::yield_now().await;
        write(directory.path(), &pair);
        assert!(tls.reload().await.unwrap());
    };
    let (ok, ()) = tokio::join!(loading, changing);
    assert!(ok > 0);
    assert!(connect(&server, &old, None).await.is_err());
    let mut client = connect(&server, &new, None).await.unwrap();
    assert_eq!(principal(&server, &mut client, &TOKEN).await.unwrap(), "grafana");
    assert_eq!(
        principal(&server, &mut long_lived, &TOKEN).await.unwrap(),
        "grafana",
        "what is connected stays so"
    );
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let pair = Authority::new("ours").server();
    let error = Tls::load(files(directory.path(), None, false)).await.unwrap_err().to_string();
    assert!(error.contains("cert.pem"), "{error}");
    write(directory.path(), &pair);
    std::fs::write(directory.path().join("key.pem"), &pair.cert).unwrap();
    let error = Tls::load(files(directory.path(), None, false)).await.unwrap_err().to_string();
    assert!(error.contains("key.pem") && error.contains("private key"), "{error}");
}
