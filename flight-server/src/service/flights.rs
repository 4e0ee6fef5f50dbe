//! Actions about flights that were planned: cancelling them, and making their tickets good for longer.

use std::time::Duration;

use arrow_flight::sql::{ActionCancelQueryRequest, ActionCancelQueryResult, Command, ProstMessageExt};
use arrow_flight::{CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightEndpoint, FlightInfo, RenewFlightEndpointRequest};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;
use tonic::Status;

use super::actions::command;
use super::caller::Caller;
use super::flight::{Inner, no_command};
use super::ticket::{open_ticket, renew_ticket};

/// A ticket is renewed up to this age; or to the lifetime of one that was not, if that is longer. A stream keeps records for 24 hours unless it
/// is told otherwise.
const LONGEST_LIFE: Duration = Duration::from_secs(86_400);

impl Inner {
    /// CancelFlightInfo, by any session of the same principal.
    pub(crate) async fn cancel_flight(&self, caller: &Caller, request: CancelFlightInfoRequest) -> Result<CancelFlightInfoResult, Status> {
        let info = request
            .info
            .ok_or_else(|| Status::invalid_argument("CancelFlightInfo: the request has no FlightInfo"))?;
        Ok(CancelFlightInfoResult::new(self.cancelled(caller, info).await?))
    }

    /// CancelQuery: the same, as clients did before there was CancelFlightInfo.
    pub(crate) async fn cancel_query(&self, caller: &Caller, request: &ActionCancelQueryRequest) -> Result<Bytes, Status> {
        let info = FlightInfo::decode(&*request.info)
            .map_err(|error| Status::invalid_argument(format!("CancelQuery: the FlightInfo cannot be read: {error}")))?;
        // the numbers of both enumerations are the same
        let result = i32::from(self.cancelled(caller, info).await?);
        Ok(ActionCancelQueryResult { result }.as_any().encode_to_vec().into())
    }

    /// The tickets in the FlightInfo say which query, and that the caller may cancel it. What runs no more is not cancellable.
    async fn cancelled(&self, caller: &Caller, info: FlightInfo) -> Result<CancelStatus, Status> {
        let principal = self.sessions.principal(caller)?;
        if info.endpoint.is_empty() {
            return Err(Status::invalid_argument("the FlightInfo has no endpoint, so it names no query"));
        }
        let mut queries = Vec::new();
        for endpoint in info.endpoint {
            let ticket = endpoint
                .ticket
                .ok_or_else(|| Status::invalid_argument("an endpoint of the FlightInfo has no ticket"))?;
            if let Command::TicketStatementQuery(ticket) = command(&ticket.ticket)? {
                queries.push(
                    open_ticket(&self.sealer, &ticket.statement_handle, &principal)?
                        .query_id()
                        .to_owned(),
                );
            }
        }
        queries.dedup();
        let mut cancelled = false;
        for query in queries {
            cancelled |= self.cancel_everywhere(&principal, &query).await;
        }
        Ok(if cancelled {
            CancelStatus::Cancelled
        } else {
            CancelStatus::NotCancellable
        })
    }

    /// RenewFlightEndpoint. The endpoint of a metadata command never expires, and stays as it is.
    pub(crate) fn renew(&self, caller: &Caller, request: RenewFlightEndpointRequest) -> Result<FlightEndpoint, Status> {
        let principal = self.sessions.principal(caller)?;
        let mut endpoint = request
            .endpoint
            .ok_or_else(|| Status::invalid_argument("RenewFlightEndpoint: the request has no endpoint"))?;
        let ticket = endpoint
            .ticket
            .as_ref()
            .ok_or_else(|| Status::invalid_argument("RenewFlightEndpoint: the endpoint has no ticket"))?;
        match command(&ticket.ticket)? {
            Command::TicketStatementQuery(ticket) => {
                let ttl = self.config.ticket_ttl;
                let (ticket, expires) = renew_ticket(&self.sealer, &ticket.statement_handle, &principal, ttl, ttl.max(LONGEST_LIFE))?;
                endpoint.ticket = Some(ticket);
                endpoint.expiration_time = Some(Timestamp::from(expires));
            }
            // a command that is its own ticket is good for ever
            command if self.metadata(caller, &command)?.is_some() => {}
            command => return Err(no_command("RenewFlightEndpoint", &command)),
        }
        Ok(endpoint)
    }
}
