//! Streams of one, four and a hundred shards: every client reads all of them, however many endpoints it is given.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::AsArray as _;
use arrow::datatypes::Int64Type;
use arrow::ipc::reader::StreamReader;
use arrow_flight::FlightInfo;
use arrow_flight::sql::client::FlightSqlServiceClient;
use embedded::{Fault, FaultRule, Operation};
use futures::TryStreamExt as _;
use integration_tests::backends::Backend;
use integration_tests::environment::{grafana, scratch_directory};
use integration_tests::flight::Mode;
use integration_tests::kinesis;
use integration_tests::process::Process;
use integration_tests::server::{self, Demo, Server, run_script};
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};

use super::{finish, jdbc_rows};
use crate::faults::stage::{Stage, create, put, put_sized};

/// Table, shards, records, endpoints by default. A program's last 4,000 lines are kept, so there are fewer records than that.
const STREAMS: [(&str, i32, i64, usize); 3] = [("one", 1, 500, 1), ("four", 4, 2_000, 4), ("hundred", 100, 3_000, 32)];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_four_and_a_hundred_shards_are_read_by_every_client() {
    let running = Backend::Embedded.start().unwrap();
    let writer = kinesis::client(&running.endpoint);
    for (stream, shards, records, _) in STREAMS {
        create(&writer, stream, shards).await;
        put(&writer, stream, 0..records, |_| {}).await;
    }
    let stage = Stage::new(
        "endpoints",
        &running.endpoint,
        &running.endpoint,
        &STREAMS.map(|(stream, ..)| stream),
    );
    let flight = format!("grpc://{}", stage.server.flight);
    for (table, _, records, endpoints) in STREAMS {
        let arguments = [flight.as_str(), table, &records.to_string(), &endpoints.to_string()];
        run_script("endpoints_client.py", &arguments).unwrap();

        for mode in [Mode::Single, Mode::PerShard] {
            let mut client = stage.client(mode).await;
            stage.assert_exactly(&mut client, table, records).await;
        }

        let wanted: BTreeSet<String> = (0..records).map(|id| id.to_string()).collect();
        let sql = format!("select id from {table}");
        for properties in [
            &["threadPoolSize=1"][..],
            &["threadPoolSize=1", "x-shardflight-endpoints=shard"],
            &[
                "threadPoolSize=4",
                "x-shardflight-endpoints=shard",
                "x-shardflight-max-endpoints=100",
            ],
        ] {
            let lines = finish("EveryType.java", &mut jdbc_rows(&flight, &sql, properties));
            let ids: BTreeSet<String> = lines
                .iter()
                .filter_map(|line| line.strip_prefix("row\t"))
                .map(str::to_owned)
                .collect();
            assert_eq!((lines.len() as i64, &ids), (records, &wanted), "{table}, JDBC with {properties:?}");
        }

        let mut panel = Command::new(grafana().unwrap());
        panel
            .arg(stage.server.flight.to_string())
            .args(["table", "2024-01-01T00:00:00Z", "2024-01-01T00:00:00Z", "1s", &sql]);
        let frame: serde_json::Value = serde_json::from_str(&finish("grafana", &mut panel).join("")).unwrap();
        let ids: BTreeSet<String> = frame["values"][0].as_array().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(ids, wanted, "{table}, Grafana");

        let shell = server::command(&["sql", "--url", &flight, "--format", "csv", "-e", &sql]).unwrap();
        let mut shell = Process::start("shardflight sql", &shell).unwrap();
        assert!(shell.wait(Duration::from_secs(60)).unwrap().success(), "{}", shell.output());
        let ids: BTreeSet<String> = shell.stdout().into_iter().filter(|line| line != "id").collect();
        assert_eq!(ids, wanted, "{table}, shardflight sql");
    }
}

