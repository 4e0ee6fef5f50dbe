//! The program as its users run it: arguments, output, exit codes.
#![expect(clippy::unwrap_used, reason = "a test's failure is a panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/demo/nasa_aug01_first20000.log");

fn shardflight(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_shardflight"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> (i32, String, String) {
    ended(&shardflight(arguments).output().unwrap())
}

fn ended(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code().expect("no signal killed it"),
        text(&output.stdout),
        text(&output.stderr),
    )
}

/// A child that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // An error means that it has ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
fn help_names_what_works_and_nothing_else() {
    let (code, help, stderr) = run(&["--help"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    for command in [
        "demo",
        "serve",
        "sql",
        "datagen",
        "catalog",
        "checkpoints",
        "offload",
        "hash-password",
    ] {
        assert!(
            help.lines().any(|line| line.trim_start().starts_with(command)),
            "{command} is not in\n{help}"
        );
    }
    let (code, help, _) = run(&["sql", "--help"]);
    assert_eq!(code, 0);
    for present in ["--user", "--password-file", "--token", "--tls-ca", "--tls-cert"] {
        assert!(help.contains(present), "{present} is not in\n{help}");
    }
    let (code, version, _) = run(&["--version"]);
    assert_eq!((code, version.trim()), (0, concat!("shardflight ", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn wrong_usage_is_code_2_on_stderr() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["datagen"],
        &["datagen", "-f", LOG, "-n", "s", "-s", "1"],
        &["sql", "--url", "https://h:1"],
        &["sql", "--user", "u", "--token", "t"],
        &["sql", "--password", "p"],
        &["sql", "--endpoint", "http://127.0.0.1:1", "-e", "select 1"],
        &["catalog", "infer"],
    ] {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (2, ""), "{arguments:?}: {stderr}");
        assert!(!stderr.is_empty());
    }
}

#[test]
fn failures_are_code_1_and_one_line_that_says_what_and_where() {
    let cases: [(&[&str], &[&str]); 5] = [
        (
            &["datagen", "-f", "/no/such/file", "-p"],
            &["cannot open /no/such/file", "No such file"],
        ),
        (
            &["serve", "--config", "/no/such.yaml"],
            &["cannot read configuration /no/such.yaml", "No such file"],
        ),
        (
            &["sql", "--url", "grpc://127.0.0.1:1", "-e", "select 1"],
            &["cannot connect to grpc://127.0.0.1:1", "is the server running"],
        ),
        (&["sql", "-e", "select 'open"], &["Unterminated string", "line 1"]),
        (&["catalog", "check", "/no/such/directory"], &["cannot read /no/such/directory"]),
    ];
    for (arguments, expected) in cases {
        let (code, stdout, stderr) = run(arguments);
        assert_eq!((code, stdout.as_str()), (1, ""), "{arguments:?}: {stderr}");
        let error = stderr.lines().last().unwrap();
        assert!(error.starts_with("error: "), "{stderr}");
        assert!(expected.iter().all(|part| error.contains(part)), "{expected:?} in {error}");
        assert!(!stderr.contains("panicked"), "{stderr}");
    }
}

#[test]
fn configuration_comes_from_variables_too() {
    let output = shardflight(&["serve"]).env("SHARDFLIGHT_LISTEN", "0.0.0.0:0").output().unwrap();
    let (code, _, stderr) = ended(&output);
    assert_eq!(code, 1);
    assert!(
        stderr.contains("listen: 0.0.0.0:0") && stderr.contains("insecure: true"),
        "{stderr}"
    );
    let output = shardflight(&["serve"]).env("SHARDFLIGHT_LISTN", "x").output().unwrap();
    assert!(ended(&output).2.contains("did you mean `listen`?"), "{}", ended(&output).2);
}

#[test]
fn a_port_in_use_names_the_option() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for option in ["--listen", "--http", "--kinesis"] {
        let (code, stdout, stderr) = run(&["demo", "--once", option, &address]);
        assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
        assert!(stderr.contains(option) && stderr.contains(&address), "{stderr}");
    }
}

#[test]
fn the_bundled_log_is_parsed_whole() {
    let (code, report, stderr) = run(&["datagen", "-f", LOG, "-p", "--repeat", "2"]);
    assert_eq!(code, 0, "{stderr}");
    for line in ["Read 40000 lines", "Produced 40000 records", "Unparsable 0 lines", "Blank 0 lines"] {
        assert!(report.lines().any(|found| found == line), "{line} is not in\n{report}");
    }
    let (code, report, _) = run(&["datagen", "-f", LOG, "-r"]);
    assert_eq!(code, 0);
    assert!(report.contains("Read 20000 lines") && !report.contains("Produced"), "{report}");
}

#[test]
fn unparsable_lines_are_shown_and_are_no_failure() {
    let mut log = tempfile::NamedTempFile::new().unwrap();
    log.write_all(b"h - - [t] \"GET /\" 200 1\n\njunk \xff\nalyssa.p").unwrap();
    let (code, report, stderr) = run(&["datagen", "-f", log.path().to_str().unwrap(), "-parse-only"]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("unable to parse line 3: junk \u{ff}") && stderr.contains("unable to parse line 4: alyssa.p"),
        "{stderr}"
    );
    assert!(
        report.contains("Produced 1 records") && report.contains("Unparsable 2 lines") && report.contains("Blank 1 lines"),
        "{report}"
    );
}

#[test]
fn a_reader_that_has_had_enough_is_no_failure() {
    let mut child = shardflight(&["datagen", "-f", LOG, "-p"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(ended(&output), (0, String::new(), String::new()));
}

#[test]
fn definitions_are_checked_with_line_and_column() {
    let directory = tempfile::tempdir().unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("demo/nasahttp.yaml");
    std::fs::copy(demo, directory.path().join("good.yaml")).unwrap();
    let path = directory.path().to_str().unwrap();
    let (code, report, stderr) = run(&["catalog", "check", path]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        report.contains("good.yaml: ok: kinesis.default.nasahttp over stream nasahttp, 5 columns"),
        "{report}"
    );
    std::fs::write(directory.path().join("bad.yaml"), "table: t\nstream: s\nformt: json\n").unwrap();
    let (code, report, stderr) = run(&["catalog", "check", path]);
    assert_eq!(code, 1);
    assert!(
        report.lines().any(|line| line.contains("bad.yaml:3:") && line.contains("formt")),
        "{report}"
    );
    assert!(report.contains("good.yaml: ok"), "{report}");
    assert!(stderr.contains("1 of 2 definitions cannot be used"), "{stderr}");
}

#[test]
fn the_demonstration_prints_its_results_in_order_and_ends() {
    let (code, printed, stderr) = run(&["demo", "--once", "--shards", "3"]);
    assert_eq!(code, 0, "{stderr}");
    let expected = [
        "select host, sum(bytes) as total_bytes from kinesis.default.nasahttp group by host order by total_bytes desc limit 2;",
        "| www-relay.pa-x.dec.com | 20395584    |",
        "| 130.110.74.81          | 18750653    |",
        "select count(*) as records, sum(bytes) as bytes from kinesis.default.nasahttp;",
        "| 20000   | 321739411 |",
        "flight: grpc://127.0.0.1:",
        "kinesis: http://127.0.0.1:",
        "http: http://127.0.0.1:",
        "tables: ",
        "jdbc: jdbc:arrow-flight-sql://127.0.0.1:",
        "ready",
    ];
    let mut lines = printed.lines();
    for start in expected {
        assert!(
            lines.any(|line| line.starts_with(start)),
            "{start} is not there, or not in its place:\n{printed}"
        );
    }
    assert_eq!(lines.next(), None, "`ready` is the last line");
}

/// One demonstration, and what can be done with it: statements in every form, more data, health.
#[test]
fn statements_datagen_and_health_against_the_demonstration() {
    let arguments = [
        "demo",
        "--shards",
        "2",
        "--listen",
        "127.0.0.1:0",
        "--http",
        "127.0.0.1:0",
        "--kinesis",
        "127.0.0.1:0",
    ];
    let mut demo = Running(
        shardflight(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut printed = Vec::new();
    for line in BufReader::new(demo.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let ready = line == "ready";
        printed.push(line);
        if ready {
            break;
        }
    }
    let address = |name: &str| {
        printed
            .iter()
            .find_map(|line| line.strip_prefix(name))
            .unwrap_or_else(|| panic!("{name} in {printed:?}"))
            .to_owned()
    };
    let (flight, kinesis, http) = (address("flight: "), address("kinesis: "), address("http: http://"));

    let count = "select count(*) as n from kinesis.default.nasahttp";
    let sql = |format: &str, text: &str| run(&["sql", "--url", &flight, "--format", format, "-e", text]);
    let (code, csv, stderr) = sql("csv", &format!("{count}; select 'a;b' as \"x\" -- no;\n;"));
    assert_eq!((code, csv.as_str()), (0, "n\n20000\nx\na;b\n"), "{stderr}");
    assert!(stderr.contains("(1 row, "), "{stderr}");
    assert_eq!(sql("json", count).1, "{\"n\":20000}\n");
    assert_eq!(sql("table", count).1, "+-------+\n| n     |\n+-------+\n| 20000 |\n+-------+\n");
    let rows = sql("csv", "select host from kinesis.default.nasahttp where code = 404").1;
    assert_eq!(
        rows.lines().count(),
        1 + 187,
        "187 lines of the log have status 404, on both shards' endpoints"
    );

    let (code, _, stderr) = sql("csv", "select nonsense from kinesis.default.nasahttp");
    assert_eq!(code, 1);
    assert!(
        stderr.lines().last().unwrap().starts_with("error: ") && stderr.contains("nonsense"),
        "{stderr}"
    );

    let mut log = tempfile::NamedTempFile::new().unwrap();
    log.write_all(b"h.example.com - - [01/Aug/1995:00:00:01 -0400] \"GET /\" 200 5\n")
        .unwrap();
    let arguments = [
        "datagen",
        "-f",
        log.path().to_str().unwrap(),
        "-create",
        "-n",
        "nasahttp",
        "-s",
        "2",
        "--verify",
        "--endpoint",
        &kinesis,
    ];
    let output = shardflight(&arguments)
        .env("AWS_ACCESS_KEY_ID", "k")
        .env("AWS_SECRET_ACCESS_KEY", "s")
        .env("AWS_REGION", "us-east-1")
        .output();
    let (code, report, stderr) = ended(&output.unwrap());
    assert_eq!(code, 0, "{stderr}");
    assert!(
        report.contains("Acknowledged 1 records") && report.contains("Verified 1 records"),
        "{report}"
    );
    assert_eq!(sql("csv", count).1, "n\n20001\n", "an acknowledged record is in the next answer");

    let mut health = std::net::TcpStream::connect(&http).unwrap();
    health
        .write_all(format!("GET /readyz HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n").as_bytes())
        .unwrap();
    let mut answer = String::new();
    health.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    let ended = Command::new("kill").args(["-TERM", &demo.0.id().to_string()]).status().unwrap();
    assert!(ended.success());
    assert_eq!(demo.0.wait().unwrap().code(), Some(0));
}
