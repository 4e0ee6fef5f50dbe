//! Every command in every call.

use arrow_flight::sql::{
    Any, CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo, CommandStatementIngest,
    CommandStatementQuery, CommandStatementSubstraitPlan, CommandStatementUpdate, TicketStatementQuery,
};
use arrow_flight::{Criteria, Empty, FlightData, FlightDescriptor, HandshakeRequest, Ticket};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use tonic::Code::{self, FailedPrecondition, InvalidArgument, NotFound, Ok as Fine, PermissionDenied, Unauthenticated, Unimplemented};

use super::{Client, Protocol, agree, as_who, bytes, code, forged, planned, prepared, query_of, text, ticket};

const CALLS: [&str; 5] = ["GetFlightInfo", "GetSchema", "PollFlightInfo", "DoGet", "DoPut"];

async fn call(client: &mut Client, who: &str, call: &str, command: &[u8], headers: &[(&'static str, &str)]) -> Code {
    fn with<T>(who: &str, message: T, headers: &[(&'static str, &str)]) -> tonic::Request<T> {
        let mut request = as_who(who, message);
        for (name, value) in headers {
            request.metadata_mut().insert(*name, value.parse().unwrap());
        }
        request
    }
    let descriptor = FlightDescriptor::new_cmd(command.to_vec());
    match call {
        "GetFlightInfo" => code(client.get_flight_info(with(who, descriptor, headers)).await),
        "GetSchema" => code(client.get_schema(with(who, descriptor, headers)).await),
        "PollFlightInfo" => code(client.poll_flight_info(with(who, descriptor, headers)).await),
        "DoGet" => match client.do_get(with(who, Ticket::new(command.to_vec()), headers)).await {
            Ok(rows) => code(rows.into_inner().try_collect::<Vec<_>>().await),
            Err(status) => status.code(),
        },
        _ => {
            let first = FlightData::new().with_descriptor(descriptor);
            match client.do_put(with(who, stream::iter([first]), headers)).await {
                Ok(results) => code(results.into_inner().try_collect::<Vec<_>>().await),
                Err(status) => status.code(),
            }
        }
    }
}

fn any(type_url: &str, value: &'static [u8]) -> Vec<u8> {
    let any = Any {
        type_url: type_url.into(),
        value: Bytes::from_static(value),
    };
    any.encode_to_vec()
}

fn update(sql: &str) -> Vec<u8> {
    bytes(&CommandStatementUpdate {
        query: sql.into(),
        transaction_id: None,
    })
}

fn in_transaction(id: &'static str) -> Vec<u8> {
    bytes(&CommandStatementQuery {
        query: "select 1".into(),
        transaction_id: Some(Bytes::from_static(id.as_bytes())),
    })
}

/// Of GetFlightInfo, GetSchema and PollFlightInfo; of DoGet; of DoPut.
fn codes(planned: Code, get: Code, put: Code) -> [Code; 5] {
    [planned, planned, planned, get, put]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_in_every_call_has_its_status_over_tls() {
    let protocol = Protocol::start("protocol-commands").await;
    let mut client = protocol.client().await;
    let mine = ticket(&mut client, "ann", "select id from t").await.ticket;
    let foreign = ticket(&mut client, "reader", "select id from t").await.ticket;
    let sealed = |ticket: &[u8]| -> TicketStatementQuery { Any::decode(ticket).unwrap().unpack().unwrap().unwrap() };
    let of = |handle: Vec<u8>| {
        bytes(&TicketStatementQuery {
            statement_handle: handle.into(),
        })
    };
    let handle = prepared(&mut client, "ann", "select id from t").await;
    let foreign_handle = prepared(&mut client, "reader", "select id from t").await;
    let statement = |code| codes(code, InvalidArgument, Unimplemented);
    let metadata = codes(Fine, Fine, Unimplemented);
    let of_ticket = |code| codes(Unimplemented, code, Unimplemented);
    let of_handle = |code| codes(code, InvalidArgument, code);
    let put_only = |code| codes(Unimplemented, Unimplemented, code);
    let broken = "type.googleapis.com/arrow.flight.protocol.sql.CommandStatementQuery";
    let table: Vec<(&str, Vec<u8>, [Code; 5])> = vec![
        ("a query", bytes(&text("select id from t")), statement(Fine)),
        ("of no table", bytes(&text("select id from nothing")), statement(NotFound)),
        ("no SQL", bytes(&text("selekt")), statement(InvalidArgument)),
        ("no text", bytes(&text("")), statement(InvalidArgument)),
        ("a nul", bytes(&text("select '\0' from t where \0")), statement(InvalidArgument)),
        (
            "deep",
            bytes(&text(&format!("select {}1", "(".repeat(20_000)))),
            statement(InvalidArgument),
        ),
        (
            "an option that there is not",
            bytes(&text("/*+ fresness='latest' */ select 1")),
            statement(InvalidArgument),
        ),
        ("a prepared query", bytes(&query_of(&handle)), of_handle(Fine)),
        ("a handle, forged", bytes(&query_of(&forged(&handle))), of_handle(Unauthenticated)),
        (
            "a handle, cut",
            bytes(&query_of(&handle[..handle.len() / 2])),
            of_handle(Unauthenticated),
        ),
        ("a handle, empty", bytes(&query_of(b"")), of_handle(Unauthenticated)),
        ("a handle, foreign", bytes(&query_of(&foreign_handle)), of_handle(PermissionDenied)),
        (
            "a ticket for a handle",
            bytes(&query_of(&sealed(&mine).statement_handle)),
            of_handle(Unauthenticated),
        ),
        ("an update", update("set kinesis.max_seconds = 60"), put_only(Fine)),
        ("an update that reads", update("select id from t"), put_only(InvalidArgument)),
        (
            "an update of no table",
            update("insert into nothing values (1)"),
            put_only(NotFound),
        ),
        (
            "Substrait",
            bytes(&CommandStatementSubstraitPlan::default()),
            put_only(Unimplemented),
        ),
        (
            "an ingest of nothing",
            bytes(&CommandStatementIngest::default()),
            put_only(InvalidArgument),
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
        ("a ticket", mine.to_vec(), of_ticket(Fine)),
        (
            "a ticket, forged",
            of(forged(&sealed(&mine).statement_handle)),
            of_ticket(Unauthenticated),
        ),
        (
            "a ticket, cut",
            of(sealed(&mine).statement_handle[..30].to_vec()),
            of_ticket(Unauthenticated),
        ),
        ("a ticket, foreign", foreign.to_vec(), of_ticket(PermissionDenied)),
        ("a handle for a ticket", of(handle.to_vec()), of_ticket(Unauthenticated)),
        // GetSchema types it, wherever it would run
        (
            "in a transaction that there is not",
            in_transaction("nothing"),
            [FailedPrecondition, Fine, FailedPrecondition, InvalidArgument, Unimplemented],
        ),
        ("nothing", vec![], [InvalidArgument; 5]),
        ("no protobuf", vec![0xff, 0xff], [InvalidArgument; 5]),
        ("much garbage", vec![0xff; 1 << 20], [InvalidArgument; 5]),
        ("a broken command", any(broken, b"\xff\xff"), [InvalidArgument; 5]),
        ("no type", any("", b"x"), [InvalidArgument; 5]),
        (
            "a foreign message",
            any("type.googleapis.com/example.Unknown", b"x"),
            [Unimplemented; 5],
        ),
    ];
    let mut found = Vec::new();
    for (name, command, expected) in &table {
        for (name_of_call, expected) in CALLS.into_iter().zip(*expected) {
            let code = call(&mut client, "ann", name_of_call, command, &[]).await;
            found.push((format!("{name}: {name_of_call}"), code, expected));
        }
    }
    // who is nobody gets nothing, whatever he asks; options are looked at where a statement is
    for (name, command, _) in &table {
        for name_of_call in CALLS {
            let code = call(&mut client, "nobody", name_of_call, command, &[]).await;
            found.push((format!("{name}, of nobody: {name_of_call}"), code, Unauthenticated));
            let wrong = [("authorization", "Bearer wrong")];
            let code = call(&mut client, "nobody", name_of_call, command, &wrong).await;
            found.push((format!("{name}, of a wrong token: {name_of_call}"), code, Unauthenticated));
        }
    }
    let query = bytes(&text("select id from t"));
    for (header, value) in [
        ("x-shardflight-fresness", "latest"),
        ("x-shardflight-freshness", "soon"),
        ("x-shardflight-max-endpoints", "0"),
        ("x-shardflight-dictionaries", "perhaps"),
    ] {
        for name_of_call in &CALLS[..3] {
            let code = call(&mut client, "ann", name_of_call, &query, &[(header, value)]).await;
            found.push((format!("{header}: {value}: {name_of_call}"), code, InvalidArgument));
        }
    }
    for (who, sql, expected) in [
        ("reader", "insert into t (id) values (1)", PermissionDenied),
        ("reader", "drop table t", PermissionDenied),
        ("reader", "select * from kinesis_stream('t')", PermissionDenied),
    ] {
        let code = call(&mut client, who, "GetFlightInfo", &bytes(&text(sql)), &[]).await;
        found.push((format!("{who}: {sql}"), code, expected));
    }
    agree(&found);
    protocol.is_well(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_take_no_command_have_their_status_over_tls() {
    let protocol = Protocol::start("protocol-calls").await;
    let mut client = protocol.client().await;
    let mut found = Vec::new();
    for (who, basic, expected) in [
        ("ann", None, Fine),
        ("nobody", None, Unauthenticated),
        // `ann:wrong`
        ("nobody", Some("Basic YW5uOndyb25n"), Unauthenticated),
        ("nobody", Some("Basic %%%"), Unauthenticated),
        ("nobody", Some("Negotiate x"), Unauthenticated),
    ] {
        let mut request = as_who(who, stream::iter([HandshakeRequest::default()]));
        if let Some(basic) = basic {
            request.metadata_mut().insert("authorization", basic.parse().unwrap());
        }
        let answer = match client.handshake(request).await {
            Ok(answers) => code(answers.into_inner().try_collect::<Vec<_>>().await),
            Err(status) => status.code(),
        };
        found.push((format!("Handshake of {who} with {basic:?}"), answer, expected));
    }
    for (who, expression, expected) in [
        ("ann", &b""[..], Fine),
        ("ann", b"t%", Fine),
        ("ann", b"\xff", InvalidArgument),
        ("nobody", b"", Unauthenticated),
    ] {
        let criteria = Criteria {
            expression: Bytes::from_static(expression),
        };
        let answer = match client.list_flights(as_who(who, criteria)).await {
            Ok(flights) => code(flights.into_inner().try_collect::<Vec<_>>().await),
            Err(status) => status.code(),
        };
        found.push((format!("ListFlights of {who}: {expression:?}"), answer, expected));
    }
    let exchange = client.do_exchange(as_who("ann", stream::iter([FlightData::new()]))).await;
    found.push(("DoExchange".into(), code(exchange), Unimplemented));
    found.push((
        "ListActions of nobody".into(),
        code(client.list_actions(as_who("nobody", Empty {})).await),
        Unauthenticated,
    ));
    found.push(("ListActions".into(), code(client.list_actions(as_who("ann", Empty {})).await), Fine));
    for (path, expected) in [
        (&["t"][..], Fine),
        (&["default", "t"], Fine),
        (&["kinesis", "default", "t"], Fine),
        (&["nothing"], NotFound),
        (&["other", "default", "t"], NotFound),
        (&["a", "b", "c", "d"], InvalidArgument),
        (&[], InvalidArgument),
    ] {
        let descriptor = FlightDescriptor::new_path(path.iter().map(|part| (*part).to_owned()).collect());
        let answer = code(client.get_flight_info(as_who("ann", descriptor)).await);
        found.push((format!("path {path:?}"), answer, expected));
    }
    agree(&found);
    let info = planned(&mut client, "reader", "select count(*) from t").await;
    assert_eq!(info.endpoint.len(), 1);
    protocol.is_well(&mut client).await;
}
