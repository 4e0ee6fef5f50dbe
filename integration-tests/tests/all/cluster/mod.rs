//! Several real processes as nodes of one cluster, and clients that any of them may answer.

mod scale;

use std::path::PathBuf;

use integration_tests::backends::{Backend, Running};
use integration_tests::balancer::Balancer;
use integration_tests::cluster::{Cluster, Told};
use integration_tests::environment::{Java, java, scratch_directory};
use integration_tests::kinesis;
use integration_tests::server::run_script;

use crate::clients::{demo, finish};

const TABLE: &str = "table: numbers\nstream: numbers\ncolumns:\n  - { name: n, path: n, type: bigint }\n";
/// So many that each node owns some, whatever the ports are.
const SHARDS: i32 = 32;

/// A stream, and definitions of it that all nodes share.
async fn stage(name: &str) -> (Running, PathBuf) {
    let running = Backend::Embedded.start().unwrap();
    let client = kinesis::client(&running.endpoint);
    let created = client.create_stream().stream_name("numbers").shard_count(SHARDS);
    created.send().await.unwrap();
    kinesis::active(&client, "numbers").await.unwrap();
    let definitions = scratch_directory(&format!("{name}-tables")).unwrap();
    std::fs::write(definitions.join("numbers.yaml"), TABLE).unwrap();
    (running, definitions)
}

/// `cluster_client.py`: the phase, the stream service, where clients call, and the nodes.
fn phase(phase: &str, kinesis: &str, balanced: &str, cluster: &Cluster, more: &[String]) {
    let mut arguments = vec![phase.to_owned(), kinesis.to_owned(), balanced.to_owned()];
    arguments.push(
        cluster
            .flight()
            .iter()
            .map(|node| format!("grpc://{node}"))
            .collect::<Vec<_>>()
            .join(","),
    );
    arguments.extend_from_slice(more);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    run_script("cluster_client.py", &arguments).unwrap();
}

async fn any_node_answers_any_call(nodes: usize) {
    let name = format!("cluster-{nodes}");
    let (running, definitions) = stage(&name).await;
    let cluster = Cluster::start(&name, nodes, Told::Peers, &running.endpoint, &definitions).unwrap();
    let balancer = Balancer::start(&cluster.flight()).await.unwrap();
    let balanced = format!("grpc://{}", balancer.address);
    phase("together", &running.endpoint, &balanced, &cluster, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_two_nodes_answers_any_call() {
    any_node_answers_any_call(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_of_four_nodes_answers_any_call() {
    any_node_answers_any_call(4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_a_name_leads_to_is_found_to_be_this_one() {
    let (running, definitions) = stage("cluster-name").await;
    let cluster = Cluster::start("cluster-name", 1, Told::Name, &running.endpoint, &definitions).unwrap();
    let flight = format!("grpc://{}", cluster.flight()[0]);
    phase("alone", &running.endpoint, &flight, &cluster, &[]);
}

/// What was planned before a node was lost is read to its end; sessions of that node end with a word; the others go on.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_node_costs_sessions_and_no_rows() {
    let (running, definitions) = stage("cluster-lost").await;
    let mut cluster = Cluster::start("cluster-lost", 3, Told::Peers, &running.endpoint, &definitions).unwrap();
    let file = definitions.join("before.json").display().to_string();
    let lost = cluster.flight()[2];
    let of = |cluster: &Cluster, name: &str| {
        let first = format!("grpc://{}", cluster.flight()[0]);
        phase(name, &running.endpoint, &first, cluster, &[format!("grpc://{lost}"), file.clone()]);
    };
    of(&cluster, "before");
    cluster.nodes[2].as_ref().unwrap().process.signal("STOP").unwrap();
    of(&cluster, "stopped");
    cluster.nodes[2].as_ref().unwrap().process.signal("CONT").unwrap();
    of(&cluster, "resumed");
    cluster.kill(2);
    of(&cluster, "killed");
    cluster.restart(2).unwrap();
    of(&cluster, "restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jdbc_driver_does_not_see_that_there_are_nodes() {
    let definitions = PathBuf::from(&demo().tables);
    let cluster = Cluster::start("cluster-jdbc", 2, Told::Peers, &demo().kinesis, &definitions).unwrap();
    let balancer = Balancer::start(&cluster.flight()).await.unwrap();
    let mut command = java().unwrap().command(&Java::program("Driver.java"));
    command.arg(balancer.address.to_string()).args(["user=ann", "password=any"]);
    for line in finish("Driver.java", &mut command) {
        println!("{line}");
    }
}
