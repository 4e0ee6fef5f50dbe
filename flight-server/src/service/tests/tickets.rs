use std::time::SystemTime;

use arrow_flight::sql::{ActionClosePreparedStatementRequest, Any, CommandPreparedStatementQuery, TicketStatementQuery};
use tonic::Code;

use super::*;
use crate::engine::{OptionValues, Principal, QueryPart, SessionId};
use crate::service::ticket::{Content, PreparedHandle, seal_ticket};

fn handle(ticket: &Ticket) -> Bytes {
    let any = Any::decode(&*ticket.ticket).unwrap();
    any.unpack::<TicketStatementQuery>().unwrap().unwrap().statement_handle
}

fn ticket(handle: Vec<u8>) -> Ticket {
    let ticket = TicketStatementQuery {
        statement_handle: handle.into(),
    };
    Ticket::new(ticket.as_any().encode_to_vec())
}

pub(super) fn part() -> Content {
    Content::Part(Box::new(QueryPart {
        query_id: "query".into(),
        sql: "numbers".into(),
        options: OptionValues::default(),
        now_ns: 0,
        tables: vec![],
        files: vec![],
        part: 0,
        parts: 1,
        principal: "anonymous".into(),
        consumption: None,
        parameters: None,
        scratch: Default::default(),
    }))
}

#[tokio::test]
async fn tickets_cannot_be_read_or_changed() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "numbers").await.unwrap();
    let real = tickets(&info).remove(0);
    for secret in ["numbers", "anonymous", "query_id"] {
        assert!(
            !real.ticket.windows(secret.len()).any(|window| window == secret.as_bytes()),
            "{secret}"
        );
    }
    let sealed = handle(&real);
    // In the nonce, in the first and last byte of the ciphertext, in the expiry, in the kind.
    for byte in [1, 5, 12, 34, sealed.len() - 1] {
        let mut forged = sealed.to_vec();
        forged[byte] ^= 1;
        let error = fetch(&mut client, ticket(forged)).await.err().unwrap();
        assert_eq!(error.code(), Code::Unauthenticated, "byte {byte}");
    }
    for forged in [vec![], b"numbers".to_vec(), vec![1; 200]] {
        assert_eq!(
            fetch(&mut client, ticket(forged)).await.err().unwrap().code(),
            Code::Unauthenticated
        );
    }
    assert_eq!(
        fetch(&mut client, Ticket::new("garbage")).await.err().unwrap().code(),
        Code::InvalidArgument
    );
    assert_eq!(
        fetch(&mut client, Ticket::new(query("numbers").cmd)).await.err().unwrap().code(),
        Code::InvalidArgument
    );
    assert!(fetch(&mut client, real).await.is_ok());
}

#[tokio::test]
async fn an_expired_ticket_says_so() {
    let config = ServiceConfig {
        ticket_ttl: Duration::ZERO,
        ..ServiceConfig::default()
    };
    let server = TestServer::with(KEY, config, PATIENCE).await;
    let mut client = server.client().await;
    let info = plan(&mut client, "numbers").await.unwrap();
    let error = fetch(&mut client, tickets(&info).remove(0)).await.err().unwrap();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "ticket expired"));
}

#[tokio::test]
async fn what_is_another_principals_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let (sealer, later) = (Sealer::with_key(KEY), SystemTime::now() + PATIENCE);
    let (alice, session) = (Principal("alice".into()), SessionId("s".into()));
    let foreign = seal_ticket(&sealer, part(), &alice, later).unwrap();
    assert_eq!(fetch(&mut client, foreign).await.err().unwrap().code(), Code::PermissionDenied);
    let own = seal_ticket(&sealer, part(), &Principal::anonymous(), later).unwrap();
    assert!(fetch(&mut client, own).await.is_ok());
    let prepared = PreparedHandle::new("numbers".into(), &alice, &session)
        .seal(&sealer, later)
        .unwrap();
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: prepared.clone(),
    };
    let error = client.get_flight_info(descriptor(&command)).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    let close = ActionClosePreparedStatementRequest {
        prepared_statement_handle: prepared,
    };
    let error = act(&mut client, "ClosePreparedStatement", close.as_any().encode_to_vec())
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
}

#[tokio::test]
async fn a_sealed_thing_is_good_for_its_own_use_only() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let info = plan(&mut client, "numbers").await.unwrap();
    let command = CommandPreparedStatementQuery {
        prepared_statement_handle: handle(&tickets(&info)[0]),
    };
    let error = client.get_flight_info(descriptor(&command)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn tickets_and_handles_outlive_a_restart_with_the_same_key() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("ticket.key");
    Sealer::open_or_create(&key_file).unwrap();
    let key: [u8; 32] = std::fs::read(&key_file).unwrap().try_into().unwrap();
    let before = TestServer::with(key, ServiceConfig::default(), PATIENCE).await;
    let mut client = before.client().await;
    let response = client.get_flight_info(query("numbers")).await.unwrap();
    let bearer = response.metadata().get("authorization").unwrap().to_str().unwrap().to_owned();
    let ticket = tickets(response.get_ref()).remove(0);
    drop((client, before));

    let after = TestServer::with(key, ServiceConfig::default(), PATIENCE).await;
    let mut client = after.client().await;
    assert_eq!(fetch(&mut client, ticket.clone()).await.unwrap().numbers().len(), 12);
    // With the token of a session that the restart ended, too: a ticket needs no session.
    let old = [("authorization", bearer.as_str())];
    assert!(fetch(&mut client, with_headers(ticket.clone(), &old)).await.is_ok());
    // A statement does, and its options would be lost.
    let error = client.get_flight_info(with_headers(query("numbers"), &old)).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(error.message().contains("session expired"), "{}", error.message());

    let other = TestServer::with([1; 32], ServiceConfig::default(), PATIENCE).await;
    let mut client = other.client().await;
    assert_eq!(fetch(&mut client, ticket).await.err().unwrap().code(), Code::Unauthenticated);
}
