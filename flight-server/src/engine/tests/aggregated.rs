//! INSERT into aggregates of the Kinesis Producer Library.

use shard_reader::{PutFate, user_records};

use super::*;

#[tokio::test(start_paused = true)]
async fn rows_are_aggregated_for_their_shards_and_read_again() {
    let world = World::new(3);
    world.source.script_puts([PutFate::Refuse { every: 2 }]);
    let insert =
        "/*+ kpl_aggregation=true, partition_key='word' */ insert into t select value, 'w' || (value % 40) from generate_series(1, 2000)";
    let request = StatementRequest {
        per_shard: true,
        ..StatementRequest::new(insert)
    };
    let Planned::Done(done) = world.engine.plan(&world.session, request).await.unwrap() else {
        panic!("INSERT is no query")
    };
    assert_eq!(done.affected, Some(2000));
    let shards = world.source.shard_ids();
    let records: Vec<Vec<u8>> = shards
        .iter()
        .flat_map(|shard| world.source.log(shard))
        .map(|(_, data)| data)
        .collect();
    assert!((4..20).contains(&records.len()), "{} records", records.len());
    let users: usize = records.iter().map(|record| user_records(record).unwrap().len()).sum();
    assert_eq!(users, 2000);
    assert!(records.iter().all(|record| record.len() <= 51_200));
    // each in the shard of its own key
    let sql = "select count(*), sum(n), count(distinct word), bool_and(_partition_key = word), bool_and(_hash_in_range) from t";
    assert_eq!(world.rows(sql).await.unwrap(), ["2000|2001000|40|true|true"]);
}
