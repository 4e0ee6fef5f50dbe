//! Every command in every call: the status of each pair.

use arrow_flight::FlightData;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandGetCatalogs, CommandGetCrossReference,
    CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes,
    CommandGetTables, CommandGetXdbcTypeInfo, CommandPreparedStatementQuery, CommandPreparedStatementUpdate, CommandStatementIngest,
    CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate, TicketStatementQuery,
};
use futures::stream;
use tonic::Code::{self, FailedPrecondition, InvalidArgument, NotFound, Ok as Fine, PermissionDenied, Unauthenticated, Unimplemented};

use super::tickets::part;
use super::*;
use crate::engine::{Principal, SessionId};
use crate::service::ticket::{PreparedHandle, seal_ticket};

/// GetFlightInfo, GetSchema, PollFlightInfo, DoGet, DoPut.
const CALLS: [&str; 5] = ["GetFlightInfo", "GetSchema", "PollFlightInfo", "DoGet", "DoPut"];

/// A command that is nobody's but DoPut's, or nobody's at all.
const PLANNED_BY_NOBODY: [Code; 4] = [Unimplemented; 4];

fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Fine)
}

async fn call(client: &mut Client, call: &str, command: &[u8]) -> Code {
    let descriptor = FlightDescriptor::new_cmd(command.to_vec());
    match call {
        "GetFlightInfo" => code(client.get_flight_info(descriptor).await),
        "GetSchema" => code(client.get_schema(descriptor).await),
        "PollFlightInfo" => code(client.poll_flight_info(descriptor).await),
        "DoGet" => code(fetch(client, Ticket::new(command.to_vec())).await),
        _ => {
            let first = FlightData::new().with_descriptor(descriptor);
            match client.do_put(stream::iter([first])).await {
                Ok(results) => code(results.into_inner().try_collect::<Vec<_>>().await),
                Err(status) => status.code(),
            }
        }
    }
}

fn bytes(command: &impl ProstMessageExt) -> Vec<u8> {
    command.as_any().encode_to_vec()
}

fn any(type_url: &str, value: &'static [u8]) -> Vec<u8> {
    let any = Any {
        type_url: type_url.into(),
        value: Bytes::from_static(value),
    };
    any.encode_to_vec()
}

async fn prepared(client: &mut Client, sql: &str) -> Bytes {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let bodies = act(client, "CreatePreparedStatement", bytes(&request)).await.unwrap().into_inner();
    let result: ActionCreatePreparedStatementResult = Any::decode(&*bodies[0]).unwrap().unpack().unwrap().unwrap();
    result.prepared_statement_handle
}

fn query_of(handle: Bytes) -> Vec<u8> {
    bytes(&CommandPreparedStatementQuery {
        prepared_statement_handle: handle,
    })
}

fn update_of(handle: Bytes) -> Vec<u8> {
    bytes(&CommandPreparedStatementUpdate {
        prepared_statement_handle: handle,
    })
}

/// By DoPut the first, by all others the second.
fn put(put: Code, others: [Code; 4]) -> [Code; 5] {
    let [info, schema, poll, get] = others;
    [info, schema, poll, get, put]
}

