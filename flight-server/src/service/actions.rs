//! DoAction: prepared statements, sessions, cancelling. Unknown actions, and those that this version lacks, are UNIMPLEMENTED.
//!
//! Flight SQL's own actions carry their message in an `Any`; Flight's (sessions, CancelFlightInfo) carry it bare.

use std::collections::HashMap;

use arrow_flight::sql::{
    ActionBeginTransactionRequest, ActionBeginTransactionResult, ActionCancelQueryRequest, ActionClosePreparedStatementRequest,
    ActionCreatePreparedStatementRequest, ActionEndTransactionRequest, Any, Command, EndTransaction, ProstMessageExt,
};
use arrow_flight::{Action, ActionType};
use bytes::Bytes;
use prost::Message;
use tonic::Status;

use super::caller::Caller;
use super::flight::Inner;
use super::metadata::default_of;
use super::statements::said_transaction;
use super::status;
use super::wire::{
    CloseSessionRequest, CloseSessionResult, CloseSessionStatus, GetSessionOptionsRequest, GetSessionOptionsResult, SessionOptionError,
    SessionOptionErrorValue, SetSessionOptionsRequest, SetSessionOptionsResult,
};
use crate::engine::{Ending, OptionError, OptionValue, Session};

const CREATE_PREPARED: &str = "CreatePreparedStatement";
const CLOSE_PREPARED: &str = "ClosePreparedStatement";
const SET_OPTIONS: &str = "SetSessionOptions";
const GET_OPTIONS: &str = "GetSessionOptions";
const CLOSE_SESSION: &str = "CloseSession";
const CANCEL: &str = "CancelFlightInfo";
const CANCEL_QUERY: &str = "CancelQuery";
const RENEW: &str = "RenewFlightEndpoint";

const BEGIN: &str = "BeginTransaction";
const END: &str = "EndTransaction";

/// The actions there are, with their messages.
const ACTIONS: [(&str, &str); 10] = [
    (
        CREATE_PREPARED,
        "Checks and types a statement. ActionCreatePreparedStatementRequest -> ActionCreatePreparedStatementResult",
    ),
    (
        CLOSE_PREPARED,
        "Forgets a prepared statement. ActionClosePreparedStatementRequest -> nothing",
    ),
    (
        SET_OPTIONS,
        "Sets options of the session. SetSessionOptionsRequest -> SetSessionOptionsResult",
    ),
    (
        GET_OPTIONS,
        "Options of the session. GetSessionOptionsRequest -> GetSessionOptionsResult",
    ),
    (CLOSE_SESSION, "Ends the session. CloseSessionRequest -> CloseSessionResult"),
    (
        BEGIN,
        "Begins a transaction of the session; nothing is written. ActionBeginTransactionRequest -> ActionBeginTransactionResult",
    ),
    (
        END,
        "Commits or rolls back the session's transaction. ActionEndTransactionRequest -> nothing",
    ),
    (
        CANCEL,
        "Cancels what runs of a query. CancelFlightInfoRequest -> CancelFlightInfoResult",
    ),
    (
        CANCEL_QUERY,
        "Deprecated: CancelFlightInfo. ActionCancelQueryRequest -> ActionCancelQueryResult",
    ),
    (
        RENEW,
        "Makes the ticket of an endpoint good for longer. RenewFlightEndpointRequest -> FlightEndpoint",
    ),
];

/// Sessions' current catalog and schema: always there, set or not.
const CURRENT: [&str; 2] = ["catalog", "schema"];

/// What ListActions answers.
pub(crate) fn list() -> Vec<ActionType> {
    ACTIONS
        .iter()
        .map(|(name, description)| ActionType {
            r#type: (*name).to_owned(),
            description: (*description).to_owned(),
        })
        .collect()
}

