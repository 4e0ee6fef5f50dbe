//! What conditions and limits leave unread.

use super::*;

/// A hundred pages, a second apart a record, the last of them now.
fn a_hundred_pages() -> (World, i64) {
    let world = World::new(1);
    let shard = world.source.shard_ids()[0].clone();
    let now = world.source.clock().now_ms();
    for n in 0..1600 {
        let record = format!("{{\"n\":{n},\"word\":\"w{}\"}}", n % 5);
        let arrival = now - (1599 - n) * 1000;
        world.source.put_as(&shard, Some("key"), Some(arrival), record.as_bytes()).unwrap();
    }
    (world, now)
}

#[tokio::test]
async fn few_rows_are_few_calls() {
    for (sql, rows, most) in [
        ("select count(*) from (select n from t limit 5)", vec!["5"], 8),
        (
            "select count(*) from (select n from t where word = 'w3' limit 3 offset 1)",
            vec!["3"],
            8,
        ),
        (
            "select n from t order by _message_timestamp desc limit 3",
            vec!["1597", "1598", "1599"],
            12,
        ),
        (
            "select n from t order by _shard_sequence_id desc limit 3",
            vec!["1597", "1598", "1599"],
            12,
        ),
        ("select n from t order by _message_timestamp limit 2", vec!["0", "1"], 12),
    ] {
        let (world, _) = a_hundred_pages();
        assert_eq!(world.rows(sql).await.unwrap(), rows, "{sql}");
        let calls = world.source.calls().read;
        assert!(calls <= most, "{sql}: {calls} calls");
    }
}

#[tokio::test]
async fn a_number_that_is_no_records_is_no_place_to_begin_at() {
    let (world, _) = a_hundred_pages();
    let numbers = world.rows("select sequence_number(_shard_sequence_id) from t").await.unwrap();
    let numbers: Vec<u128> = numbers.iter().map(|number| number.parse().unwrap()).collect();
    let between = numbers
        .iter()
        .map(|number| number + 1)
        .find(|number| !numbers.contains(number))
        .unwrap();
    let above = numbers.iter().filter(|number| **number > between).count();
    for order in ["_message_timestamp desc", "_shard_sequence_id desc", "n desc"] {
        for (condition, count) in [(format!("= {between}"), 0), (format!(">= {between}"), above)] {
            // a process that has read nothing
            let cold = World::over(Arc::clone(&world.source));
            let sql = format!("select n from t where _shard_sequence_id {condition} order by {order} limit 2000");
            assert_eq!(cold.rows(&sql).await.unwrap().len(), count, "{sql}");
        }
    }
}

#[tokio::test]
async fn slack_decides_what_out_of_order_records_are_found() {
    let (world, now) = a_hundred_pages();
    // in the shard it is the last, by its time among the first
    let shard = world.source.shard_ids()[0].clone();
    let late = now - 1_200_000;
    world.source.put_as(&shard, Some("key"), Some(late), b"{\"n\":-1}").unwrap();
    let time = |ms: i64| {
        chrono::DateTime::from_timestamp_millis(ms)
            .unwrap()
            .format("%Y-%m-%dT%H:%M:%S%.3f")
            .to_string()
    };
    let condition = format!("_message_timestamp between '{}' and '{}'", time(late - 2_500), time(late + 2_500));
    for (slack, expected, most) in [("10s", 5, 100), ("unbounded", 6, 5_000), ("30m", 6, 5_000)] {
        let cold = World::over(Arc::clone(&world.source));
        let before = cold.source.calls().records;
        let sql = format!("/*+ arrival_slack='{slack}' */ select n from t where {condition}");
        let rows = cold.rows(&sql).await.unwrap();
        assert_eq!((rows.len(), rows.contains(&"-1".to_owned())), (expected, expected == 6), "{slack}");
        let read = cold.source.calls().records - before;
        assert!(read < most, "{slack}: {read} records");
    }
}

#[tokio::test]
async fn times_on_both_sides_bound_what_is_read() {
    let (_, now) = a_hundred_pages();
    let at = |seconds: i64| {
        chrono::DateTime::from_timestamp_millis(now - seconds * 1000)
            .unwrap()
            .format("%Y-%m-%dT%H:%M:%S%.3f")
            .to_string()
    };
    for condition in [
        format!("_message_timestamp between timestamp '{}' and timestamp '{}'", at(999), at(990)),
        format!("_message_timestamp >= '{}' and _message_timestamp < '{}Z'", at(999), at(989)),
        format!(
            "cast(_message_timestamp as timestamp) >= '{}' and _message_timestamp <= '{}'",
            at(999),
            at(990)
        ),
        format!(
            "_message_timestamp in (timestamp '{}', timestamp '{}') or n = -1 and _message_timestamp = '{}'",
            at(999),
            at(990),
            at(995)
        ),
    ] {
        let (world, began) = a_hundred_pages();
        assert!(began - now < 500, "the worlds lie too far apart");
        let rows = world.rows(&format!("select n from t where {condition}")).await.unwrap();
        assert!(rows.len() <= 10, "{condition}: {rows:?}");
        let calls = world.source.calls();
        assert!(calls.records < 120, "{condition}: {calls:?}");
    }
}
