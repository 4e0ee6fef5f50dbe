//! Whatever bytes a client sends, it is told what is wrong with them: no call breaks off, hangs, or is our mistake.

use arrow_flight::sql::{CommandGetTables, CommandPreparedStatementQuery, TicketStatementQuery};
use arrow_flight::{Criteria, FlightData};
use futures::stream;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::time::timeout;
use tonic::Code;

use super::*;

const ACTIONS: [&str; 10] = [
    "CreatePreparedStatement",
    "ClosePreparedStatement",
    "SetSessionOptions",
    "GetSessionOptions",
    "BeginTransaction",
    "EndTransaction",
    "CancelFlightInfo",
    "CancelQuery",
    "RenewFlightEndpoint",
    "CreatePreparedSubstraitPlan",
];

fn commands() -> Vec<Vec<u8>> {
    let handle = CommandPreparedStatementQuery {
        prepared_statement_handle: Bytes::from_static(&[1; 80]),
    };
    let ticket = TicketStatementQuery {
        statement_handle: Bytes::from_static(&[1; 80]),
    };
    vec![
        query("numbers").cmd.to_vec(),
        handle.as_any().encode_to_vec(),
        ticket.as_any().encode_to_vec(),
        CommandGetTables::default().as_any().encode_to_vec(),
    ]
}

/// Bytes of any kind, or those of a command with some of them changed.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let changed = (prop::sample::select(commands()), changes).prop_map(|(mut bytes, changes)| {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    });
    prop_oneof![prop::collection::vec(any::<u8>(), 0..80), changed]
}

fn checked<T>(call: &str, answer: Result<T, Status>) -> Result<(), TestCaseError> {
    match answer {
        Err(status) if matches!(status.code(), Code::Internal | Code::Unknown | Code::Unavailable | Code::Cancelled) => {
            Err(TestCaseError::fail(format!("{call}: {status}")))
        }
        _ => Ok(()),
    }
}

async fn put(client: &mut Client, messages: Vec<FlightData>) -> Result<(), Status> {
    client
        .do_put(stream::iter(messages))
        .await?
        .into_inner()
        .try_collect::<Vec<_>>()
        .await?;
    Ok(())
}

async fn all_calls(client: &mut Client, bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let descriptor = FlightDescriptor::new_cmd(bytes.clone());
    checked("GetFlightInfo", client.get_flight_info(descriptor.clone()).await)?;
    checked("GetSchema", client.get_schema(descriptor.clone()).await)?;
    checked("PollFlightInfo", client.poll_flight_info(descriptor.clone()).await)?;
    checked("DoGet", fetch(client, Ticket::new(bytes.clone())).await)?;
    let criteria = Criteria {
        expression: bytes.clone().into(),
    };
    checked("ListFlights", client.list_flights(criteria).await)?;
    checked(
        "DoPut",
        put(client, vec![FlightData::new().with_descriptor(descriptor.clone())]).await,
    )?;
    let rows = FlightData::new()
        .with_descriptor(FlightDescriptor::new_cmd(commands().remove(1)))
        .with_data_header(bytes.clone())
        .with_data_body(bytes.clone());
    checked("DoPut of rows", put(client, vec![rows]).await)?;
    for kind in ACTIONS {
        checked(kind, act(client, kind, bytes.clone()).await)?;
    }
    Ok(())
}

#[test]
fn no_bytes_break_a_call() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (server, client) = runtime.block_on(async {
        let server = TestServer::start().await;
        let client = server.client().await;
        (server, client)
    });
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let result = runner.run(&any_bytes(), |bytes| {
        let mut client = client.clone();
        let called = runtime.block_on(async { timeout(PATIENCE, all_calls(&mut client, bytes)).await });
        called.map_err(|_| TestCaseError::fail("a call hangs"))?
    });
    result.unwrap();
    drop(server);
}