/// A client that its user agent is known by.
async fn connect(server: &Server, agent: &str) -> FlightSqlServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", server.flight)).unwrap();
    FlightSqlServiceClient::new(endpoint.user_agent(agent).unwrap().connect().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn drivers_that_read_all_endpoints_are_known_by_their_user_agent() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Stage::new("agents", &running.endpoint, &running.endpoint, &["agents"]);
    stage.create("agents", 3).await;
    put(&stage.kinesis, "agents", 0..30, |_| {}).await;
    for (agent, endpoints) in [
        ("ADBC Flight SQL Driver (unknown or development build) grpc-go/1.84.0", 3),
        // JDBC's since 19
        ("JDBC Flight SQL Driver 19.0.0", 3),
        ("shardflight", 3),
        // JDBC's before, Grafana's, pyarrow's and flightsql-dbapi's
        ("grpc-java-netty/1.71.0", 1),
        ("grpc-go/1.58.3", 1),
        ("grpc-c++/1.46.3", 1),
    ] {
        let mut client = connect(&stage.server, agent).await;
        let info = client.execute("select id from agents".to_owned(), None).await.unwrap();
        assert_eq!(info.endpoint.len(), endpoints, "{agent}");
    }
}

/// Rows of an endpoint.
async fn rows(client: &mut FlightSqlServiceClient<Channel>, info: &FlightInfo, endpoint: usize) -> Vec<i64> {
    let ticket = info.endpoint[endpoint].ticket.clone().unwrap();
    let mut stream = client.do_get(ticket).await.unwrap();
    let mut ids = Vec::new();
    while let Some(batch) = stream.try_next().await.unwrap() {
        ids.extend(batch.column(0).as_primitive::<Int64Type>().values());
    }
    ids
}

/// Resident memory of a process, bytes.
pub(crate) fn resident(process: &Process) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

const LARGE: i64 = 6_000;
const NOTE: usize = 8_000;

/// All endpoints are open at once, as ADBC has them, and the first one is not read while the others are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_endpoint_that_is_left_lying_holds_up_no_other() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Stage::new("lying", &running.endpoint, &running.endpoint, &["lying"]);
    stage.create("lying", 100).await;
    put_sized(&stage.kinesis, "lying", 0..LARGE, NOTE, |_| {}).await;
    // as Go's: what lies unread in one stream takes nothing of what the others may receive
    let endpoint = Endpoint::from_shared(format!("http://{}", stage.server.flight))
        .unwrap()
        .initial_stream_window_size(64 << 10)
        .initial_connection_window_size(16 << 20);
    let mut client = FlightSqlServiceClient::new(endpoint.connect().await.unwrap());
    client.set_header("x-shardflight-endpoints", "shard");
    client.set_header("x-shardflight-max-endpoints", "100");
    let info = client.execute("select id, note from lying".to_owned(), None).await.unwrap();
    assert_eq!(info.endpoint.len(), 100);
    let mut open = Vec::new();
    for endpoint in &info.endpoint {
        open.push(client.do_get(endpoint.ticket.clone().unwrap()).await.unwrap());
    }
    let before = resident(&stage.server.process);
    let mut ids = BTreeSet::new();
    // the first is read last, and the last but one first
    for mut stream in open.into_iter().rev() {
        while let Some(batch) = stream.try_next().await.unwrap() {
            ids.extend(batch.column(0).as_primitive::<Int64Type>().values().iter().copied());
        }
    }
    assert_eq!(ids, (0..LARGE).collect());
    let grown = resident(&stage.server.process).saturating_sub(before);
    assert!(grown < 400 << 20, "{grown} bytes more");
}

