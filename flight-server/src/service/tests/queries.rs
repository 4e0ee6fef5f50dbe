use arrow::array::StringArray;
use arrow::datatypes::{DataType, Int32Type};
use arrow_flight::FlightData;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, Any, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementUpdate, DoPutPreparedStatementResult, DoPutUpdateResult,
};
use futures::stream;
use tonic::Code;

use super::stub::{SHARDS, numbers_schema};
use super::*;
use crate::service::wire::CreatePreparedStatementResult;

const ALL: [i64; 12] = [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32];

#[tokio::test]
async fn a_query_is_one_endpoint_or_one_for_each_shard() {
    let server = TestServer::start().await;
    let mut single = server.client_as("grpc-go/1.58.3").await;
    let info = plan(&mut single, "numbers").await.unwrap();
    assert_eq!((info.endpoint.len(), info.ordered), (1, true));
    assert_eq!(fetch_all(&mut single, &info).await.unwrap(), ALL);

    for agent in [
        "ADBC Flight SQL Driver 1.13.0",
        "JDBC Flight SQL Driver 19.0.0",
        "shardflight/0.1.0",
    ] {
        let mut client = server.client_as(agent).await;
        let info = plan(&mut client, "numbers").await.unwrap();
        assert_eq!((info.endpoint.len(), info.ordered), (SHARDS as usize, false), "{agent}");
        assert_eq!(fetch_all(&mut client, &info).await.unwrap(), ALL);
        // In any order, by any connection, as often as one likes.
        let mut other = server.client().await;
        for (index, ticket) in tickets(&info).into_iter().enumerate().rev() {
            for _ in 0..2 {
                let rows = fetch(&mut other, ticket.clone()).await.unwrap();
                assert_eq!(rows.numbers(), ALL[index * 3..][..3]);
                let facts: serde_json::Value = serde_json::from_slice(&rows.facts).unwrap();
                assert_eq!(facts["query_id"], format!("query part {index}"));
            }
        }
    }
}

#[tokio::test]
async fn a_flight_info_says_what_there_is() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "numbers").await.unwrap();
    assert_eq!(schema_of(&info), *numbers_schema());
    assert_eq!(info.flight_descriptor, Some(query("numbers")));
    assert_eq!((info.total_records, info.total_bytes), (-1, -1));
    assert_eq!(info.app_metadata, r#"{"query_id":"query","shards":[]}"#);
    let endpoint = &info.endpoint[0];
    assert!(endpoint.location.is_empty());
    let expires = endpoint.expiration_time.unwrap().seconds;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert!((now + 3590..=now + 3601).contains(&u64::try_from(expires).unwrap()));
}

#[tokio::test]
async fn headers_set_options_for_one_call() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let headers = [("x-shardflight-endpoints", "shard"), ("x-shardflight-start", "latest")];
    let info = client.get_flight_info(with_headers(query("numbers"), &headers)).await.unwrap();
    assert_eq!(info.into_inner().endpoint.len(), SHARDS as usize);
    assert_eq!(plan(&mut client, "numbers").await.unwrap().endpoint.len(), 1);
    let seen = server.backend.seen.lock().clone();
    assert_eq!(seen[0].overrides.get("start").unwrap().to_text(), "latest");
    assert_eq!((seen[0].per_shard, seen[1].per_shard), (true, false));
    assert!(seen[1].overrides.is_empty());
    let error = client
        .get_flight_info(with_headers(query("numbers"), &[("x-shardflight-strat", "latest")]))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(
        error.message().contains("did you mean `x-shardflight-start`"),
        "{}",
        error.message()
    );
}

#[tokio::test]
async fn the_schema_always_comes_and_equals_the_announced_one() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for sql in ["none", "numbers", "words", "show endpoints", "set endpoints single"] {
        let info = plan(&mut client, sql).await.unwrap();
        let announced = schema_of(&info);
        let rows = fetch(&mut client, tickets(&info).remove(0)).await.unwrap();
        assert_eq!(*rows.schema, announced, "{sql}");
        assert!(!rows.facts.is_empty(), "{sql}");
        assert_eq!(rows.batches.last().unwrap().num_rows(), 0, "{sql}");
        assert!(rows.batches.iter().all(|batch| *batch.schema() == announced), "{sql}");
        let described = client.get_schema(query(sql)).await.unwrap().into_inner();
        assert_eq!(Schema::try_from(&described).unwrap(), announced, "{sql}");
    }
    let words = plan(&mut client, "words").await.unwrap();
    // the engine keeps dictionaries where they are asked for, and its schema is what is announced
    let dictionary = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
    assert_eq!(schema_of(&words).field(0).data_type(), &dictionary);
    let rows = fetch(&mut client, tickets(&words).remove(0)).await.unwrap();
    let column = rows.batches[0].column(0).as_dictionary::<Int32Type>();
    let values: Vec<&str> = column.downcast_dict::<StringArray>().unwrap().into_iter().flatten().collect();
    assert_eq!(values, ["a", "b", "a"]);
}

#[tokio::test]
async fn errors_keep_their_code_and_text() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for (sql, code, message) in [
        ("bad", Code::InvalidArgument, "line 1, column 1: bad"),
        ("missing", Code::NotFound, "there is no table `missing`"),
        ("insert", Code::Unimplemented, "this version does not write"),
        ("down", Code::Unavailable, "Kinesis cannot be reached"),
    ] {
        let error = plan(&mut client, sql).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (code, message));
        assert_eq!(error.metadata().contains_key("retry-after-ms"), code == Code::Unavailable);
        assert_eq!(client.get_schema(query(sql)).await.unwrap_err().code(), code);
    }
    for sql in ["fails", "fails at once"] {
        let info = plan(&mut client, sql).await.unwrap();
        let error = fetch(&mut client, tickets(&info).remove(0)).await.err().unwrap();
        assert_eq!((error.code(), error.message()), (Code::DataLoss, "records are gone"), "{sql}");
    }
}

