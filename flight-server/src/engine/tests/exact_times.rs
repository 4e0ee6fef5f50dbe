//! Times compared with parts of their unit; what each condition finds was found by hand.

use datafusion::arrow::array::{ArrayRef, TimestampNanosecondArray};

use super::*;

const SECONDS: &str = "
table: t
stream: s
columns:
  - { name: at, path: at, type: timestamp(s) }
";

impl World {
    /// Seconds of the minute that a condition finds.
    async fn found(&self, condition: &str, parameter: Option<ArrayRef>) -> Vec<i64> {
        let request = StatementRequest {
            parameters: parameter.map(|value| RecordBatch::try_from_iter([("p", value)]).unwrap()),
            ..StatementRequest::new(format!(
                "select cast(date_part('second', at) as bigint) as s from t where {condition} order by s"
            ))
        };
        let Planned::Query(query) = self.engine.plan(&self.session, request).await.expect(condition) else {
            panic!("{condition} is no query")
        };
        let batches = self.run(query.parts[0].clone()).await.expect(condition);
        let column = |batch: &RecordBatch| {
            batch
                .column(0)
                .as_primitive::<datafusion::arrow::datatypes::Int64Type>()
                .values()
                .to_vec()
        };
        batches.iter().flat_map(column).collect()
    }
}

#[tokio::test]
async fn a_part_of_a_second_is_not_cut_off() {
    let source = Arc::new(MemorySource::new(1));
    let world = World::defined(Arc::clone(&source), SECONDS);
    let shard = source.open_shards().remove(0);
    // before the epoch too, where cutting off goes the other way
    for minute in ["2026-01-01 00:00", "1960-01-01 00:00"] {
        for second in 0..3 {
            world.put(&shard, &format!(r#"{{"at": "{minute}:0{second}"}}"#));
        }
    }
    world.put(&shard, r#"{"at": null}"#);
    for (minute, within) in [
        ("2026-01-01 00:00", "at > timestamp '2000-01-01'"),
        ("1960-01-01 00:00", "at < timestamp '2000-01-01'"),
    ] {
        let time = |second: &str| format!("timestamp '{minute}:{second}'");
        let (half, whole, later) = (time("00.5"), time("01"), time("01.5"));
        for (condition, expected) in [
            (format!("at >= {half}"), vec![1, 2]),
            (format!("at > {half}"), vec![1, 2]),
            (format!("at < {half}"), vec![0]),
            (format!("at <= {half}"), vec![0]),
            (format!("at = {half}"), vec![]),
            (format!("at <> {half}"), vec![0, 1, 2]),
            (format!("{half} < at"), vec![1, 2]),
            (format!("{later} >= at"), vec![0, 1]),
            (format!("at < {whole}"), vec![0]),
            (format!("at <= {whole}"), vec![0, 1]),
            (format!("at between {half} and {later}"), vec![1]),
            (format!("at not between {half} and {later}"), vec![0, 2]),
            (format!("at between {whole} and {later}"), vec![1]),
            (format!("at in ({half}, {whole})"), vec![1]),
            (format!("at in ({half}, {later})"), vec![]),
            (format!("at not in ({half}, {whole})"), vec![0, 2]),
            (format!("at not in ({half}, {later})"), vec![0, 1, 2]),
            (format!("at is distinct from {half}"), vec![0, 1, 2]),
            (format!("at < {whole} - interval '500 milliseconds'"), vec![0]),
            (format!("not (at < {half})"), vec![1, 2]),
        ] {
            assert_eq!(
                world.found(&format!("{within} and ({condition})"), None).await,
                expected,
                "{condition}"
            );
        }
    }
    let half: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_767_225_600_500_000_000]));
    assert_eq!(world.found("at < ? and at > timestamp '2000-01-01'", Some(half)).await, [0]);
}
