//! Four writers and a reader that follows them.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use integration_tests::backends::Backend;
use integration_tests::flight::Mode;
use tokio::task::JoinSet;

use super::stage::{Stage, put};

const WRITERS: i64 = 4;
const EACH: i64 = 50_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_thousand_records_of_four_writers_are_answered_once() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Arc::new(Stage::new("volume", &running.endpoint, &running.endpoint, &["volume"]));
    stage.create("volume", 4).await;
    let acknowledged: Arc<Vec<AtomicI64>> = Arc::new((0..WRITERS).map(|_| AtomicI64::new(0)).collect());
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (stage, acknowledged) = (Arc::clone(&stage), Arc::clone(&acknowledged));
        writers.spawn(async move {
            put(&stage.kinesis, "volume", writer * EACH..(writer + 1) * EACH, |count| {
                acknowledged[writer as usize].fetch_add(count, Ordering::SeqCst);
            })
            .await;
        });
    }
    let mut client = stage.client(Mode::Single).await;
    let mut statements = 0;
    loop {
        let before: Vec<i64> = acknowledged.iter().map(|count| count.load(Ordering::SeqCst)).collect();
        let last = before.iter().all(|count| *count == EACH);
        let rows = stage
            .numbers(
                &mut client,
                &format!("select id / {EACH} as w, count(*), count(distinct id) from volume group by w order by w"),
            )
            .await;
        let mut seen = [0; WRITERS as usize];
        for row in rows {
            assert_eq!(row[1], row[2], "writer {}: doubled", row[0]);
            seen[row[0] as usize] = row[1];
        }
        for (writer, (seen, before)) in seen.iter().zip(&before).enumerate() {
            assert!(
                seen >= before,
                "writer {writer}: {before} were acknowledged before the statement, {seen} answered"
            );
        }
        statements += 1;
        while let Some(writer) = writers.try_join_next() {
            writer.unwrap();
        }
        if last {
            assert_eq!(seen, [EACH; WRITERS as usize]);
            break;
        }
    }
    println!("{statements} statements while {} records were put", WRITERS * EACH);
    stage.assert_exactly(&mut client, "volume", WRITERS * EACH).await;
}
