//! PollFlightInfo: everything at once, then how far it is.

use arrow_flight::PollInfo;
use arrow_flight::sql::CommandGetTables;
use tonic::Code;

use super::stub::SHARDS;
use super::*;

async fn poll(client: &mut Client, descriptor: FlightDescriptor) -> Result<PollInfo, Status> {
    client.poll_flight_info(descriptor).await.map(Response::into_inner)
}

#[tokio::test]
async fn all_endpoints_are_there_from_the_first_answer_on() {
    let server = TestServer::start().await;
    // Whoever polls reads all endpoints, whatever its name.
    let mut client = server.client_as("grpc-go/1.58.3").await;
    let first = poll(&mut client, query("slow")).await.unwrap();
    let info = first.info.clone().unwrap();
    assert_eq!(info.endpoint.len(), SHARDS as usize);
    assert_eq!(info.flight_descriptor, Some(query("slow")));
    assert_eq!(first.progress, Some(0.5));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let expires = u64::try_from(first.expiration_time.unwrap().seconds).unwrap();
    assert!((28..=31).contains(&expires.saturating_sub(now.as_secs())), "{expires}");
    assert_eq!(fetch_all(&mut client, &info).await.unwrap().len(), 12, "rows before the end");

    // Any connection, and any process with the same key, goes on with it.
    let other = TestServer::start().await;
    let mut next = first.flight_descriptor.clone().unwrap();
    let mut elsewhere = other.client().await;
    let again = poll(&mut elsewhere, next.clone()).await.unwrap();
    assert_eq!(again.info, first.info, "tickets do not change");
    let mut answers = 0;
    let last = loop {
        let answer = poll(&mut client, next).await.unwrap();
        assert_eq!(answer.info, first.info);
        answers += 1;
        match answer.flight_descriptor.clone() {
            Some(descriptor) => next = descriptor,
            None => break answer,
        }
    };
    assert_eq!((answers, last.progress, last.expiration_time), (2, Some(1.0), None));
}

#[tokio::test]
async fn what_takes_no_time_is_done_at_once() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let tables = CommandGetTables::default();
    for descriptor in [query("numbers"), query("show x"), query("set schema default"), descriptor(&tables)] {
        let answer = poll(&mut client, descriptor).await.unwrap();
        assert!(answer.flight_descriptor.is_none() && answer.info.is_some());
        assert_eq!(answer.progress, Some(1.0));
    }
    assert_eq!(poll(&mut client, query("missing")).await.unwrap_err().code(), Code::NotFound);
}

#[tokio::test]
async fn descriptors_cannot_be_made_up() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let first = poll(&mut client, query("slow")).await.unwrap();
    let mut changed = first.flight_descriptor.clone().unwrap().cmd.to_vec();
    *changed.last_mut().unwrap() ^= 1;
    let error = poll(&mut client, FlightDescriptor::new_cmd(changed)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let stranger = TestServer::with([7; 32], ServiceConfig::default(), PATIENCE).await;
    let error = poll(&mut stranger.client().await, first.flight_descriptor.unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn cancelling_the_plan_ends_the_fetching() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let first = poll(&mut client, query("slow")).await.unwrap();
    let request = arrow_flight::CancelFlightInfoRequest::new(first.info.unwrap());
    let answer = act(&mut client, "CancelFlightInfo", request.encode_to_vec()).await.unwrap();
    let result = arrow_flight::CancelFlightInfoResult::decode(answer.into_inner()[0].clone()).unwrap();
    assert_eq!(result.status, i32::from(arrow_flight::CancelStatus::Cancelled));
}