#[tokio::test]
async fn a_result_that_is_there_travels_in_its_ticket_if_it_fits() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "long 60000").await.unwrap();
    let seen = server.backend.seen.lock().len();
    let rows = fetch(&mut client, tickets(&info).remove(0)).await.unwrap();
    assert_eq!(rows.batches[0].column(0).as_string::<i32>().value(0).len(), 60_000);
    // It ran once, when it was planned.
    assert_eq!(server.backend.seen.lock().len(), seen);
    let facts: serde_json::Value = serde_json::from_slice(&rows.facts).unwrap();
    assert_eq!((&facts["query_id"], &facts["rows"]), (&"done".into(), &1.into()));
    let error = plan(&mut client, "long 70000").await.unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.message().contains("65536 bytes"), "{}", error.message());
}

async fn prepare(client: &mut Client, sql: &str) -> CreatePreparedStatementResult {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let bodies = act(client, "CreatePreparedStatement", request.as_any().encode_to_vec())
        .await
        .unwrap();
    let any = Any::decode(&*bodies.into_inner().remove(0)).unwrap();
    assert!(any.is::<arrow_flight::sql::ActionCreatePreparedStatementResult>());
    CreatePreparedStatementResult::decode(&*any.value).unwrap()
}

#[tokio::test]
async fn prepared_statements_are_typed_and_run() {
    let server = TestServer::start().await;
    let mut client = FlightSqlServiceClient::new_from_inner(server.client().await);
    for sql in ["numbers", "words"] {
        let mut prepared = client.prepare(sql.to_owned(), None).await.unwrap();
        let dataset = prepared.dataset_schema().unwrap().clone();
        assert_eq!(prepared.parameter_schema().unwrap().fields().len(), 0);
        let info = prepared.execute().await.unwrap();
        assert_eq!(schema_of(&info), dataset);
        let rows = fetch(client.inner_mut(), tickets(&info).remove(0)).await.unwrap();
        assert_eq!(*rows.schema, dataset);
        prepared.close().await.unwrap();
    }
    // At prepare nothing is planned or run.
    assert_eq!(server.backend.seen.lock().len(), 2);

    let mut raw = server.client().await;
    let query = prepare(&mut raw, "numbers").await;
    assert_eq!((query.is_update, query.dataset_schema.is_empty()), (Some(false), false));
    let update = prepare(&mut raw, "set start latest").await;
    assert_eq!((update.is_update, update.dataset_schema.is_empty()), (Some(true), true));
}

async fn put(client: &mut Client, command: &impl ProstMessageExt, rest: Vec<FlightData>) -> Result<Bytes, Status> {
    let first = FlightData::new().with_descriptor(descriptor(command));
    let messages = stream::iter(std::iter::once(first).chain(rest));
    let results: Vec<_> = client.do_put(messages).await?.into_inner().try_collect().await?;
    Ok(results[0].app_metadata.clone())
}

#[tokio::test]
async fn set_works_as_an_update_and_queries_do_not() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let update = |query: &str| CommandStatementUpdate {
        query: query.into(),
        transaction_id: None,
    };
    let count = put(&mut client, &update("set start latest"), vec![]).await.unwrap();
    assert_eq!(DoPutUpdateResult::decode(&*count).unwrap().record_count, 0);
    let handle = prepare(&mut client, "set freshness cached").await.prepared_statement_handle;
    let prepared = CommandPreparedStatementUpdate {
        prepared_statement_handle: handle,
    };
    put(&mut client, &prepared, vec![]).await.unwrap();
    for (option, value) in [("start", "latest"), ("freshness", "cached")] {
        let info = plan(&mut client, &format!("show {option}")).await.unwrap();
        let rows = fetch(&mut client, tickets(&info).remove(0)).await.unwrap();
        assert_eq!(rows.batches[0].column(0).as_string::<i32>().value(0), value);
    }
    let planned = server.backend.seen.lock().len();
    assert_eq!(
        put(&mut client, &update("numbers"), vec![]).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        put(&mut client, &update("insert"), vec![]).await.unwrap_err().code(),
        Code::Unimplemented
    );
    assert_eq!(server.backend.seen.lock().len(), planned);
    let ingest = CommandStatementIngest::default();
    assert_eq!(put(&mut client, &ingest, vec![]).await.unwrap_err().code(), Code::InvalidArgument);
    let mut transaction = update("set start latest");
    transaction.transaction_id = Some(Bytes::from_static(b"\xff"));
    assert_eq!(
        put(&mut client, &transaction, vec![]).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
}

#[tokio::test]
async fn an_absence_of_parameters_is_fine() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let handle = prepare(&mut client, "numbers").await.prepared_statement_handle;
    let bind = CommandPreparedStatementQuery {
        prepared_statement_handle: handle.clone(),
    };
    let messages = |batch: RecordBatch| arrow_flight::utils::batches_to_flight_data(&batch.schema(), vec![batch]).unwrap();
    let no_rows = messages(RecordBatch::new_empty(numbers_schema()));
    let no_columns = messages(RecordBatch::new_empty(Arc::new(Schema::empty())));
    for rest in [vec![], no_rows, no_columns] {
        let result = put(&mut client, &bind, rest).await.unwrap();
        let result = DoPutPreparedStatementResult::decode(&*result).unwrap();
        assert_eq!(result.prepared_statement_handle, Some(handle.clone()));
    }
}
