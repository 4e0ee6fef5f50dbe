//! Statements with placeholders: typed, bound, planned and run as literals in their places would be.

use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DictionaryArray, Float64Array, Int32Array, Int64Array, LargeStringArray, NullArray,
    StringArray, StringViewArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{Int8Type, TimeUnit};

use super::*;

fn row(columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .enumerate()
            .map(|(index, column)| (format!("p{index}"), column, true)),
    )
    .unwrap()
}

fn int(value: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![value]))
}

fn text(value: &str) -> ArrayRef {
    Arc::new(StringArray::from(vec![value]))
}

impl World {
    async fn bound(&self, sql: &str, rows: Option<RecordBatch>, per_shard: bool) -> Result<PlannedQuery, EngineError> {
        let request = StatementRequest {
            per_shard,
            parameters: rows,
            ..StatementRequest::new(sql)
        };
        match self.engine.plan(&self.session, request).await? {
            Planned::Query(query) => Ok(query),
            Planned::Done(_) => panic!("{sql} is no query"),
        }
    }

    /// The first column of the rows, as text, of all endpoints in order; every batch has the announced schema.
    async fn values(&self, sql: &str, rows: RecordBatch) -> Result<Vec<Option<String>>, EngineError> {
        let query = self.bound(sql, Some(rows), false).await?;
        let mut values = Vec::new();
        for part in query.parts {
            for batch in self.run(part).await? {
                assert_eq!(batch.schema(), query.schema, "{sql}");
                let column = cast(batch.column(0), &DataType::Utf8).unwrap();
                values.extend(column.as_string::<i32>().iter().map(|value| value.map(str::to_owned)));
            }
        }
        Ok(values)
    }