/// More than a page in every shard.
const OLD: i64 = 60_000;
/// In every shard, so that the search for the last record goes no further back.
const RECENT: i64 = 40;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_shard_holds_up_its_own_endpoint_alone() {
    let running = Backend::Embedded.start().unwrap();
    let service = running.embedded().unwrap();
    // what arrived hours ago is fetched when the rows are, and not when the statement is planned
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    service.clock().set(now - 2 * 3_600_000);
    let stage = Stage::new("slow", &running.endpoint, &running.endpoint, &["slow"]);
    stage.create("slow", 3).await;
    put(&stage.kinesis, "slow", 0..OLD, |_| {}).await;
    service.clock().set(now);
    put(&stage.kinesis, "slow", OLD..OLD + RECENT, |_| {}).await;
    let mut client = connect(&stage.server, "test").await;
    client.set_header("x-shardflight-endpoints", "shard");
    let planned = client.execute("select id from slow".to_owned(), None).await.unwrap();
    assert_eq!(planned.endpoint.len(), 3);
    let delay = FaultRule::new(Operation::GetRecords, Fault::Delay(Duration::from_secs(5)));
    let armed = service.faults().add(delay.stream("slow").shard("shardId-000000000000"));
    let planned = Arc::new(planned);
    let mut reading = JoinSet::new();
    for endpoint in 0..3 {
        let (mut client, planned) = (client.clone(), Arc::clone(&planned));
        reading.spawn(async move { (endpoint, rows(&mut client, &planned, endpoint).await) });
    }
    let (mut order, mut all) = (Vec::new(), BTreeSet::new());
    while let Some(read) = reading.join_next().await {
        let (endpoint, ids) = read.unwrap();
        order.push(endpoint);
        all.extend(ids);
    }
    assert_eq!(all, (0..OLD + RECENT).collect());
    assert!(service.faults().fired(armed) > 0, "nothing was slow");
    assert_eq!(order.last(), Some(&0), "{order:?}");
    // ADBC hands rows out in the order of endpoints, the slow one first
    service.faults().remove(armed);
    let delay = FaultRule::new(Operation::GetRecords, Fault::Delay(Duration::from_secs(1)));
    service.faults().add(delay.stream("slow").shard("shardId-000000000000"));
    let flight = format!("grpc://{}", stage.server.flight);
    run_script("endpoints_client.py", &[&flight, "slow", &(OLD + RECENT).to_string(), "3"]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared_endpoints_give_the_same_rows_again() {
    let running = Backend::Embedded.start().unwrap();
    let directory = scratch_directory("twice").unwrap();
    Stage::define(&directory, "twice");
    let server = Server::start(&directory, &running.endpoint, "").unwrap();
    let writer = kinesis::client(&running.endpoint);
    create(&writer, "twice", 40).await;
    put(&writer, "twice", 0..400, |_| {}).await;
    let mut client = connect(&server, "ADBC Flight SQL Driver").await;
    let info = client.execute("select id from twice".to_owned(), None).await.unwrap();
    assert_eq!(info.endpoint.len(), 32, "40 shards share 32 endpoints");
    let mut all = Vec::new();
    for endpoint in 0..info.endpoint.len() {
        // the shards of one endpoint are read at the same time, so their rows come in any order
        let mut first = rows(&mut client, &info, endpoint).await;
        let mut second = rows(&mut client, &info, endpoint).await;
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second, "endpoint {endpoint}");
        all.extend(first);
    }
    all.sort_unstable();
    assert_eq!(all, (0..400).collect::<Vec<i64>>());
}

/// Endpoints of many messages, of which those that are ahead wait for the one that is printed: their rows must not fill the connection.
#[test]
fn the_shell_reads_large_endpoints_side_by_side() {
    let demo = Demo::start(&["--shards", "16"]).unwrap();
    let directory = scratch_directory("large-endpoints").unwrap();
    let file = directory.join("rows.arrow");
    // more than 16 MB an endpoint
    let sql = "select repeat(request, 400) as r from nasahttp";
    let shell = server::command(&["sql", "--url", &demo.flight, "--format", "arrow", "-e", sql]).unwrap();
    let mut redirected = Command::new("sh");
    redirected
        .args(["-c", r#"file=$1; shift; exec "$@" > "$file""#, "sh"])
        .arg(&file)
        .arg(shell.get_program())
        .args(shell.get_args());
    finish("shardflight sql", &mut redirected);
    let reader = StreamReader::try_new(std::fs::File::open(&file).unwrap(), None).unwrap();
    let rows: usize = reader.map(|batch| batch.unwrap().num_rows()).sum();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(rows, 20_000);
}
