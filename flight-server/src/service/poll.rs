//! PollFlightInfo: a plan at once, and then how far what it reads is fetched.
//!
//! All endpoints are there from the first answer on. The descriptor of the next poll holds this FlightInfo, sealed: every answer gives the very
//! same one, and no poll needs the memory of the process that answered the one before.

use std::time::SystemTime;

use arrow_flight::sql::{Any, Command};
use arrow_flight::{FlightDescriptor, FlightInfo, PollInfo};
use bytes::Bytes;
use prost::Message;
use prost_types::Timestamp;
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::actions::command;
use super::caller::Caller;
use super::flight::Inner;
use super::sealing::SealKind;
use super::status;
use super::ticket::{Content, open_owned, open_ticket, seal};
use crate::engine::{FetchProgress, Principal, QueryPart};

/// Type of the descriptor's `Any`: no command of Flight SQL.
const TYPE_URL: &str = "type.googleapis.com/shardflight.Poll";
const HANDLE: &str = "poll descriptor";

#[derive(Debug, Serialize, Deserialize)]
struct PollHandle {
    principal: String,
    info: ciborium::Value,
}

/// What a descriptor polls for, if it comes from an earlier answer.
pub(crate) fn handle_of(descriptor: &FlightDescriptor) -> Option<Bytes> {
    let any = Any::decode(descriptor.cmd.as_ref()).ok()?;
    (any.type_url == TYPE_URL).then_some(any.value)
}

impl Inner {
    /// The first answer.
    pub(crate) async fn poll_first(&self, caller: &Caller, info: FlightInfo) -> Result<PollInfo, Status> {
        let principal = self.sessions.principal(caller)?;
        self.poll(info, &principal).await
    }

    /// Every other answer.
    pub(crate) async fn poll_next(&self, caller: &Caller, handle: &[u8]) -> Result<PollInfo, Status> {
        let principal = self.sessions.principal(caller)?;
        let handle: PollHandle = open_owned(&self.sealer, SealKind::Poll, HANDLE, handle, &principal, |handle: &PollHandle| {
            &handle.principal
        })?;
        let info = handle
            .info
            .into_bytes()
            .ok()
            .and_then(|bytes| FlightInfo::decode(bytes.as_slice()).ok());
        let info = info.ok_or_else(|| Status::internal("a sealed FlightInfo cannot be read"))?;
        self.poll(info, &principal).await
    }

    async fn poll(&self, info: FlightInfo, principal: &Principal) -> Result<PollInfo, Status> {
        let parts = self.parts(&info, principal)?;
        let fetching = if parts.is_empty() {
            FetchProgress::NOTHING
        } else {
            self.backend.fetch_ahead(&parts).await.map_err(|error| status::engine(&error))?
        };
        let mut answer = PollInfo::new();
        answer.progress = fetching.progress;
        if fetching.done {
            return Ok(answer.with_info(info));
        }
        let handle = PollHandle {
            principal: principal.to_string(),
            info: ciborium::Value::Bytes(info.encode_to_vec()),
        };
        let sealed = seal(
            &self.sealer,
            SealKind::Poll,
            HANDLE,
            &handle,
            SystemTime::now() + self.config.ticket_ttl,
        )?;
        let any = Any {
            type_url: TYPE_URL.to_owned(),
            value: sealed,
        };
        Ok(answer
            .with_info(info)
            .with_descriptor(FlightDescriptor::new_cmd(any.encode_to_vec()))
            .with_expiration_time(Timestamp::from(SystemTime::now() + fetching.lease)))
    }

    /// What the tickets of a FlightInfo read; nothing for statements that ran already, and for metadata.
    pub(crate) fn parts(&self, info: &FlightInfo, principal: &Principal) -> Result<Vec<QueryPart>, Status> {
        let mut parts = Vec::new();
        for ticket in info.endpoint.iter().filter_map(|endpoint| endpoint.ticket.as_ref()) {
            if let Command::TicketStatementQuery(ticket) = command(&ticket.ticket)?
                && let Content::Part(part) = open_ticket(&self.sealer, &ticket.statement_handle, principal)?
            {
                parts.push(*part);
            }
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As in `service::tests::formats`.
    #[test]
    fn polls_are_read_and_written_as_ever() {
        use crate::service::tests::formats::{assert_kept, bytes, ignoring};
        let golden = bytes(include_str!("tests/formats/poll.hex"));
        let handle: PollHandle = assert_kept(&golden);
        assert_eq!(
            (handle.principal.as_str(), handle.info.as_bytes().unwrap().as_slice()),
            ("ann", &b"info"[..])
        );
        // the tickets in it are what rows depend on
        assert_eq!(ignoring::<PollHandle>(&golden), [""]);
    }
}
