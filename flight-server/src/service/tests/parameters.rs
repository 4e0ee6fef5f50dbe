use arrow::array::{ArrayRef, Int64Array, StringArray};
use arrow::datatypes::{DataType, Field};
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, Any, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, DoPutPreparedStatementResult,
};
use arrow_flight::{FlightData, utils};
use futures::stream;
use tonic::Code;

use super::*;
use crate::service::parameters::LARGEST_BOUND;
use crate::service::wire::CreatePreparedStatementResult;

fn row(numbers: Vec<i64>) -> RecordBatch {
    let words: StringArray = numbers.iter().map(|number| Some(format!("w{number}"))).collect();
    let columns: [(&str, ArrayRef); 2] = [("0", Arc::new(Int64Array::from(numbers))), ("1", Arc::new(words))];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap()
}

fn messages(batch: RecordBatch) -> Vec<FlightData> {
    utils::batches_to_flight_data(&batch.schema(), vec![batch]).unwrap()
}

async fn prepare(client: &mut Client, sql: &str, agent: &[(&'static str, &str)]) -> CreatePreparedStatementResult {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let bodies = act_with(client, "CreatePreparedStatement", request.as_any().encode_to_vec(), agent)
        .await
        .unwrap();
    let any = Any::decode(&*bodies.into_inner().remove(0)).unwrap();
    CreatePreparedStatementResult::decode(&*any.value).unwrap()
}

async fn put(client: &mut Client, command: &impl ProstMessageExt, rest: Vec<FlightData>) -> Result<Bytes, Status> {
    let first = FlightData::new().with_descriptor(descriptor(command));
    let results: Vec<_> = client
        .do_put(stream::iter(std::iter::once(first).chain(rest)))
        .await?
        .into_inner()
        .try_collect()
        .await?;
    Ok(results[0].app_metadata.clone())
}

fn of(handle: &Bytes) -> CommandPreparedStatementQuery {
    CommandPreparedStatementQuery {
        prepared_statement_handle: handle.clone(),
    }
}

async fn bind(client: &mut Client, handle: &Bytes, rest: Vec<FlightData>) -> Result<Bytes, Status> {
    let result = put(client, &of(handle), rest).await?;
    Ok(DoPutPreparedStatementResult::decode(&*result)
        .unwrap()
        .prepared_statement_handle
        .unwrap())
}

/// What the backend was given for the last statement.
fn last(server: &TestServer) -> Option<RecordBatch> {
    server.backend.seen.lock().last().unwrap().parameters.clone()
}

#[tokio::test]
async fn a_bound_handle_holds_its_rows() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handle = prepare(&mut client, "wants", &[]).await.prepared_statement_handle;
    let first = bind(&mut client, &handle, messages(row(vec![1]))).await.unwrap();
    let second = bind(&mut client, &handle, messages(row(vec![2, 3]))).await.unwrap();
    // by another connection, after the other one was bound
    let mut other = server.client().await;
    for (bound, numbers) in [(&first, vec![1]), (&second, vec![2, 3]), (&first, vec![1])] {
        other.get_flight_info(descriptor(&of(bound))).await.unwrap();
        assert_eq!(last(&server), Some(row(numbers)));
    }
    // bound anew, and not at all
    let third = bind(&mut client, &first, messages(row(vec![4]))).await.unwrap();
    client.get_flight_info(descriptor(&of(&third))).await.unwrap();
    assert_eq!(last(&server), Some(row(vec![4])));
    let none = bind(&mut client, &first, vec![]).await.unwrap();
    client.get_flight_info(descriptor(&of(&none))).await.unwrap();
    assert_eq!(last(&server), None);
}

#[tokio::test]
async fn who_ignores_the_new_handle_finds_its_rows_too() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handle = prepare(&mut client, "wants", &[]).await.prepared_statement_handle;
    for numbers in [vec![1], vec![2]] {
        bind(&mut client, &handle, messages(row(numbers.clone()))).await.unwrap();
        client.get_flight_info(descriptor(&of(&handle))).await.unwrap();
        assert_eq!(last(&server), Some(row(numbers)));
    }
    let another = prepare(&mut client, "wants", &[]).await.prepared_statement_handle;
    client.get_flight_info(descriptor(&of(&another))).await.unwrap();
    assert_eq!(last(&server), None);
}

#[tokio::test]
async fn rows_come_in_several_batches_and_go_to_updates_whole() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handle = prepare(&mut client, "set start latest", &[]).await.prepared_statement_handle;
    let update = CommandPreparedStatementUpdate {
        prepared_statement_handle: handle,
    };
    let batches = vec![row(vec![1, 2]), row(vec![3])];
    let rest = utils::batches_to_flight_data(&batches[0].schema(), batches).unwrap();
    put(&mut client, &update, rest).await.unwrap();
    assert_eq!(last(&server), Some(row(vec![1, 2, 3])));
}

#[tokio::test]
async fn types_of_parameters_are_told_and_to_java_as_text_where_nothing_tells() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let schema = |prepared: &CreatePreparedStatementResult| -> Schema {
        Schema::try_from(arrow_flight::IpcMessage(prepared.parameter_schema.clone())).unwrap()
    };
    let fields = |second| vec![Field::new("$1", DataType::Int64, true), Field::new("$2", second, true)];
    let prepared = prepare(&mut client, "wants", &[]).await;
    assert_eq!(schema(&prepared), Schema::new(fields(DataType::Null)));
    for agent in ["grpc-java-netty/1.71.0", "JDBC Flight SQL Driver 19.0.0"] {
        let mut java = server.client_as(agent).await;
        let prepared = prepare(&mut java, "wants", &[]).await;
        assert_eq!(schema(&prepared), Schema::new(fields(DataType::Utf8)), "{agent}");
    }
    assert!(prepare(&mut client, "numbers", &[]).await.parameter_schema.is_empty());
}

#[tokio::test]
async fn too_much_is_refused_before_it_is_kept() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handle = prepare(&mut client, "wants", &[]).await.prepared_statement_handle;
    let text = |bytes: usize| -> RecordBatch {
        let column: ArrayRef = Arc::new(StringArray::from(vec!["x".repeat(bytes)]));
        RecordBatch::try_from_iter_with_nullable([("0", column, true)]).unwrap()
    };
    let fits = bind(&mut client, &handle, messages(text(LARGEST_BOUND - 4096))).await.unwrap();
    assert!(fits.len() > LARGEST_BOUND - 4096);
    for bytes in [LARGEST_BOUND, 5 << 20, 64 << 20] {
        let error = bind(&mut client, &handle, messages(text(bytes))).await.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted, "{bytes}: {}", error.message());
    }
}

#[tokio::test]
async fn a_broken_message_is_the_clients_mistake() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handle = prepare(&mut client, "wants", &[]).await.prepared_statement_handle;
    let good = messages(row(vec![1, 2, 3]));
    for at in 0..good[1].data_header.len() {
        let mut broken = good.clone();
        let mut header = broken[1].data_header.to_vec();
        header[at] ^= 0x55;
        broken[1].data_header = header.into();
        if let Err(error) = bind(&mut client, &handle, broken).await {
            assert_eq!(error.code(), Code::InvalidArgument, "byte {at}: {}", error.message());
        }
    }
    let mut short = good;
    short[1].data_body = short[1].data_body.slice(..8);
    assert_eq!(bind(&mut client, &handle, short).await.unwrap_err().code(), Code::InvalidArgument);
}
