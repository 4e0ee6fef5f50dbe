//! Each part of the configuration has a role of its own, and each role the policy of `deploy/` that is meant for it, at a service that checks both. The
//! server's own credentials may do nothing but assume them.

use integration_tests::process::Process;
use integration_tests::server::{command, run_script};
use integration_tests::stand_in::StandIn;

use super::*;

const COUNT: i64 = 200;
/// Sections of the configuration with a role; it has the section's name.
const ROLES: [&str; 3] = ["streams", "checkpoints", "lake"];

struct Caller {
    id: String,
    secret: String,
}

/// Makes the caller and the roles; from now on the service checks who calls.
fn make(endpoint: &str) -> Caller {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy");
    let mut command = python().unwrap().command("roles.py");
    let command = command.args([endpoint, "make"]).arg(deploy).args(["numbers", "lake", "tables"]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |name: &str| told[name].as_str().unwrap().to_owned();
    Caller {
        id: text("id"),
        secret: text("secret"),
    }
}

/// Runs the job, each section but one with its role: whether it went well, and what it said.
fn run_without(missing: Option<&str>, directory: &Path, endpoint: &str, caller: &Caller) -> (bool, String) {
    let role = |name: &str| match missing {
        Some(missing) if missing == name => String::new(),
        _ => format!(", role_arn: \"arn:aws:iam::123456789012:role/{name}\""),
    };
    let [streams, checkpoints, lake] = ROLES.map(role);
    let place = directory.display();
    let text = format!(
        "kinesis: {{ region: us-east-1, endpoint: \"{endpoint}\"{streams} }}\ncatalog: {{ path: \"{place}/tables\" }}\ndata_dir: \"{place}/data\"\n\
         allow: {{ write: [\"s3://lake/\"] }}\nlake: {{ endpoint: \"{endpoint}\", region: us-east-1{lake} }}\n\
         checkpoints: {{ dynamodb: {{ table: kinesis_checkpoints, endpoint: \"{endpoint}\", region: us-east-1{checkpoints} }} }}\n\
         reader: {{ calls_per_second: 1000 }}\n"
    );
    let file = directory.join("shardflight.yaml");
    std::fs::write(&file, text).unwrap();
    let mut command = command(&["offload", "run", "numbers_lake", "--config"]).unwrap();
    command.arg(file).env("AWS_ENDPOINT_URL_STS", endpoint);
    command
        .env("AWS_ACCESS_KEY_ID", &caller.id)
        .env("AWS_SECRET_ACCESS_KEY", &caller.secret);
    let mut process = Process::start("shardflight offload run", &command).unwrap();
    let status = tokio::task::block_in_place(|| process.wait(PATIENCE)).unwrap();
    (status.success(), process.output())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_role_may_do_what_its_policy_says_and_that_is_enough() {
    let service = StandIn::Moto.start_storage("other").unwrap();
    let endpoint = service.endpoint.as_str();
    stream(endpoint, 2).await;
    put(&kinesis::client(endpoint), 0..COUNT).await;
    let directory = directory("offload-roles");
    std::fs::create_dir_all(directory.join("tables/offloads")).unwrap();
    let definition = "offload: numbers_lake\nid: \"0123456789ab\"\ntable_schema: default\ntable: numbers\nformat: delta\nlocation: \"s3://lake/tables/numbers\"\n\
                      query: \"SELECT n FROM numbers\"\nschema: default\nprincipal: anonymous\noptions: { start: trim_horizon, iteration_max: 400B }\n";
    std::fs::write(directory.join("tables/offloads/numbers_lake.yaml"), definition).unwrap();
    let caller = make(endpoint);
    let calls = ["DescribeStreamSummary", "DescribeTable", "s3://lake/tables/numbers"];
    for (missing, refused) in ROLES.into_iter().zip(calls) {
        let (done, told) = run_without(Some(missing), &directory, endpoint, &caller);
        assert!(!done, "without the role for {missing}: {told}");
        let last = told
            .lines()
            .rev()
            .find(|line| line.trim_start().starts_with("error: "))
            .unwrap_or(&told);
        assert!(
            last.contains(refused) && told.contains("AccessDenied") | told.contains("HTTP 403"),
            "{missing}: {told}"
        );
    }
    let (done, told) = run_without(None, &directory, endpoint, &caller);
    assert!(done, "{told}");
    run_script("roles.py", &[endpoint, "open"]).unwrap();
    assert_eq!(read_lake("s3://lake/tables/numbers", endpoint), Held::below(COUNT));
}
