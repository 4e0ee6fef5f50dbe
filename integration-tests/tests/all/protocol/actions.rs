//! Every action.

use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionEndTransactionRequest, Any, EndTransaction,
};
use arrow_flight::{CancelFlightInfoRequest, FlightEndpoint, FlightInfo, RenewFlightEndpointRequest, Ticket};
use bytes::Bytes;
use prost::Message as _;
use tonic::Code::{self, FailedPrecondition, InvalidArgument, Ok as Fine, PermissionDenied, Unauthenticated, Unimplemented};

use super::{Protocol, act, agree, bytes, code, forged, planned, prepared};

fn create(sql: &str) -> Vec<u8> {
    bytes(&ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    })
}

fn close(handle: &[u8]) -> Vec<u8> {
    bytes(&ActionClosePreparedStatementRequest {
        prepared_statement_handle: Bytes::copy_from_slice(handle),
    })
}

fn end(id: &[u8], action: i32) -> Vec<u8> {
    bytes(&ActionEndTransactionRequest {
        transaction_id: Bytes::copy_from_slice(id),
        action,
    })
}

fn cancel(info: Option<FlightInfo>) -> Vec<u8> {
    CancelFlightInfoRequest { info }.encode_to_vec()
}

fn cancel_query(info: &FlightInfo) -> Vec<u8> {
    bytes(&ActionCancelQueryRequest {
        info: info.encode_to_vec().into(),
    })
}

fn renew(endpoint: Option<FlightEndpoint>) -> Vec<u8> {
    RenewFlightEndpointRequest { endpoint }.encode_to_vec()
}

