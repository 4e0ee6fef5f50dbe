use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Any, CommandGetTables};
use arrow_flight::{Criteria, FlightEndpoint, RenewFlightEndpointRequest};
use tokio::time::timeout;
use tonic::Code;

use super::stub::{SHARDS, numbers_schema};
use super::*;
use crate::engine::Principal;
use crate::service::ticket::seal_ticket;

fn path(names: &[&str]) -> FlightDescriptor {
    FlightDescriptor::new_path(names.iter().map(|name| (*name).to_owned()).collect())
}

async fn list(client: &mut Client, pattern: &str) -> Result<Vec<FlightInfo>, Status> {
    let criteria = Criteria {
        expression: Bytes::copy_from_slice(pattern.as_bytes()),
    };
    client.list_flights(criteria).await?.into_inner().try_collect().await
}

#[tokio::test]
async fn flights_are_tables_and_their_descriptors_are_planned() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let flights = list(&mut client, "").await.unwrap();
    let paths: Vec<String> = flights
        .iter()
        .map(|info| info.flight_descriptor.clone().unwrap().path.join("."))
        .collect();
    assert_eq!(
        paths,
        ["kinesis.default.numbers", "kinesis.default.words", "kinesis.system.streams"]
    );
    assert_eq!(schema_of(&flights[0]), *numbers_schema());
    assert_eq!(list(&mut client, "num%").await.unwrap().len(), 1);
    assert_eq!(list(&mut client, "none").await.unwrap().len(), 0);
    let wrong = Criteria {
        expression: Bytes::from_static(b"\xff"),
    };
    assert_eq!(client.list_flights(wrong).await.err().unwrap().code(), Code::InvalidArgument);

    let descriptor = flights[0].flight_descriptor.clone().unwrap();
    let info = client.get_flight_info(descriptor.clone()).await.unwrap().into_inner();
    assert_eq!(info.flight_descriptor, Some(descriptor.clone()));
    assert_eq!(fetch_all(&mut client, &info).await.unwrap().len(), 3 * SHARDS as usize);
    let described = client.get_schema(descriptor).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(&described).unwrap(), schema_of(&info));
    for wrong in [path(&["a", "b", "c", "d"]), path(&["a", ""]), FlightDescriptor::default()] {
        assert_eq!(
            client.get_flight_info(wrong.clone()).await.unwrap_err().code(),
            Code::InvalidArgument
        );
        assert_eq!(client.get_schema(wrong).await.unwrap_err().code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn answers_name_their_query() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = client.get_flight_info(query("numbers")).await.unwrap();
    assert_eq!(info.metadata().get("x-query-id").unwrap(), "query");
    let rows = client.do_get(tickets(info.get_ref()).remove(0)).await.unwrap();
    assert_eq!(rows.metadata().get("x-query-id").unwrap(), "query");
}

#[tokio::test]
async fn the_deprecated_cancel_does_the_same() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "endless").await.unwrap();
    let body = ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    };
    let body = body.as_any().encode_to_vec();
    let result = async |client: &mut Client| {
        let bodies = act(client, "CancelQuery", body.clone()).await.unwrap().into_inner();
        let any = Any::decode(&*bodies[0]).unwrap();
        any.unpack::<ActionCancelQueryResult>().unwrap().unwrap().result
    };
    // 3 is NOT_CANCELLABLE, 1 is CANCELLED
    assert_eq!(result(&mut client).await, 3);
    let mut messages = client.do_get(tickets(&info).remove(0)).await.unwrap().into_inner();
    assert!(messages.message().await.unwrap().is_some());
    // from another session
    assert_eq!(result(&mut server.client().await).await, 1);
    let error = loop {
        match timeout(PATIENCE, messages.message()).await.unwrap() {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a cancelled stream does not end well"),
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), Code::Cancelled);
}

async fn renew(client: &mut Client, endpoint: FlightEndpoint) -> Result<FlightEndpoint, Status> {
    let request = RenewFlightEndpointRequest { endpoint: Some(endpoint) };
    let bodies = act(client, "RenewFlightEndpoint", request.encode_to_vec()).await?.into_inner();
    Ok(FlightEndpoint::decode(&*bodies[0]).unwrap())
}