    /// Records `{"n": i, "word": "wi"}` for i below `count`.
    pub(super) fn filled(shards: usize, count: i64) -> Self {
        let world = Self::new(shards);
        let shards = world.source.open_shards();
        for n in 0..count {
            let shard = &shards[usize::try_from(n).unwrap() % shards.len()];
            world.put(shard, &format!(r#"{{"n": {n}, "word": "w{n}"}}"#));
        }
        world
    }
}

fn some(values: &[&str]) -> Vec<Option<String>> {
    values.iter().map(|value| Some((*value).to_owned())).collect()
}

#[tokio::test]
async fn parameters_are_values_of_their_places() {
    let world = World::filled(2, 10);
    for (sql, columns, expected) in [
        ("select n from t where n = ?", vec![int(3)], vec!["3"]),
        (
            "select n from t where n = $1 or n = $1 + 1 order by n",
            vec![int(3)],
            vec!["3", "4"],
        ),
        (
            "select n from t where n > $2 and n < $1 order by n",
            vec![int(6), int(3)],
            vec!["4", "5"],
        ),
        ("select n from t where word = ?", vec![text("w7")], vec!["7"]),
        ("select n from t where word like ? order by n", vec![text("%2")], vec!["2"]),
        ("select n from t where n in (?, ?) order by n", vec![int(8), int(1)], vec!["1", "8"]),
        (
            "select n from t where n between ? and ? order by n",
            vec![int(8), int(9)],
            vec!["8", "9"],
        ),
        ("select n from t order by n limit ? offset ?", vec![int(2), int(4)], vec!["4", "5"]),
        (
            "select n from t order by n desc limit ?",
            vec![Arc::new(Int32Array::from(vec![1]))],
            vec!["9"],
        ),
        ("select ? || word from t where n = 1", vec![text("x")], vec!["xw1"]),
        ("select sum(n) filter (where n > ?) from t", vec![int(7)], vec!["17"]),
        ("select cast(? as bigint) + 1", vec![text("41")], vec!["42"]),
        // a number is compared as a number, whatever its type
        (
            "select n from t where n < ? order by n",
            vec![Arc::new(Float64Array::from(vec![1.5]))],
            vec!["0", "1"],
        ),
        (
            "select n from t where n = ?",
            vec![Arc::new(Decimal128Array::from(vec![400]).with_precision_and_scale(5, 2).unwrap())],
            vec!["4"],
        ),
        // drivers that send text for everything
        ("select n from t where n = ?", vec![text("5")], vec!["5"]),
        (
            "select n from t where word = ?",
            vec![Arc::new(StringViewArray::from(vec!["w2"]))],
            vec!["2"],
        ),
        (
            "select n from t where word = ?",
            vec![Arc::new(LargeStringArray::from(vec!["w2"]))],
            vec!["2"],
        ),
        (
            "select n from t where word = ?",
            vec![Arc::new(["w6"].into_iter().collect::<DictionaryArray<Int8Type>>())],
            vec!["6"],
        ),
        (
            "select n from t where (n = 1) = ?",
            vec![Arc::new(BooleanArray::from(vec![true]))],
            vec!["1"],
        ),
        // a `?` in a text, a name or a comment is none
        ("select '?' as \"?\" from t where n = ? -- ?", vec![int(0)], vec!["?"]),
    ] {
        assert_eq!(world.values(sql, row(columns)).await.unwrap(), some(&expected), "{sql}");
    }
}

#[tokio::test]
async fn null_is_a_value_of_any_type() {
    let world = World::filled(1, 3);
    let null = || -> ArrayRef { Arc::new(NullArray::new(1)) };
    assert_eq!(world.values("select n from t where n = ?", row(vec![null()])).await.unwrap(), []);
    assert_eq!(
        world
            .values("select coalesce(cast(? as bigint), n) from t where n = 2", row(vec![null()]))
            .await
            .unwrap(),
        some(&["2"])
    );
    assert_eq!(world.values("select ?", row(vec![null()])).await.unwrap(), [None]);
    let typed: ArrayRef = Arc::new(Int64Array::from(vec![None]));
    assert_eq!(
        world
            .values("select n from t where n is not distinct from ?", row(vec![typed]))
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn times_are_bound_in_any_unit_and_as_text() {
    let source = Arc::new(MemorySource::new(1));
    let definition = "
table: t
stream: s
columns:
  - { name: at, path: at, type: timestamp(s) }
";
    let world = World::defined(Arc::clone(&source), definition);
    let shard = source.open_shards()[0].clone();
    for at in ["2026-01-01 00:00:00", "2026-01-01 00:00:01"] {
        world.put(&shard, &format!(r#"{{"at": "{at}"}}"#));
    }
    // a second after the first one
    let micros = TimestampMicrosecondArray::from(vec![1_767_225_601_000_000]);
    let later: ArrayRef = Arc::new(micros);
    let after = "select cast(at as varchar) from t where at >= ?";
    assert_eq!(world.values(after, row(vec![later])).await.unwrap(), some(&["2026-01-01T00:00:01"]));
    assert_eq!(
        world.values(after, row(vec![text("2026-01-01 00:00:01")])).await.unwrap(),
        some(&["2026-01-01T00:00:01"])
    );
    let schema = world
        .engine
        .prepare(&world.session, after, &OptionValues::default(), None)
        .await
        .unwrap()
        .parameters;
    assert_eq!(schema.field(0).data_type(), &DataType::Timestamp(TimeUnit::Second, None));
}

#[tokio::test]
async fn sequence_numbers_are_compared_as_numbers() {
    let world = World::filled(1, 5);
    let all = world.plan("select _shard_sequence_id from t order by 1", false).await.unwrap();
    let batches = world.run(all.parts[0].clone()).await.unwrap();
    let third = batches.iter().flat_map(|batch| {
        batch
            .column(0)
            .as_string::<i32>()
            .iter()
            .flatten()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    let third = third.collect::<Vec<_>>()[2].trim_start_matches('0').to_owned();
    let after = "select n from t where _shard_sequence_id > ? order by n";
    assert_eq!(world.values(after, row(vec![text(&third)])).await.unwrap(), some(&["3", "4"]));
    assert_eq!(
        world
            .values("select n from t where _shard_sequence_id = $1", row(vec![text(&third)]))
            .await
            .unwrap(),
        some(&["2"])
    );
    assert_eq!(
        world
            .values("select n from t where _shard_sequence_id in (?)", row(vec![text(&third)]))
            .await
            .unwrap(),
        some(&["2"])
    );
}

#[tokio::test]
async fn several_rows_are_run_in_their_order() {
    let world = World::filled(3, 12);
    let keys: ArrayRef = Arc::new(Int64Array::from(vec![7, 99, 2, 7]));
    let sql = "select n from t where n >= ? order by n limit 2";
    assert_eq!(
        world.values(sql, row(vec![Arc::clone(&keys)])).await.unwrap(),
        some(&["7", "8", "2", "3", "7", "8"])
    );
    // what the first row prunes the others may need
    assert_eq!(
        world
            .values(
                "select n from t where n = ? and _message_timestamp >= ?",
                row(vec![
                    Arc::new(Int64Array::from(vec![1, 4])),
                    Arc::new(TimestampMicrosecondArray::from(vec![4_000_000_000_000_000, 0]).with_timezone("UTC")),
                ])
            )
            .await
            .unwrap(),
        some(&["4"])
    );
    // whoever reads several endpoints gets one: their order is the answer
    let query = world
        .bound("select n from t where n = ?", Some(row(vec![keys])), true)
        .await
        .unwrap();
    assert_eq!(query.parts.len(), 1);
    let one = world
        .bound("select n from t where n = ?", Some(row(vec![int(1)])), true)
        .await
        .unwrap();
    assert_eq!(one.parts.len(), 3);
    let mut found = Vec::new();
    for part in one.parts {
        found.extend(world.run(part).await.unwrap().iter().map(RecordBatch::num_rows));
    }
    assert_eq!(found.iter().sum::<usize>(), 1);
}

#[tokio::test]
async fn types_are_told_where_they_are_known() {
    let world = World::filled(1, 1);
    for (sql, expected) in [
        ("select n from t where n = ? and word = ?", vec![DataType::Int64, DataType::Utf8]),
        (
            "select n from t where word like $2 and n > $1",
            vec![DataType::Int64, DataType::Utf8],
        ),
        ("select n from t limit ?", vec![DataType::Int64]),
        ("select ?::double", vec![DataType::Float64]),
        ("select ?", vec![DataType::Null]),
        ("select n from t where _shard_sequence_id > ?", vec![DataType::Utf8]),
        ("select n from t where n in (select $1)", vec![DataType::Int64]),
        ("select 1", vec![]),
    ] {
        let prepared = world
            .engine
            .prepare(&world.session, sql, &OptionValues::default(), None)
            .await
            .expect(sql);
        let types: Vec<DataType> = prepared.parameters.fields().iter().map(|field| field.data_type().clone()).collect();
        assert_eq!(types, expected, "{sql}");
        let names: Vec<String> = prepared.parameters.fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, (1..=types.len()).map(|n| format!("${n}")).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_does_not_fit_is_refused_by_the_parameters_name() {
    let world = World::filled(1, 1);
    let two = || Some(row(vec![int(1), int(2)]));
    for (sql, rows, why) in [
        ("select n from t where n = ?", None, "has 1 parameter, and none is bound"),
        ("select n from t where n = ?", two(), "has 1 parameter, and 2 are bound"),
        ("select $3, $1", two(), "has 3 parameters, and 2 are bound"),
        ("select n from t", two(), "has 0 parameters, and 2 are bound"),
        (
            "select n from t where n = ? or n = ?",
            Some(row(vec![int(1), text("one")])),
            "parameter $2:",
        ),
        (
            "select n from t where _message_timestamp > ?",
            Some(row(vec![int(1)])),
            "parameter $1: Int64 is bound",
        ),
        ("select n from t limit ?", Some(row(vec![text("many")])), "parameter $1:"),
        ("select ?, $1", two(), "placeholders of one kind"),
        (
            "explain select ?",
            Some(row(vec![Arc::new(Int64Array::from(vec![1, 2]))])),
            "one row of parameters",
        ),
        ("select ?", Some(row(vec![Arc::new(Int64Array::from(Vec::<i64>::new()))])), "no row"),
        (
            "set kinesis.start = ?",
            Some(row(vec![text("latest")])),
            "only queries, INSERT and CREATE TABLE",
        ),
        (
            "call kinesis.system.cancel_query(?)",
            Some(row(vec![text("x")])),
            "only queries, INSERT and CREATE TABLE",
        ),
        ("select n from t where word ? 'k'", None, "`?` is no operator"),
    ] {
        let error = world.bound(sql, rows, false).await.expect_err(sql);
        assert_eq!(error.category(), ErrorCategory::InvalidArgument, "{sql}: {error}");
        assert!(error.to_string().contains(why), "{sql}: {error}");
    }
    let prepared = world
        .engine
        .prepare(
            &world.session,
            "explain select n from t where n = ?",
            &OptionValues::default(),
            None,
        )
        .await;
    assert_eq!(prepared.unwrap().parameters.fields().len(), 1);
}

#[tokio::test]
async fn bound_values_type_what_nothing_else_does() {
    let world = World::filled(1, 1);
    let described = async |values: Option<RecordBatch>| {
        let prepared = world
            .engine
            .prepare(&world.session, "select $1 as v from t", &OptionValues::default(), values)
            .await;
        prepared.unwrap().schema.unwrap().field(0).data_type().clone()
    };
    assert_eq!(described(Some(row(vec![text("a")]))).await, DataType::Utf8);
    let number: ArrayRef = Arc::new(Int64Array::from(vec![7]));
    assert_eq!(described(Some(row(vec![number]))).await, DataType::Int64);
    assert_ne!(described(None).await, DataType::Int64);
}
