//! The program with TLS, logins and rights: by its own client, by Python's, and what it writes of all that.

use std::path::Path;
use std::time::Duration;

use integration_tests::backends::Backend;
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::process::Process;
use integration_tests::server::{Server, command, run_script};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use serde_json::Value;

use crate::faults::stage::{Stage, create, put};

const TIMEOUT: Duration = Duration::from_secs(90);
const ROWS: i64 = 40;
/// Whoever finds these in what the program writes has found a leak.
const PASSWORD: &str = "s3cr3t-pa55word";
const TOKEN: &str = "s3cr3t-t0ken";

/// A CA, and a certificate of it for this machine.
pub(crate) fn certificates(directory: &Path) {
    let mut authority = CertificateParams::new(vec![]).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.distinguished_name.push(DnType::CommonName, "CA of a test");
    let key = KeyPair::generate().unwrap();
    std::fs::write(directory.join("ca.pem"), authority.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(authority, key);
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    leaf.distinguished_name.push(DnType::CommonName, "server of a test");
    let key = KeyPair::generate().unwrap();
    std::fs::write(directory.join("cert.pem"), leaf.signed_by(&key, &issuer).unwrap().pem()).unwrap();
    std::fs::write(directory.join("key.pem"), key.serialize_pem()).unwrap();
}

/// Runs the program to its end: exit code, stdout, stderr.
fn run(arguments: &[&str], variables: &[(&str, &str)], stdin: Option<&str>) -> (i32, String, String) {
    let mut command = command(arguments).unwrap();
    command.envs(variables.iter().copied());
    command.stdin(std::process::Stdio::piped());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, stdin.unwrap_or_default().as_bytes()).unwrap();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logins_over_tls_and_what_is_written_of_them() {
    let running = Backend::Embedded.start().unwrap();
    let writer = kinesis::client(&running.endpoint);
    create(&writer, "t", 2).await;
    put(&writer, "t", 0..ROWS, |_| {}).await;
    let directory = scratch_directory("security").unwrap();
    certificates(&directory);
    for table in ["t", "hidden"] {
        Stage::define(&directory, table);
    }
    let hidden = std::fs::read_to_string(directory.join("tables/hidden.yaml")).unwrap();
    std::fs::write(directory.join("tables/hidden.yaml"), hidden.replace("stream: hidden", "stream: t")).unwrap();
    let (code, hash, stderr) = run(&["hash-password"], &[], Some(&format!("{PASSWORD}\n")));
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(hash.starts_with("$argon2id$"), "{hash}");
    std::fs::write(directory.join("ann.hash"), hash).unwrap();
    std::fs::write(directory.join("token"), format!("{TOKEN}\n")).unwrap();
    let file = |name: &str| directory.join(name).display().to_string();
    let settings = format!(
        "tls: {{ cert: '{}', key: '{}' }}\naudit: {{ path: '{}' }}\nauth:\n  users: [{{ name: ann, password_hash_file: '{}' }}]\n  \
         tokens: [{{ name: reader, token_file: '{}' }}]\n  access:\n    - {{ principal: ann, tables: ['*'], streams: ['*'], may: [admin] }}\n    \
         - {{ principal: reader, tables: [t], may: [read] }}\n",
        file("cert.pem"),
        file("key.pem"),
        file("audit.log"),
        file("ann.hash"),
        file("token"),
    );
    let server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    let url = format!("grpc+tls://localhost:{}", server.flight.port());
    let ca = file("ca.pem");

    let sql = |more: &[&str], variables: &[(&str, &str)], sql: &str| {
        let arguments: Vec<&str> = ["sql", "--url", &url, "--tls-ca", &ca, "--format", "csv", "-e", sql]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        run(&arguments, variables, None)
    };
    let ann = [("SHARDFLIGHT_PASSWORD", PASSWORD)];
    let reader = [("SHARDFLIGHT_TOKEN", TOKEN)];
    let count = "select count(*) as n from t";
    let wanted = format!("n\n{ROWS}\n");
    std::fs::write(directory.join("password"), PASSWORD).unwrap();
    for (more, variables) in [
        (&["--user", "ann"][..], &ann[..]),
        (&["--user", "ann", "--password-file", &file("password")], &[]),
        (&["--user", "ann", "--password", PASSWORD], &[]),
        (&["--token", TOKEN], &[]),
        (&[], &reader),
    ] {
        let (code, stdout, stderr) = sql(more, variables, count);
        assert_eq!((code, stdout.as_str()), (0, wanted.as_str()), "{more:?}: {stderr}");
    }
    let mut written = String::new();
    for (more, variables, statement, what) in [
        (
            &["--user", "ann", "--password", "s3cr3t-wrong"][..],
            &[][..],
            count,
            "the credentials are not valid",
        ),
        (&["--token", "s3cr3t-wrong"], &[], count, "the credentials are not valid"),
        (&[], &[], count, "send credentials"),
        (
            &[],
            &reader,
            "select * from hidden",
            "principal `reader` has no right to read table `kinesis.default.hidden`",
        ),
        (&[], &reader, "select * from kinesis_stream('t')", "has no right to read stream `t`"),
        (&[], &reader, "drop table t", "has no right to administer"),
        (&["--user", "ann"], &ann, "select nonsense from t", "nonsense"),
    ] {
        let (code, stdout, stderr) = sql(more, variables, statement);
        assert!(code == 1 && stderr.contains(what), "{more:?} {statement}: {code} {stdout} {stderr}");
        written += &stderr;
    }
    let (code, explained, stderr) = sql(
        &["--user", "ann"],
        &ann,
        "explain select * from t; select sql, error from kinesis.system.queries",
    );
    assert_eq!(code, 0, "{stderr}");
    written += &explained;
    let bare = [
        "sql",
        "--url",
        &format!("grpc://127.0.0.1:{}", server.flight.port()),
        "--token",
        TOKEN,
        "-e",
        count,
    ];
    let (code, _, stderr) = run(&bare, &[], None);
    assert_eq!(code, 1, "{stderr}");
    written += &stderr;
    let (code, _, stderr) = run(&["sql", "--url", &url, "--token", TOKEN, "-e", count], &[], None);
    assert_eq!(code, 1, "of a CA that this machine does not trust: {stderr}");
    written += &stderr;

    run_script("secure_client.py", &[&url, &ca, PASSWORD, TOKEN, &ROWS.to_string()]).unwrap();

    server.process.signal("TERM").unwrap();
    let mut process = server.process;
    process.wait(TIMEOUT).unwrap();
    written += &process.output();
    let audit = std::fs::read_to_string(directory.join("audit.log")).unwrap();
    for secret in [PASSWORD, TOKEN, "s3cr3t", "$argon2id$"] {
        assert!(!written.contains(secret), "{secret} is in {written}");
        assert!(!audit.contains(secret), "{secret} is in {audit}");
    }
    check_audit(&audit);
    check_broken_configuration(&directory);
}

fn check_audit(audit: &str) {
    let events: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let has = |wanted: &[(&str, &str)]| {
        let found = events.iter().any(|event| wanted.iter().all(|(key, value)| event[*key] == *value));
        assert!(found, "{wanted:?} is not in\n{audit}");
    };
    has(&[("event", "login"), ("principal", "ann"), ("method", "password"), ("outcome", "ok")]);
    has(&[("event", "login"), ("principal", "ann"), ("outcome", "failed")]);
    has(&[("event", "session_opened"), ("principal", "reader")]);
    has(&[("event", "session_closed"), ("principal", "ann")]);
    has(&[
        ("event", "statement"),
        ("principal", "reader"),
        ("outcome", "failed"),
        ("error", "PermissionDenied"),
    ]);
    has(&[("event", "fetch"), ("principal", "ann"), ("outcome", "done")]);
    let planned = events
        .iter()
        .find(|event| event["event"] == "statement" && event["outcome"] == "planned" && event["tables"][0] == "default.t");
    let planned = planned.unwrap_or_else(|| panic!("no planned statement over t in\n{audit}"));
    assert!(
        planned["address"].as_str().unwrap().starts_with("127.0.0.1:") && planned.get("sql").is_none(),
        "{planned}"
    );
    let fetched = events
        .iter()
        .find(|event| event["query_id"] == planned["query_id"] && event["event"] == "fetch");
    assert_eq!(fetched.unwrap()["principal"], planned["principal"]);
}

/// A broken configuration says what is wrong, and not what the secret is.
fn check_broken_configuration(directory: &Path) {
    let path = directory.join("broken.yaml");
    let text = format!(
        "auth: {{ users: [{{ name: ann, password_hash: '{PASSWORD}' }}], access: [{{ principal: ann, tables: ['*'], may: [read] }}] }}"
    );
    std::fs::write(&path, text).unwrap();
    let mut command = command(&["serve", "--config"]).unwrap();
    command.arg(&path).current_dir(directory);
    let mut process = Process::start("shardflight serve", &command).unwrap();
    assert_eq!(process.wait(TIMEOUT).unwrap().code(), Some(1));
    let output = process.output();
    assert!(
        output.contains("user ann: the password hash is none") && !output.contains(PASSWORD),
        "{output}"
    );
}
