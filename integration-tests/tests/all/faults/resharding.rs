//! Shards that close while they are written and read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use aws_sdk_kinesis::types::{ScalingType, Shard};
use integration_tests::backends::Backend;
use integration_tests::flight::Mode;
use tokio::task::JoinSet;

use super::stage::{Stage, put};

const RECORDS: i64 = 30_000;

async fn open_shards(stage: &Stage, stream: &str) -> Vec<Shard> {
    let mut shards = stage
        .kinesis
        .list_shards()
        .stream_name(stream)
        .send()
        .await
        .unwrap()
        .shards
        .unwrap_or_default();
    shards.retain(|shard| {
        shard
            .sequence_number_range()
            .is_none_or(|range| range.ending_sequence_number().is_none())
    });
    shards.sort_by_key(hash_start);
    shards
}

fn hash_start(shard: &Shard) -> u128 {
    shard.hash_key_range().unwrap().starting_hash_key().parse().unwrap()
}

/// Splits, merges or scales, in turn.
pub(crate) async fn reshard(stage: &Stage, stream: &str, step: i64) {
    let open = open_shards(stage, stream).await;
    let kinesis = &stage.kinesis;
    match step % 3 {
        0 => {
            let end: u128 = open[0].hash_key_range().unwrap().ending_hash_key().parse().unwrap();
            let middle = hash_start(&open[0]) / 2 + end / 2;
            let split = kinesis.split_shard().stream_name(stream).shard_to_split(open[0].shard_id());
            split.new_starting_hash_key(middle.to_string()).send().await.unwrap();
        }
        1 => {
            let merge = kinesis.merge_shards().stream_name(stream).shard_to_merge(open[0].shard_id());
            merge.adjacent_shard_to_merge(open[1].shard_id()).send().await.unwrap();
        }
        _ => {
            let target = if open.len() > 2 { 2 } else { 3 };
            let update = kinesis.update_shard_count().stream_name(stream).target_shard_count(target);
            update.scaling_type(ScalingType::UniformScaling).send().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shards_that_close_lose_and_double_nothing() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Arc::new(Stage::new("resharding", &running.endpoint, &running.endpoint, &["moving"]));
    stage.create("moving", 2).await;
    let acknowledged = Arc::new(AtomicI64::new(0));
    let finished = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    {
        let (stage, acknowledged) = (Arc::clone(&stage), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            put(&stage.kinesis, "moving", 0..RECORDS, |count| {
                acknowledged.fetch_add(count, Ordering::SeqCst);
            })
            .await;
        });
    }
    {
        let (stage, finished, acknowledged) = (Arc::clone(&stage), Arc::clone(&finished), Arc::clone(&acknowledged));
        tasks.spawn(async move {
            // Once in every tenth of the records.
            for step in 0..8_i64 {
                while acknowledged.load(Ordering::SeqCst) < (step + 1) * RECORDS / 10 {
                    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                }
                reshard(&stage, "moving", step).await;
            }
            finished.store(true, Ordering::SeqCst);
        });
    }
    let mut client = stage.client(Mode::PerShard).await;
    loop {
        let last = finished.load(Ordering::SeqCst) && acknowledged.load(Ordering::SeqCst) == RECORDS;
        let before = acknowledged.load(Ordering::SeqCst);
        let mut ids: Vec<i64> = stage
            .numbers(&mut client, "select id from moving")
            .await
            .into_iter()
            .flatten()
            .collect();
        ids.sort_unstable();
        let rows = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), rows, "doubled, {before} acknowledged");
        // One writer puts in order, so what was acknowledged before the statement are the lowest numbers.
        let lost: Vec<_> = (0..before).filter(|id| ids.binary_search(id).is_err()).take(5).collect();
        assert!(
            lost.is_empty(),
            "{lost:?} and maybe more are lost, {before} were acknowledged before the statement, {rows} answered"
        );
        while let Some(task) = tasks.try_join_next() {
            task.unwrap();
        }
        if last {
            break;
        }
    }
    stage.assert_exactly(&mut client, "moving", RECORDS).await;
    let shards = stage.kinesis.list_shards().stream_name("moving").send().await.unwrap();
    assert!(shards.shards().len() > 10, "only {} shards came to be", shards.shards().len());
}
