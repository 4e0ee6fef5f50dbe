//! A server that is killed at any moment, and told to end in the middle, while the stream is written and resharded.

use aws_sdk_kinesis::types::ShardFilter;
use integration_tests::backends::Backend;
use integration_tests::process::Process;
use integration_tests::server::command;
use tokio::task::JoinSet;

use super::*;

const KILLS: u64 = 16;

/// The same server again: port, directory and configuration are those it had.
fn restart(server: &mut Server, directory: &Path, signal: &str) {
    server.process.signal(signal).unwrap();
    server.process.wait(PATIENCE).unwrap();
    let mut command = command(&["serve", "--config"]).unwrap();
    command.arg(directory.join("shardflight.yaml")).current_dir(directory);
    server.process = Process::start("shardflight serve", &command).unwrap();
    server.process.wait_until_listening(server.flight).unwrap();
}

async fn split_first_shard(client: &aws_sdk_kinesis::Client) {
    let filter = ShardFilter::builder()
        .r#type(aws_sdk_kinesis::types::ShardFilterType::AtLatest)
        .build()
        .unwrap();
    let listed = client
        .list_shards()
        .stream_name("numbers")
        .shard_filter(filter)
        .send()
        .await
        .unwrap();
    let shard = &listed.shards()[0];
    let range = shard.hash_key_range().unwrap();
    let (low, high): (u128, u128) = (range.starting_hash_key().parse().unwrap(), range.ending_hash_key().parse().unwrap());
    client
        .split_shard()
        .stream_name("numbers")
        .shard_to_split(shard.shard_id())
        .new_starting_hash_key((low + (high - low) / 2).to_string())
        .send()
        .await
        .unwrap();
    kinesis::active(client, "numbers").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_neither_loses_nor_doubles_a_row() {
    let running = Backend::Embedded.start().unwrap();
    stream(&running.endpoint, 2).await;
    let directory = directory("offload-killed");
    let location = file_url(&directory.join("lake/numbers"));
    let settings = format!(
        "allow: {{ write: [\"{}\"] }}\nreader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n",
        file_url(&directory.join("lake"))
    );
    let mut server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    let create = format!(
        "CREATE OFFLOAD numbers_lake STORED AS DELTA LOCATION '{location}' \
         OPTIONS (every '1s', start 'trim_horizon', iteration_max '4kB') AS SELECT n FROM numbers"
    );
    run(&server, &create).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut producer = JoinSet::new();
    producer.spawn(put_on(running.endpoint.clone(), Arc::clone(&stop)));
    let client = kinesis::client(&running.endpoint);
    let mut held = 0;
    for kill in 0..KILLS {
        // it is at work when it has published something more
        let before = held;
        held = lake_with(&location, "-", before + 1).await.rows;
        assert!(held > before, "nothing is published\n{}", server.process.output());
        if kill % 5 == 2 {
            split_first_shard(&client).await;
        }
        // points that are spread over its cycle
        tokio::time::sleep(Duration::from_millis(kill * 61 % 400)).await;
        restart(&mut server, &directory, if kill % 4 == 3 { "TERM" } else { "KILL" });
    }
    stop.store(true, Ordering::Relaxed);
    let count = producer.join_next().await.unwrap().unwrap();
    let held = lake_with(&location, "-", count).await;
    assert_eq!(held, Held::below(count), "{}", server.process.output());
    // and it stays so: cycles that must add nothing
    run(&server, "ALTER OFFLOAD numbers_lake PAUSE").await;
    run(&server, "ALTER OFFLOAD numbers_lake RESUME").await;
    put(&client, count..count + 5).await;
    assert_eq!(lake_with(&location, "-", count + 5).await, Held::below(count + 5));
}
