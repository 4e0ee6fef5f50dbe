use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus};
use tokio::time::timeout;
use tonic::Code;

use super::*;

/// The first two messages of the statement `endless`: the schema and one batch. Nothing follows.
async fn begin(client: &mut Client, request: impl IntoRequest<Ticket> + Send) -> tonic::Streaming<arrow_flight::FlightData> {
    let mut messages = client.do_get(request).await.unwrap().into_inner();
    for _ in 0..2 {
        assert!(messages.message().await.unwrap().is_some());
    }
    messages
}

#[tokio::test]
async fn a_client_that_goes_away_stops_the_backend() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let messages = begin(&mut client, tickets(&info).remove(0)).await;
    drop(messages);
    timeout(PATIENCE, server.backend.dropped.notified())
        .await
        .expect("the rows are dropped");
    // So does one whose connection breaks.
    let messages = begin(&mut client, tickets(&info).remove(0)).await;
    drop((messages, client));
    timeout(PATIENCE, server.backend.dropped.notified())
        .await
        .expect("the rows are dropped");
}

#[tokio::test]
async fn a_silent_stream_is_kept_alive() {
    let config = ServiceConfig {
        keep_alive: Duration::from_millis(10),
        ..ServiceConfig::default()
    };
    let server = TestServer::with(KEY, config, PATIENCE).await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let mut messages = begin(&mut client, tickets(&info).remove(0)).await;
    for _ in 0..3 {
        let message = timeout(PATIENCE, messages.message()).await.unwrap().unwrap().unwrap();
        assert!(!message.data_header.is_empty() && message.app_metadata.is_empty());
    }
}

#[tokio::test]
async fn the_clients_own_timeout_ends_a_stream() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let _messages = begin(&mut client, with_headers(tickets(&info).remove(0), &[("grpc-timeout", "300m")])).await;
    timeout(PATIENCE, server.backend.dropped.notified())
        .await
        .expect("the rows are dropped");
}

#[tokio::test]
async fn cancelling_a_flight_info_ends_its_streams() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let body = CancelFlightInfoRequest::new(info.clone()).encode_to_vec();
    let cancel = async |client: &mut Client| {
        let bodies = act(client, "CancelFlightInfo", body.clone()).await.unwrap().into_inner();
        CancelFlightInfoResult::decode(&*bodies[0]).unwrap().status
    };
    assert_eq!(cancel(&mut client).await, CancelStatus::NotCancellable as i32);
    let mut messages = begin(&mut client, tickets(&info).remove(0)).await;
    assert_eq!(cancel(&mut client).await, CancelStatus::Cancelled as i32);
    let error = timeout(PATIENCE, messages.message()).await.unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled);
    timeout(PATIENCE, server.backend.dropped.notified())
        .await
        .expect("the rows are dropped");
    let mut forged = info;
    forged.endpoint[0].ticket.as_mut().unwrap().ticket = {
        let mut bytes = tickets(&forged).remove(0).ticket.to_vec();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        bytes.into()
    };
    let body = CancelFlightInfoRequest::new(forged).encode_to_vec();
    let error = act(&mut client, "CancelFlightInfo", body).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_shutdown_lets_calls_finish() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let messages = begin(&mut client, tickets(&info).remove(0)).await;
    server.shutdown.cancel();
    assert!(server.serving.try_join_next().is_none(), "a call still runs");
    drop(messages);
    let served = timeout(PATIENCE, server.serving.join_next())
        .await
        .expect("it ends with the last call");
    served.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_ends_what_has_no_end() {
    let mut server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "follow").await.unwrap();
    let mut messages = begin(&mut client, tickets(&info).remove(0)).await;
    server.shutdown.cancel();
    let error = timeout(PATIENCE, messages.message()).await.unwrap().unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::Unavailable, "the server stops"));
    timeout(PATIENCE, server.backend.dropped.notified())
        .await
        .expect("the rows are dropped");
    drop((messages, client));
    let served = timeout(PATIENCE, server.serving.join_next()).await.expect("it ends");
    served.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn what_runs_after_the_drain_is_cut() {
    let mut server = TestServer::with(KEY, ServiceConfig::default(), Duration::ZERO).await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let mut messages = begin(&mut client, tickets(&info).remove(0)).await;
    server.shutdown.cancel();
    assert!(timeout(PATIENCE, messages.message()).await.unwrap().is_err());
    timeout(PATIENCE, server.backend.dropped.notified())
        .await
        .expect("the rows are dropped");
    let served = timeout(PATIENCE, server.serving.join_next()).await.expect("it ends");
    served.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_server_cuts_its_connections() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let mut messages = begin(&mut client, tickets(&info).remove(0)).await;
    let backend = Arc::clone(&server.backend);
    drop(server);
    assert!(timeout(PATIENCE, messages.message()).await.unwrap().is_err());
    timeout(PATIENCE, backend.dropped.notified()).await.expect("the rows are dropped");
}

#[tokio::test]
async fn a_panic_is_an_internal_error_of_its_own_call() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let error = plan(&mut client, "panic when planned").await.unwrap_err();
    assert_eq!(error.code(), Code::Internal);
    let info = plan(&mut client, "panic").await.unwrap();
    let error = fetch(&mut client, tickets(&info).remove(0)).await.err().unwrap();
    assert_eq!(error.code(), Code::Internal);
    assert!(plan(&mut client, "numbers").await.is_ok());
}
