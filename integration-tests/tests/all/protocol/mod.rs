//! The protocol, of the program itself over TLS and with logins: for every command, action and put, good and bad, the status that it has.
//!
//! What the bad ones are: garbage, messages of other types, forged and cut tickets and handles, those of another principal, parameters beyond every limit,
//! options that there are not, and callers that are nobody. The service's own tests have the same matrix over a scripted engine.

mod actions;
mod commands;
mod puts;

use std::path::PathBuf;
use std::time::Duration;

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{
    ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any, CommandPreparedStatementQuery, CommandStatementQuery,
    ProstMessageExt,
};
use arrow_flight::{Action, FlightDescriptor, FlightInfo, Ticket};
use bytes::Bytes;
use futures::TryStreamExt as _;
use integration_tests::backends::{Backend, Running};
use integration_tests::environment::scratch_directory;
use integration_tests::kinesis;
use integration_tests::server::Server;
use prost::Message as _;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Code, Request, Status};

use crate::faults::stage::{Stage, create, put};
use crate::security::certificates;

/// Of the table `t`.
pub(crate) const ROWS: i64 = 40;
/// Nothing here takes long, but the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);

/// May do everything; may read `t`.
const WHO: [(&str, &str); 2] = [("ann", "token-of-ann"), ("reader", "token-of-reader")];

pub(crate) type Client = FlightServiceClient<Channel>;

pub(crate) struct Protocol {
    pub(crate) server: Server,
    directory: PathBuf,
    #[expect(dead_code, reason = "held: dropping it ends the service")]
    kinesis: Running,
}

impl Protocol {
    pub(crate) async fn start(name: &str) -> Self {
        let running = Backend::Embedded.start().unwrap();
        let writer = kinesis::client(&running.endpoint);
        create(&writer, "t", 2).await;
        put(&writer, "t", 0..ROWS, |_| {}).await;
        let directory = scratch_directory(name).unwrap();
        certificates(&directory);
        Stage::define(&directory, "t");
        let file = |name: &str| directory.join(name).display().to_string();
        let mut settings = format!(
            "tls: {{ cert: '{}', key: '{}' }}\nscratch: {{ memory: 64MiB }}\nallow: {{ streams: ['*'] }}\nauth:\n  tokens:\n",
            file("cert.pem"),
            file("key.pem")
        );
        for (who, token) in WHO {
            std::fs::write(directory.join(who), token).unwrap();
            settings += &format!("    - {{ name: {who}, token_file: '{}' }}\n", file(who));
        }
        settings += "  access:\n    - { principal: ann, tables: ['*'], streams: ['*'], may: [admin, read, write] }\n    \
                     - { principal: reader, tables: [t], may: [read] }\n";
        Self {
            server: Server::start(&directory, &running.endpoint, &settings).unwrap(),
            directory,
            kinesis: running,
        }
    }

    pub(crate) async fn client(&self) -> Client {
        let authority = Certificate::from_pem(std::fs::read(self.directory.join("ca.pem")).unwrap());
        let endpoint = Endpoint::from_shared(format!("https://localhost:{}", self.server.flight.port())).unwrap();
        let endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority)).unwrap();
        let channel = endpoint.timeout(PATIENCE).connect().await.unwrap();
        FlightServiceClient::new(channel).max_encoding_message_size(usize::MAX)
    }

    /// After all that it answers.
    pub(crate) async fn is_well(&self, client: &mut Client) {
        let info = planned(client, "ann", "select id from t where id >= 0").await;
        let mut bytes = 0;
        for endpoint in info.endpoint {
            let messages = client.do_get(as_who("ann", endpoint.ticket.unwrap())).await.unwrap().into_inner();
            let messages: Vec<_> = messages.try_collect().await.unwrap();
            bytes += messages.iter().map(|message| message.data_body.len()).sum::<usize>();
        }
        assert!(bytes >= ROWS as usize * size_of::<i64>(), "{bytes} bytes of rows");
    }
}

/// A request of somebody; of nobody, if the name is none of [`WHO`].
pub(crate) fn as_who<T>(who: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let token = WHO.iter().find(|(name, _)| *name == who).map_or("", |(_, token)| token);
    if !token.is_empty() {
        let bearer = MetadataValue::try_from(format!("Bearer {token}")).unwrap();
        request.metadata_mut().insert("authorization", bearer);
    }
    request
}

pub(crate) fn code<T>(answer: Result<T, Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

pub(crate) fn bytes(command: &impl ProstMessageExt) -> Vec<u8> {
    command.as_any().encode_to_vec()
}

pub(crate) fn text(sql: &str) -> CommandStatementQuery {
    CommandStatementQuery {
        query: sql.into(),
        transaction_id: None,
    }
}

pub(crate) fn query_of(handle: &[u8]) -> CommandPreparedStatementQuery {
    CommandPreparedStatementQuery {
        prepared_statement_handle: Bytes::copy_from_slice(handle),
    }
}

pub(crate) async fn planned(client: &mut Client, who: &str, sql: &str) -> FlightInfo {
    let descriptor = FlightDescriptor::new_cmd(bytes(&text(sql)));
    client.get_flight_info(as_who(who, descriptor)).await.unwrap().into_inner()
}

pub(crate) async fn ticket(client: &mut Client, who: &str, sql: &str) -> Ticket {
    planned(client, who, sql).await.endpoint.remove(0).ticket.unwrap()
}

pub(crate) async fn act(client: &mut Client, who: &str, kind: &str, body: Vec<u8>) -> Result<Vec<Bytes>, Status> {
    let results = client.do_action(as_who(who, Action::new(kind, body))).await?.into_inner();
    results.map_ok(|result| result.body).try_collect().await
}

pub(crate) async fn prepared(client: &mut Client, who: &str, sql: &str) -> Bytes {
    let request = ActionCreatePreparedStatementRequest {
        query: sql.into(),
        transaction_id: None,
    };
    let bodies = act(client, who, "CreatePreparedStatement", bytes(&request)).await.unwrap();
    let result: ActionCreatePreparedStatementResult = Any::decode(&*bodies[0]).unwrap().unpack().unwrap().unwrap();
    result.prepared_statement_handle
}

/// With one bit of the last byte turned: sealed things are forged so.
pub(crate) fn forged(sealed: &[u8]) -> Vec<u8> {
    let mut forged = sealed.to_vec();
    *forged.last_mut().unwrap() ^= 1;
    forged
}

/// What is said of all that differ, at once.
pub(crate) fn agree<T: PartialEq + std::fmt::Debug>(found: &[(String, T, T)]) {
    let wrong: Vec<_> = found.iter().filter(|(_, found, expected)| found != expected).collect();
    assert!(wrong.is_empty(), "(what, found, expected): {wrong:#?}");
}
