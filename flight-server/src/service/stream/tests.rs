use arrow::array::{DictionaryArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field, Int8Type, Schema};
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder, FlightRecordBatchStream};
use arrow_flight::{FlightInfo, IpcMessage};
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
    rows_of(schema(), deadline)
}

fn rows_of(schema: SchemaRef, deadline: Option<Instant>) -> (Sender, RowStream) {
    let (sender, receiver) = mpsc::channel(8);
    let execution = Execution {
        schema,
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

fn words_schema() -> SchemaRef {
    let words = |name| Field::new_dictionary(name, DataType::Int8, DataType::Utf8, true);
    Arc::new(Schema::new(vec![words("a"), Field::new("n", DataType::Int64, true), words("b")]))
}

fn words(of: &[Option<&str>]) -> RecordBatch {
    let words: DictionaryArray<Int8Type> = of.iter().copied().collect();
    let back: DictionaryArray<Int8Type> = of.iter().rev().copied().collect();
    let numbers = Int64Array::from_iter_values(0..of.len() as i64);
    RecordBatch::try_new(words_schema(), vec![Arc::new(words), Arc::new(numbers), Arc::new(back)]).unwrap()
}

/// The batches that have rows, as a client reads the messages.
async fn read(messages: Vec<FlightData>) -> Vec<RecordBatch> {
    let messages = stream::iter(messages.into_iter().map(Ok));
    let batches: Vec<RecordBatch> = FlightRecordBatchStream::new_from_flight_data(messages).try_collect().await.unwrap();
    batches.into_iter().filter(|batch| batch.num_rows() > 0).collect()
}

#[tokio::test(start_paused = true)]
async fn dictionaries_come_before_any_batch_and_as_they_were_announced() {
    let (sender, mut stream) = rows_of(words_schema(), None);
    let mut messages = vec![stream.next().await.unwrap().unwrap()];
    let info = FlightInfo::new().try_with_schema(&words_schema()).unwrap();
    let announced = IpcMessage(info.schema.clone());
    assert_eq!(Schema::try_from(announced).unwrap(), *words_schema());
    assert!(
        info.schema
            .windows(messages[0].data_header.len())
            .any(|part| part == messages[0].data_header),
        "not the same bytes"
    );
    // silence: two dictionaries and a batch, then the batch alone
    for _ in 0..4 {
        messages.push(stream.next().await.unwrap().unwrap());
    }
    let kinds = |messages: &[FlightData]| -> Vec<bool> { messages.iter().map(is_dictionary).collect() };
    assert_eq!(kinds(&messages), [false, true, true, false, false]);
    let sent = [
        words(&[Some("x"), None, Some("y"), Some("x")]),
        words(&[None, Some("z")]),
        words(&[None]),
    ];
    for batch in &sent {
        sender.send(Ok(batch.clone())).await.unwrap();
    }
    drop(sender);
    messages.extend(stream.try_collect::<Vec<_>>().await.unwrap());
    assert!(!messages.last().unwrap().app_metadata.is_empty());
    let read = read(messages).await;
    assert_eq!(read, sent);
}

fn is_dictionary(message: &FlightData) -> bool {
    let header = arrow::ipc::root_as_message(&message.data_header).unwrap().header_type();
    header == arrow::ipc::MessageHeader::DictionaryBatch
}

#[tokio::test]
async fn a_result_without_rows_has_its_dictionaries() {
    let (sender, stream) = rows_of(words_schema(), None);
    drop(sender);
    let messages: Vec<FlightData> = stream.try_collect().await.unwrap();
    let kinds: Vec<bool> = messages.iter().map(is_dictionary).collect();
    assert_eq!(kinds, [false, true, true, false]);
    assert!(read(messages).await.is_empty());
}

#[tokio::test]
async fn an_error_before_any_dictionary_is_the_last_thing() {
    let (sender, mut stream) = rows_of(words_schema(), None);
    sender.send(Err(EngineError::FailedPrecondition("gone".into()))).await.unwrap();
    drop(sender);
    assert!(stream.next().await.unwrap().is_ok());
    assert_eq!(stream.next().await.unwrap().unwrap_err().code(), Code::FailedPrecondition);
    assert!(stream.next().await.is_none());
    // where the rows so far are wanted, what was read comes before it, and can be read
    let (sender, mut stream) = rows_of(words_schema(), None);
    sender.send(Err(EngineError::Incomplete("cut short".into()))).await.unwrap();
    drop(sender);
    let mut messages = Vec::new();
    let status = loop {
        match stream.next().await.unwrap() {
            Ok(message) => messages.push(message),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::OutOfRange);
    let kinds: Vec<bool> = messages.iter().map(is_dictionary).collect();
    assert_eq!(kinds, [false, true, true, false]);
    assert!(!messages[3].app_metadata.is_empty());
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn pieces_of_a_batch_have_the_words_that_they_use() {
    // 100 words of 64 KiB in 200 rows: 12 MiB in the two columns, were each piece to have them all
    let text = |word: i64| format!("{word}{}", "x".repeat(64 << 10));
    let texts: Vec<String> = (0..100).map(text).collect();
    let of: Vec<Option<&str>> = (0..200).map(|row| Some(texts[row / 2].as_str())).collect();
    let whole = words(&of);
    let (sender, stream) = rows_of(words_schema(), None);
    sender.send(Ok(whole.clone())).await.unwrap();
    drop(sender);
    let messages: Vec<FlightData> = stream.try_collect().await.unwrap();
    let largest = messages.iter().map(|message| message.data_body.len()).max().unwrap();
    assert!(largest <= LARGEST_MESSAGE, "{largest}");
    let total: usize = messages.iter().map(|message| message.data_body.len()).sum();
    assert!(total < 30 << 20, "{total}");
    let read = read(messages).await;
    assert!(read.len() > 10, "{} batches", read.len());
    let plain = |batches: &[RecordBatch]| -> Vec<String> {
        let text = |batch: &RecordBatch| -> Vec<String> {
            let column = batch.column(0).as_dictionary::<Int8Type>().downcast_dict::<StringArray>().unwrap();
            column.into_iter().map(|word| word.unwrap().to_owned()).collect()
        };
        batches.iter().flat_map(text).collect()
    };
    assert_eq!(plain(&read), plain(&[whole]));
}