fn with_ticket(ticket: Vec<u8>) -> Option<FlightEndpoint> {
    Some(FlightEndpoint::new().with_ticket(Ticket::new(ticket)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_action_has_its_status_over_tls() {
    let protocol = Protocol::start("protocol-actions").await;
    let mut client = protocol.client().await;
    let (mine, foreign) = (
        planned(&mut client, "ann", "select id from t").await,
        planned(&mut client, "reader", "select id from t").await,
    );
    let endpoint = |info: &FlightInfo| info.endpoint.first().cloned();
    let of = |info: &FlightInfo| info.endpoint[0].ticket.clone().unwrap().ticket.to_vec();
    let (handle, foreign_handle) = (
        prepared(&mut client, "ann", "select id from t").await,
        prepared(&mut client, "reader", "select id from t").await,
    );
    let begin = bytes(&ActionBeginTransactionRequest {});
    let begun = act(&mut client, "ann", "BeginTransaction", begin.clone()).await.unwrap();
    let begun: ActionBeginTransactionResult = Any::decode(&*begun[0]).unwrap().unpack().unwrap().unwrap();
    let id = begun.transaction_id;
    let (commit, rollback) = (EndTransaction::Commit.into(), EndTransaction::Rollback.into());
    let another = create("select 1");
    let garbage = || vec![0xff, 0xff];
    let table: Vec<(&str, &str, Vec<u8>, Code)> = vec![
        ("CreatePreparedStatement", "a query", create("select id from t"), Fine),
        (
            "CreatePreparedStatement",
            "an update",
            create("insert into t (id) values (?)"),
            Fine,
        ),
        (
            "CreatePreparedStatement",
            "of no table",
            create("select id from nothing"),
            Code::NotFound,
        ),
        ("CreatePreparedStatement", "no SQL", create("selekt"), InvalidArgument),
        ("CreatePreparedStatement", "of another type", close(b"x"), InvalidArgument),
        ("ClosePreparedStatement", "a handle", close(&handle), Fine),
        ("ClosePreparedStatement", "forged", close(&forged(&handle)), Unauthenticated),
        ("ClosePreparedStatement", "foreign", close(&foreign_handle), PermissionDenied),
        ("ClosePreparedStatement", "made up", close(b"x"), Unauthenticated),
        ("ClosePreparedStatement", "of another type", another.clone(), InvalidArgument),
        ("SetSessionOptions", "none", vec![], Fine),
        ("GetSessionOptions", "all", vec![], Fine),
        ("BeginTransaction", "again", begin, FailedPrecondition),
        ("BeginTransaction", "of another type", another.clone(), InvalidArgument),
        ("EndTransaction", "without an id", end(b"", commit), InvalidArgument),
        ("EndTransaction", "neither", end(&id, 0), InvalidArgument),
        ("EndTransaction", "of a number that there is not", end(&id, 77), InvalidArgument),
        ("EndTransaction", "another one", end(b"nothing", commit), FailedPrecondition),
        ("EndTransaction", "no text", end(b"\xff", rollback), FailedPrecondition),
        ("EndTransaction", "a rollback", end(&id, rollback), Fine),
        ("EndTransaction", "of another type", another.clone(), InvalidArgument),
        ("CancelFlightInfo", "what does not run", cancel(Some(mine.clone())), Fine),
        ("CancelFlightInfo", "of nothing", cancel(None), InvalidArgument),
        ("CancelFlightInfo", "foreign", cancel(Some(foreign.clone())), PermissionDenied),
        (
            "CancelFlightInfo",
            "without tickets",
            cancel(Some(FlightInfo::new())),
            InvalidArgument,
        ),
        ("CancelQuery", "what does not run", cancel_query(&mine), Fine),
        ("CancelQuery", "foreign", cancel_query(&foreign), PermissionDenied),
        ("CancelQuery", "of another type", another.clone(), InvalidArgument),
        ("RenewFlightEndpoint", "its own", renew(endpoint(&mine)), Fine),
        ("RenewFlightEndpoint", "foreign", renew(endpoint(&foreign)), PermissionDenied),
        (
            "RenewFlightEndpoint",
            "no command",
            renew(with_ticket(b"x".to_vec())),
            InvalidArgument,
        ),
        ("RenewFlightEndpoint", "of a statement", renew(with_ticket(another)), Unimplemented),
        (
            "RenewFlightEndpoint",
            "without a ticket",
            renew(Some(FlightEndpoint::new())),
            InvalidArgument,
        ),
        ("RenewFlightEndpoint", "of nothing", renew(None), InvalidArgument),
        (
            "RenewFlightEndpoint",
            "forged",
            renew(with_ticket(forged(&of(&mine)))),
            Unauthenticated,
        ),
        ("BeginSavepoint", "any", vec![], Unimplemented),
        ("EndSavepoint", "any", vec![], Unimplemented),
        ("CreatePreparedSubstraitPlan", "any", vec![], Unimplemented),
        ("Nothing", "any", garbage(), Unimplemented),
        ("", "any", vec![], Unimplemented),
    ];
    let mut found = Vec::new();
    for (kind, what, body, expected) in &table {
        let answer = code(act(&mut client, "ann", kind, body.clone()).await);
        found.push((format!("{kind}, {what}"), answer, *expected));
    }
    let kinds = [
        "CreatePreparedStatement",
        "ClosePreparedStatement",
        "SetSessionOptions",
        "GetSessionOptions",
        "BeginTransaction",
        "EndTransaction",
        "CancelFlightInfo",
        "CancelQuery",
        "RenewFlightEndpoint",
        "CloseSession",
    ];
    for kind in kinds {
        let answer = code(act(&mut client, "ann", kind, garbage()).await);
        found.push((format!("{kind}, garbage"), answer, InvalidArgument));
        let answer = code(act(&mut client, "nobody", kind, vec![]).await);
        found.push((format!("{kind}, of nobody"), answer, Unauthenticated));
    }
    found.push((
        "CloseSession".into(),
        code(act(&mut client, "ann", "CloseSession", vec![]).await),
        Fine,
    ));
    agree(&found);
    protocol.is_well(&mut client).await;
}