#[tokio::test]
async fn every_command_in_every_call_has_its_status() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let (sealer, later) = (Sealer::with_key(KEY), std::time::SystemTime::now() + PATIENCE);
    let (alice, me, session) = (Principal("alice".into()), Principal::anonymous(), SessionId("s".into()));
    let handle = prepared(&mut client, "numbers").await;
    let setting = prepared(&mut client, "set start latest").await;
    let foreign = PreparedHandle::new("numbers".into(), &alice, &session)
        .seal(&sealer, later)
        .unwrap();
    let old = PreparedHandle::new("numbers".into(), &me, &session)
        .seal(&sealer, std::time::SystemTime::now())
        .unwrap();
    let ticket = |principal: &Principal, expires| seal_ticket(&sealer, part(), principal, expires).unwrap().ticket.to_vec();
    let text = |sql: &str| {
        bytes(&CommandStatementQuery {
            query: sql.into(),
            transaction_id: None,
        })
    };
    let update = |sql: &str| {
        bytes(&CommandStatementUpdate {
            query: sql.into(),
            transaction_id: None,
        })
    };
    let statement = put(Unimplemented, [Fine, Fine, Fine, InvalidArgument]);
    let refused = |code| put(Unimplemented, [code, code, code, InvalidArgument]);
    let metadata = put(Unimplemented, [Fine; 4]);
    let of_ticket = |code| put(Unimplemented, [Unimplemented, Unimplemented, Unimplemented, code]);
    let of_handle = |code| put(code, [code, code, code, InvalidArgument]);
    let broken = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery";
    let matrix: Vec<(&str, Vec<u8>, [Code; 5])> = vec![
        ("a query", text("numbers"), statement),
        ("a query of nothing", text("missing"), refused(NotFound)),
        ("a wrong query", text("bad"), refused(InvalidArgument)),
        ("a session statement", text("set start latest"), statement),
        (
            "a prepared query",
            query_of(handle.clone()),
            put(Fine, [Fine, Fine, Fine, InvalidArgument]),
        ),
        ("a prepared query, cut", query_of(handle.slice(..20)), of_handle(Unauthenticated)),
        (
            "a prepared query, made up",
            query_of(Bytes::from_static(b"numbers")),
            of_handle(Unauthenticated),
        ),
        ("a prepared query, foreign", query_of(foreign.clone()), of_handle(PermissionDenied)),
        ("a prepared query, expired", query_of(old), of_handle(FailedPrecondition)),
        ("an update", update("set start latest"), put(Fine, PLANNED_BY_NOBODY)),
        ("an update that reads", update("numbers"), put(InvalidArgument, PLANNED_BY_NOBODY)),
        ("a wrong update", update("bad"), put(InvalidArgument, PLANNED_BY_NOBODY)),
        ("a prepared update", update_of(setting), put(Fine, PLANNED_BY_NOBODY)),
        (
            "a prepared update that reads",
            update_of(handle),
            put(InvalidArgument, PLANNED_BY_NOBODY),
        ),
        (
            "a prepared update, foreign",
            update_of(foreign),
            put(PermissionDenied, PLANNED_BY_NOBODY),
        ),
        (
            "a prepared update, made up",
            update_of(Bytes::new()),
            put(Unauthenticated, PLANNED_BY_NOBODY),
        ),
        (
            "Substrait",
            bytes(&CommandStatementSubstraitPlan::default()),
            put(Unimplemented, PLANNED_BY_NOBODY),
        ),
        (
            "an ingest without rows or their schema",
            bytes(&CommandStatementIngest::default()),
            put(InvalidArgument, PLANNED_BY_NOBODY),
        ),
        ("catalogs", bytes(&CommandGetCatalogs {}), metadata),
        ("schemas", bytes(&CommandGetDbSchemas::default()), metadata),
        ("tables", bytes(&CommandGetTables::default()), metadata),
        ("table types", bytes(&CommandGetTableTypes {}), metadata),
        ("SQL info", bytes(&CommandGetSqlInfo { info: vec![] }), metadata),
        ("type info", bytes(&CommandGetXdbcTypeInfo::default()), metadata),
        ("primary keys", bytes(&CommandGetPrimaryKeys::default()), metadata),
        ("exported keys", bytes(&CommandGetExportedKeys::default()), metadata),
        ("imported keys", bytes(&CommandGetImportedKeys::default()), metadata),
        ("cross reference", bytes(&CommandGetCrossReference::default()), metadata),
        ("a ticket", ticket(&me, later), of_ticket(Fine)),
        ("a ticket, foreign", ticket(&alice, later), of_ticket(PermissionDenied)),
        (
            "a ticket, expired",
            ticket(&me, std::time::SystemTime::now()),
            of_ticket(FailedPrecondition),
        ),
        (
            "a ticket, made up",
            bytes(&TicketStatementQuery {
                statement_handle: Bytes::from_static(b"numbers"),
            }),
            of_ticket(Unauthenticated),
        ),
        ("nothing", vec![], [InvalidArgument; 5]),
        ("no protobuf", vec![0xff, 0xff], [InvalidArgument; 5]),
        ("a broken command", any(broken, b"\xff\xff"), [InvalidArgument; 5]),
        ("a message of no type", any("", b"x"), [InvalidArgument; 5]),
        (
            "a foreign message",
            any("type.googleapis.com/example.Unknown", b"x"),
            [Unimplemented; 5],
        ),
    ];
    for (name, command, expected) in matrix {
        let mut found = Vec::new();
        for name in CALLS {
            found.push(call(&mut client, name, &command).await);
        }
        assert_eq!(found, expected, "{name}: {CALLS:?}");
    }
}

#[tokio::test]
async fn a_put_without_descriptor_or_message_is_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for messages in [
        vec![],
        vec![FlightData::new()],
        vec![FlightData::new().with_descriptor(FlightDescriptor::new_path(vec!["t".into()]))],
    ] {
        let error = client.do_put(stream::iter(messages)).await.err().unwrap();
        assert_eq!(error.code(), InvalidArgument);
    }
    let error = client.do_exchange(stream::iter([FlightData::new()])).await.err().unwrap();
    assert_eq!(error.code(), Unimplemented);
}