#[tokio::test]
async fn a_ticket_is_renewed_before_it_expires() {
    let config = ServiceConfig {
        ticket_ttl: Duration::from_secs(600),
        ..ServiceConfig::default()
    };
    let server = TestServer::with(KEY, config, PATIENCE).await;
    let mut client = server.client().await;
    let info = plan(&mut client, "numbers").await.unwrap();
    let old = info.endpoint[0].clone();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let renewed = renew(&mut client, old.clone()).await.unwrap();
    let expires = u64::try_from(renewed.expiration_time.unwrap().seconds).unwrap();
    assert!((now + 599..now + 660).contains(&expires));
    assert_ne!(renewed.ticket, old.ticket);
    let rows = |fetched: Fetched| fetched.numbers();
    let first = rows(fetch(&mut client, old.ticket.unwrap()).await.unwrap());
    assert_eq!(rows(fetch(&mut client, renewed.ticket.clone().unwrap()).await.unwrap()), first);

    // a metadata command never expires
    let tables = client
        .get_flight_info(descriptor(&CommandGetTables::default()))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(renew(&mut client, tables.endpoint[0].clone()).await.unwrap(), tables.endpoint[0]);

    let sealer = Sealer::with_key(KEY);
    let content =
        || crate::service::ticket::open_ticket(&sealer, &handle(renewed.ticket.as_ref().unwrap()), &Principal::anonymous()).unwrap();
    let expired = seal_ticket(&sealer, content(), &Principal::anonymous(), std::time::SystemTime::now()).unwrap();
    let foreign = seal_ticket(
        &sealer,
        content(),
        &Principal("alice".into()),
        std::time::SystemTime::now() + PATIENCE,
    )
    .unwrap();
    for (ticket, code) in [
        (Some(expired), Code::FailedPrecondition),
        (Some(foreign), Code::PermissionDenied),
        (None, Code::InvalidArgument),
    ] {
        let endpoint = FlightEndpoint {
            ticket,
            ..FlightEndpoint::default()
        };
        assert_eq!(renew(&mut client, endpoint).await.unwrap_err().code(), code);
    }
}

fn handle(ticket: &Ticket) -> Bytes {
    let any = Any::decode(&*ticket.ticket).unwrap();
    any.unpack::<arrow_flight::sql::TicketStatementQuery>()
        .unwrap()
        .unwrap()
        .statement_handle
}

#[test]
fn no_ticket_is_renewed_for_ever() {
    let sealer = Sealer::with_key(KEY);
    let me = Principal::anonymous();
    let now = std::time::SystemTime::now();
    let ticket = seal_ticket(&sealer, super::tickets::part(), &me, now + PATIENCE).unwrap();
    let (hour, day) = (Duration::from_secs(3600), Duration::from_secs(86_400));
    let (_, expires) = crate::service::ticket::renew_ticket(&sealer, &handle(&ticket), &me, hour, day).unwrap();
    assert!(expires > now + hour - PATIENCE && expires < now + hour + PATIENCE);
    // an age of an hour at most, renewed for a day
    let (_, expires) = crate::service::ticket::renew_ticket(&sealer, &handle(&ticket), &me, day, hour).unwrap();
    assert!(expires < now + hour + PATIENCE);
}

#[tokio::test]
async fn planning_ends_with_the_calls_own_timeout() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let request = with_headers(query("never planned"), &[("grpc-timeout", "400m")]);
    let error = client.get_flight_info(request).await.unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{}", error.message());
    timeout(PATIENCE, server.backend.unplanned.notified())
        .await
        .expect("planning is dropped");
    // and with its client
    let given_up = timeout(Duration::from_millis(100), plan(&mut client, "never planned")).await;
    assert!(given_up.is_err());
    timeout(PATIENCE, server.backend.unplanned.notified())
        .await
        .expect("planning is dropped");
}
