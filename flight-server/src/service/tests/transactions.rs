//! Transactions: a session's, begun and ended by actions.

use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionEndTransactionRequest, Any, CommandStatementQuery, EndTransaction,
    ProstMessageExt,
};
use prost::Message;
use tonic::Code;

use super::stub::TRANSACTION;
use super::*;
use crate::engine::Ending;

async fn end(client: &mut Client, id: &[u8], action: EndTransaction) -> Result<(), Code> {
    let request = ActionEndTransactionRequest {
        transaction_id: Bytes::copy_from_slice(id),
        action: action.into(),
    };
    let ended = act(client, "EndTransaction", request.as_any().encode_to_vec()).await;
    ended
        .map(|results| assert!(results.into_inner().is_empty()))
        .map_err(|status| status.code())
}

#[tokio::test]
async fn a_transaction_is_the_sessions_and_statements_say_that_they_are_in_it() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let begin = ActionBeginTransactionRequest {}.as_any().encode_to_vec();
    let results = act(&mut client, "BeginTransaction", begin).await.unwrap().into_inner();
    let begun: ActionBeginTransactionResult = Any::decode(&*results[0]).unwrap().unpack().unwrap().unwrap();
    assert_eq!(begun.transaction_id, TRANSACTION.as_bytes());
    let statement = CommandStatementQuery {
        query: "numbers".into(),
        transaction_id: Some(begun.transaction_id.clone()),
    };
    client.get_flight_info(descriptor(&statement)).await.unwrap();
    let seen = server.backend.seen.lock().last().cloned().unwrap();
    assert_eq!(seen.transaction.as_deref(), Some(TRANSACTION));
    end(&mut client, &begun.transaction_id, EndTransaction::Commit).await.unwrap();
    end(&mut client, &begun.transaction_id, EndTransaction::Rollback).await.unwrap();
    let session = seen.session;
    assert_eq!(
        *server.backend.ended.lock(),
        [(session.clone(), Ending::Commit), (session, Ending::Rollback)]
    );
    for (id, action, code) in [
        (&b"another"[..], EndTransaction::Commit, Code::FailedPrecondition),
        (b"", EndTransaction::Commit, Code::InvalidArgument),
        (b"\xff", EndTransaction::Commit, Code::FailedPrecondition),
        (TRANSACTION.as_bytes(), EndTransaction::Unspecified, Code::InvalidArgument),
    ] {
        assert_eq!(end(&mut client, id, action).await, Err(code), "{id:?}");
    }
}