impl Inner {
    /// DoAction: the bodies of its results.
    pub(crate) async fn act(&self, caller: &Caller, action: &Action) -> Result<Vec<Bytes>, Status> {
        let kind = action.r#type.as_str();
        match kind {
            CREATE_PREPARED => {
                let request: ActionCreatePreparedStatementRequest = unpack(kind, &action.body)?;
                Ok(vec![self.create_prepared(caller, request).await?])
            }
            CLOSE_PREPARED => {
                let request: ActionClosePreparedStatementRequest = unpack(kind, &action.body)?;
                self.close_prepared(caller, &request.prepared_statement_handle)?;
                Ok(vec![])
            }
            SET_OPTIONS => one(&self.set_options(caller, decode(kind, &action.body)?)?),
            GET_OPTIONS => {
                let _: GetSessionOptionsRequest = decode(kind, &action.body)?;
                one(&self.get_options(caller)?)
            }
            CLOSE_SESSION => {
                let _: CloseSessionRequest = decode(kind, &action.body)?;
                let status = if self.sessions.close(caller)? {
                    CloseSessionStatus::Closed
                } else {
                    CloseSessionStatus::NotCloseable
                };
                one(&CloseSessionResult { status: status.into() })
            }
            CANCEL => one(&self.cancel_flight(caller, decode(kind, &action.body)?).await?),
            CANCEL_QUERY => {
                let request: ActionCancelQueryRequest = unpack(kind, &action.body)?;
                Ok(vec![self.cancel_query(caller, &request).await?])
            }
            RENEW => one(&self.renew(caller, decode(kind, &action.body)?)?),
            BEGIN => {
                let _: ActionBeginTransactionRequest = unpack(kind, &action.body)?;
                let session = self.sessions.of(caller, None)?;
                let id = self.backend.begin_transaction(&session).map_err(|error| status::engine(&error))?;
                let result = ActionBeginTransactionResult {
                    transaction_id: Bytes::copy_from_slice(id.as_bytes()),
                };
                Ok(vec![result.as_any().encode_to_vec().into()])
            }
            END => {
                self.end_transaction(caller, &unpack(kind, &action.body)?).await?;
                Ok(vec![])
            }
            "BeginSavepoint" | "EndSavepoint" => Err(Status::unimplemented(format!("{kind}: transactions have no savepoints"))),
            "CreatePreparedSubstraitPlan" => Err(Status::unimplemented("this server takes SQL, no Substrait plans")),
            other => Err(Status::unimplemented(format!(
                "there is no action `{other}`; ListActions names those there are"
            ))),
        }
    }

    fn set_options(&self, caller: &Caller, request: SetSessionOptionsRequest) -> Result<SetSessionOptionsResult, Status> {
        let session = self.sessions.of(caller, None)?;
        session.check_kept().map_err(|error| status::engine(&error))?;
        let mut errors = HashMap::new();
        for (name, value) in request.session_options {
            let value = value.value.map(OptionValue::from);
            if let Err(error) = session.set_option(&name, value.as_ref()) {
                let kind = match error {
                    OptionError::UnknownName { .. } | OptionError::Retired { .. } => SessionOptionErrorValue::InvalidName,
                    OptionError::InvalidValue { .. } => SessionOptionErrorValue::InvalidValue,
                };
                errors.insert(name, SessionOptionError { value: kind.into() });
            }
        }
        Ok(SetSessionOptionsResult { errors })
    }

    async fn end_transaction(&self, caller: &Caller, request: &ActionEndTransactionRequest) -> Result<(), Status> {
        let ending = match request.action() {
            EndTransaction::Commit => Ending::Commit,
            EndTransaction::Rollback => Ending::Rollback,
            EndTransaction::Unspecified => {
                return Err(Status::invalid_argument("EndTransaction: say whether to commit or to roll back"));
            }
        };
        let id = said_transaction(Some(&request.transaction_id))?
            .ok_or_else(|| Status::invalid_argument("EndTransaction: the request names no transaction"))?;
        let session = self.sessions.of(caller, None)?;
        let ended = self.backend.end_transaction(&session, &id, ending).await;
        ended.map_err(|error| status::engine(&error))
    }

    /// Opens no session: clients ask this to see whether theirs still lives.
    fn get_options(&self, caller: &Caller) -> Result<GetSessionOptionsResult, Status> {
        let session = self.sessions.existing(caller)?;
        let set = session.map(|session| Session::options(&session)).unwrap_or_default();
        let mut session_options: HashMap<String, _> = CURRENT
            .iter()
            .map(|name| ((*name).to_owned(), OptionValue::Text(default_of(name).to_owned()).into()))
            .collect();
        session_options.extend(set.iter().map(|(name, value)| (name.to_owned(), value.clone().into())));
        Ok(GetSessionOptionsResult { session_options })
    }
}

/// The Flight SQL command in a descriptor or ticket.
pub(crate) fn command(bytes: &[u8]) -> Result<Command, Status> {
    let any = Any::decode(bytes).map_err(|error| Status::invalid_argument(format!("no Flight SQL command: {error}")))?;
    if any.type_url.is_empty() {
        return Err(Status::invalid_argument("no Flight SQL command: the message says no type"));
    }
    Command::try_from(any).map_err(|error| Status::invalid_argument(format!("no Flight SQL command: {error}")))
}

fn one<T: Message>(message: &T) -> Result<Vec<Bytes>, Status> {
    Ok(vec![message.encode_to_vec().into()])
}

fn decode<T: Message + Default>(action: &str, body: &[u8]) -> Result<T, Status> {
    T::decode(body).map_err(|error| Status::invalid_argument(format!("{action}: the body cannot be read: {error}")))
}

fn unpack<T: ProstMessageExt>(action: &str, body: &[u8]) -> Result<T, Status> {
    let any: Any = decode(action, body)?;
    any.unpack()
        .map_err(|error| Status::invalid_argument(format!("{action}: the body cannot be read: {error}")))?
        .ok_or_else(|| Status::invalid_argument(format!("{action}: the body is a {}", any.type_url)))
}
