use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus};
use tokio::time::timeout;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

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

#[tokio::test]
async fn health_is_asked_and_watched_by_grpc() {
    let mut server = TestServer::start().await;
    let channel = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let mut health = HealthClient::new(channel.connect().await.unwrap());
    let of = |service: &str| HealthCheckRequest { service: service.into() };
    let (serving, not_serving) = (ServingStatus::Serving as i32, ServingStatus::NotServing as i32);
    for service in ["", "arrow.flight.protocol.FlightService"] {
        assert_eq!(health.check(of(service)).await.unwrap().into_inner().status, serving, "{service}");
    }
    assert_eq!(health.check(of("nobody")).await.unwrap_err().code(), Code::NotFound);
    let mut watched = health.watch(of("")).await.unwrap().into_inner();
    assert_eq!(watched.message().await.unwrap().unwrap().status, serving);
    server.shutdown.cancel();
    let next = timeout(PATIENCE, watched.message()).await.unwrap();
    assert_eq!(next.unwrap().unwrap().status, not_serving);
    drop((watched, health));
    timeout(PATIENCE, server.serving.join_next())
        .await
        .expect("a watch holds nobody up")
        .unwrap()
        .unwrap()
        .unwrap();
}

#[tokio::test]
async fn services_are_reflected() {
    let server = TestServer::start().await;
    let channel = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let mut reflection = ServerReflectionClient::new(channel.connect().await.unwrap());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection
        .server_reflection_info(futures::stream::iter([request]))
        .await
        .unwrap()
        .into_inner();
    let Some(MessageResponse::ListServicesResponse(listed)) = answers.message().await.unwrap().unwrap().message_response else {
        panic!("no list of services");
    };
    let names: Vec<String> = listed.service.into_iter().map(|service| service.name).collect();
    for name in ["arrow.flight.protocol.FlightService", "grpc.health.v1.Health"] {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
}
