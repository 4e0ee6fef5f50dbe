//! The same clients over TLS, with a user and a password.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use integration_tests::environment::{Java, grafana, java, profile_directory, python, scratch_directory};
use integration_tests::process::Process;
use integration_tests::server::{Server, command};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::{CLIENT_TIMEOUT, demo, documented, fail, finish};

const USER: &str = "ann";
const PASSWORD: &str = "correct horse";

/// A server over the demonstration's stream, which wants TLS and a password.
struct Secured {
    server: Server,
    authority: PathBuf,
}

/// The certificate of an authority, and of a server on this machine with its key.
fn certificates(directory: &Path) -> [PathBuf; 3] {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "An authority of tests");
    let key = KeyPair::generate().unwrap();
    let root = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let server_key = KeyPair::generate().unwrap();
    let names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server = CertificateParams::new(names).unwrap().signed_by(&server_key, &issuer).unwrap();
    [
        ("authority.pem", root.pem()),
        ("server.pem", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ]
    .map(|(name, text)| {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    })
}

fn password_hash() -> String {
    let mut child = command(&["hash-password"])
        .unwrap()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(PASSWORD.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Secured {
    fn start() -> Self {
        let directory = scratch_directory("secured").unwrap();
        let [authority, cert, key] = certificates(&directory);
        let tables = directory.join("tables");
        fs::create_dir_all(&tables).unwrap();
        let lines = demo().process.stdout();
        let demonstrated = lines.iter().find_map(|line| line.strip_prefix("tables: ")).unwrap();
        fs::copy(Path::new(demonstrated).join("nasahttp.yaml"), tables.join("nasahttp.yaml")).unwrap();
        let settings = format!(
            "tls: {{ cert: \"{}\", key: \"{}\" }}\nauth:\n  users: [ {{ name: {USER}, password_hash: \"{}\" }} ]\n  \
             access: [ {{ principal: {USER}, tables: [\"*\"], may: [read] }} ]\n",
            cert.display(),
            key.display(),
            password_hash(),
        );
        Self {
            server: Server::start(&directory, &demo().kinesis, &settings).unwrap(),
            authority,
        }
    }

    fn url(&self) -> String {
        format!("grpc+tls://{}", self.server.flight)
    }

    /// An example, told how to get in.
    fn told(&self, mut example: Command) -> Command {
        example
            .env("SHARDFLIGHT_USER", USER)
            .env("SHARDFLIGHT_PASSWORD", PASSWORD)
            .env("SHARDFLIGHT_CA", &self.authority)
            .env("SHARDFLIGHT_TLS", "yes")
            .env("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", &self.authority);
        example
    }

    fn python(&self, name: &str, address: &str) -> Command {
        let mut command = Command::new(python().unwrap().program("python"));
        command.arg("-u").arg(documented::example(name)).arg(address);
        self.told(command)
    }

    fn jdbc(&self, program: &Path, password: &str) -> Command {
        let mut command = java().unwrap().command(program);
        command
            .arg(self.server.flight.to_string())
            .args(["useEncryption=true", &format!("user={USER}"), &format!("password={password}")])
            .arg(format!("tlsRootCerts={}", self.authority.display()))
            .arg("useSystemTrustStore=false");
        command
    }

    fn grafana(&self, password: &str) -> Command {
        let mut command = Command::new(grafana().unwrap());
        command
            .arg(self.server.flight.to_string())
            .args(["table", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "1s"])
            .arg("select count(*) as n, sum(bytes) as s from nasahttp")
            .env("TLS_CA", &self.authority)
            .env("USER_NAME", USER)
            .env("PASSWORD", password);
        command
    }
}

#[test]
fn every_client_comes_in_with_a_password_over_tls() {
    let secured = Secured::start();
    let place = secured.server.flight.to_string();
    let has = |name: &str, mut command: Command, word: &str| {
        let printed = finish(name, &mut command).join("\n");
        assert!(printed.contains(word), "{name}: {word} is not in\n{printed}");
    };
    has(
        "ADBC",
        secured.python("adbc_quickstart.py", &secured.url()),
        "20000 rows in 4 partitions",
    );
    has(
        "pyarrow",
        secured.python("pyarrow_flight.py", &secured.url()),
        "187 rows from 4 endpoints",
    );
    has("pandas", secured.python("pandas_frames.py", &secured.url()), "321721159");
    has("polars", secured.python("polars_frames.py", &secured.url()), "20395584");
    has("SQLAlchemy", secured.python("sqlalchemy_engine.py", &place), "404 187");
    let mut rust = Command::new(profile_directory().unwrap().join("examples/rust_client"));
    rust.arg(format!("https://{place}"));
    has("Rust", secured.told(rust), "20395584");
    has("JDBC", secured.jdbc(&documented::example("TopHosts.java"), PASSWORD), "20395584");
    has(
        "JDBC, all of it",
        secured.jdbc(&Java::program("Driver.java"), PASSWORD),
        "all passed",
    );
    has("Grafana", secured.grafana(PASSWORD), "[[20000],[321739411]]");

    let mut shell = command(&["sql", "--url", &secured.url(), "--user", USER, "--tls-ca"]).unwrap();
    shell.arg(&secured.authority).env("SHARDFLIGHT_PASSWORD", PASSWORD);
    shell.args(["--format", "csv", "-e", "select count(*) as n from nasahttp"]);
    let mut shell = Process::start("shardflight sql", &shell).unwrap();
    assert!(shell.wait(CLIENT_TIMEOUT).unwrap().success(), "{}", shell.output());
    assert_eq!(shell.stdout(), ["n", "20000"]);
}

#[test]
fn no_client_comes_in_with_a_wrong_password_or_without_any() {
    let secured = Secured::start();
    for mut command in [
        secured.python("adbc_quickstart.py", &secured.url()),
        secured.python("pyarrow_flight.py", &secured.url()),
    ] {
        let said = fail("wrong password", command.env("SHARDFLIGHT_PASSWORD", "wrong"));
        assert!(said.to_lowercase().contains("unauthenticated"), "{said}");
        let said = fail("no password", command.env_remove("SHARDFLIGHT_USER"));
        assert!(said.to_lowercase().contains("unauthenticated"), "{said}");
    }
    let said = fail("JDBC", &mut secured.jdbc(&documented::example("TopHosts.java"), "wrong"));
    assert!(!said.contains("20395584"), "{said}");
    let said = fail("grafana", &mut secured.grafana("wrong"));
    assert!(said.contains("Unauthenticated"), "{said}");
}
