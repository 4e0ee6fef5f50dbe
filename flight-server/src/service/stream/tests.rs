use arrow::array::{Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use futures::{FutureExt, TryStreamExt};
use shard_reader::StatementMeter;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::*;
use crate::engine::{EngineError, OnLimit};

const KEEP_ALIVE: Duration = Duration::from_secs(15);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]))
}

fn numbers(range: std::ops::Range<i64>) -> RecordBatch {
    RecordBatch::try_new(schema(), vec![Arc::new(Int64Array::from_iter_values(range))]).unwrap()
}

fn terms(deadline: Option<Instant>) -> StreamTerms {
    StreamTerms {
        keep_alive: KEEP_ALIVE,
        deadline,
        stopping: CancellationToken::new(),
    }
}

type Sender = mpsc::Sender<Result<RecordBatch, EngineError>>;

fn rows(deadline: Option<Instant>) -> (Sender, RowStream) {
    let (sender, receiver) = mpsc::channel(8);
    let execution = Execution {
        schema: schema(),
        batches: ReceiverStream::new(receiver).boxed(),
        facts: ExecutionFacts::new("q".into(), StatementMeter::new(u64::MAX, None), OnLimit::Fail),
        endless: false,
    };
    let stream = RowStream::execution(execution, &terms(deadline)).unwrap();
    (sender, stream)
}

async fn payload(message: FlightData, schema: FlightData) -> DecodedPayload {
    let messages = stream::iter([Ok(schema), Ok(message)]);
    let decoded: Vec<_> = FlightDataDecoder::new(messages).try_collect().await.unwrap();
    decoded.into_iter().last().unwrap().payload
}

#[tokio::test(start_paused = true)]
async fn a_silent_stream_carries_empty_batches() {
    let (sender, mut stream) = rows(None);
    let schema = stream.next().await.unwrap().unwrap();
    let start = Instant::now();
    for beat in 1..=3 {
        let message = stream.next().await.unwrap().unwrap();
        assert_eq!(start.elapsed().as_secs(), 15 * beat);
        assert!(message.app_metadata.is_empty());
        let DecodedPayload::RecordBatch(batch) = payload(message, schema.clone()).await else {
            panic!("no batch");
        };
        assert_eq!(batch.num_rows(), 0);
    }
    sender.send(Ok(numbers(0..3))).await.unwrap();
    assert!(stream.next().now_or_never().is_some());
    drop(sender);
    let last = stream.next().now_or_never().unwrap().unwrap().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&last.app_metadata).unwrap();
    assert_eq!(
        facts,
        serde_json::json!({
            "query_id": "q", "rows": 0, "bytes_cached": 0, "bytes_read": 0, "calls": 0, "outside_event_time": 0,
            "planning_ms": null, "first_row_ms": null, "total_ms": 45_000, "shards": [],
        })
    );
    assert!(stream.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_the_last_thing() {
    let (sender, mut stream) = rows(None);
    sender.send(Ok(numbers(0..1))).await.unwrap();
    sender.send(Err(EngineError::FailedPrecondition("gone".into()))).await.unwrap();
    assert!(stream.next().await.unwrap().is_ok());
    assert!(stream.next().await.unwrap().is_ok());
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::FailedPrecondition, "gone"));
    assert!(stream.next().await.is_none());
    assert!(sender.is_closed());
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_result_says_what_was_read_and_ends_in_an_error() {
    let (sender, mut stream) = rows(None);
    sender.send(Ok(numbers(0..2))).await.unwrap();
    sender.send(Err(EngineError::Incomplete("cut short".into()))).await.unwrap();
    for _ in ["the schema", "the rows"] {
        assert!(stream.next().await.unwrap().unwrap().app_metadata.is_empty());
    }
    let facts = stream.next().await.unwrap().unwrap();
    let facts: serde_json::Value = serde_json::from_slice(&facts.app_metadata).unwrap();
    assert_eq!(facts["query_id"], "q");
    let status = stream.next().await.unwrap().unwrap_err();
    assert_eq!((status.code(), status.message()), (tonic::Code::OutOfRange, "cut short"));
    assert!(stream.next().await.is_none());
    assert!(sender.is_closed());
}

#[tokio::test(start_paused = true)]
async fn deadline_and_cancel_end_it_and_drop_the_rows() {
    let (sender, mut stream) = rows(Some(Instant::now() + Duration::from_secs(40)));
    let mut messages = 0;
    let status = loop {
        match stream.next().await.unwrap() {
            Ok(_) => messages += 1,
            Err(status) => break status,
        }
    };
    // The schema, and empty batches after 15 and 30 s.
    assert_eq!((status.code(), messages), (tonic::Code::DeadlineExceeded, 3));
    assert!(sender.is_closed());

    let (sender, mut stream) = rows(None);
    assert!(stream.next().await.unwrap().is_ok());
    sender.send(Err(EngineError::Cancelled)).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), tonic::Code::Cancelled);
    assert!(stream.next().await.is_none());
    assert!(sender.is_closed());
}

#[test]
fn large_batches_are_split_by_what_they_hold() {
    // 8 bytes a row: 1 Mi rows are 8 MiB and their slice of 8192 rows is 64 KiB, though its buffer is 8 MiB.
    let large = numbers(0..1 << 20);
    let pieces: Vec<RecordBatch> = split(Ok(large.clone())).into_iter().map(Result::unwrap).collect();
    // 9 MiB, an eighth more than there is, in half MiBs: 18 pieces of 58,255 rows, of which the last has what is left
    let sizes: Vec<usize> = pieces.iter().map(RecordBatch::num_rows).collect();
    assert_eq!((sizes.len(), &sizes[..17], sizes[17]), (18, &[58_255; 17][..], 58_241));
    assert_eq!(arrow::compute::concat_batches(&schema(), &pieces).unwrap(), large);
    assert_eq!(split(Ok(large.slice(4096, 8192))).len(), 1);
    assert_eq!(split(Ok(large.slice(0, 0))).len(), 1);
    // large rows that stand together do not end up in one message
    let sizes = [10, 5 << 20, 5 << 20, 10, 3 << 20].into_iter().chain([10; 995]);
    let mixed: StringArray = sizes.map(|size| Some("x".repeat(size))).collect();
    let mixed = RecordBatch::try_from_iter([("s", Arc::new(mixed) as Arc<dyn Array>)]).unwrap();
    let pieces: Vec<RecordBatch> = split(Ok(mixed.clone())).into_iter().map(Result::unwrap).collect();
    assert_eq!(arrow::compute::concat_batches(&mixed.schema(), &pieces).unwrap(), mixed);
    for piece in pieces {
        assert!(piece.num_rows() == 1 || sent_bytes(&piece).unwrap() <= LARGEST_MESSAGE);
    }
    let wide = Arc::new(StringArray::from(vec!["x".repeat(5 << 20)]));
    let wide = RecordBatch::try_from_iter([("s", wide as Arc<dyn Array>)]).unwrap();
    assert_eq!(split(Ok(wide)).len(), 1);
}
