//! A plain Flight SQL client.

use std::net::SocketAddr;

use anyhow::Context as _;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::sql::EndTransaction;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use bytes::Bytes;
use futures::TryStreamExt as _;
use tonic::transport::Channel;

/// How a client reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// One endpoint per statement.
    Single,
    /// One endpoint per shard where the statement allows; the answer is the endpoints' rows, last endpoint first.
    PerShard,
}

/// One connection, which is one session.
#[derive(Debug)]
pub struct Client {
    mode: Mode,
    client: FlightSqlServiceClient<Channel>,
}

/// A result, whole.
#[derive(Debug)]
pub struct Answer {
    /// The schema that was announced.
    pub schema: SchemaRef,
    /// Rows, each batch with that schema.
    pub batches: Vec<RecordBatch>,
    /// Endpoints that the rows came from.
    pub endpoints: usize,
}

impl Client {
    /// Connects.
    pub async fn connect(address: SocketAddr, mode: Mode) -> anyhow::Result<Self> {
        let channel = Channel::from_shared(format!("http://{address}"))?
            .connect()
            .await
            .with_context(|| format!("connecting to {address}"))?;
        let mut client = FlightSqlServiceClient::new(channel);
        client.set_header("x-shardflight-endpoints", if mode == Mode::PerShard { "shard" } else { "single" });
        Ok(Self { mode, client })
    }

    /// Logs in, where nobody is asked who he is: a new session, which all calls name from now on. Its token.
    pub async fn log_in(&mut self) -> anyhow::Result<String> {
        self.client.handshake("ann", "any").await?;
        Ok(self.client.token().context("a login without a token")?.clone())
    }

    /// Names a session that another client opened.
    pub fn go_on(&mut self, token: String) {
        self.client.set_token(token);
    }

    /// Plans a statement: its schema, and a ticket for each endpoint.
    pub async fn plan(&mut self, sql: &str) -> anyhow::Result<FlightInfo> {
        Ok(self.client.execute(sql.to_owned(), None).await?)
    }

    /// Begins a transaction, by the protocol.
    pub async fn begin(&mut self) -> anyhow::Result<Bytes> {
        Ok(self.client.begin_transaction().await?)
    }

    /// Plans a statement in a transaction.
    pub async fn plan_in(&mut self, transaction: &Bytes, sql: &str) -> anyhow::Result<FlightInfo> {
        Ok(self.client.execute(sql.to_owned(), Some(transaction.clone())).await?)
    }

    /// Ends a transaction so that what was read in it is consumed.
    pub async fn commit(&mut self, transaction: &Bytes) -> anyhow::Result<()> {
        Ok(self.client.end_transaction(transaction.clone(), EndTransaction::Commit).await?)
    }

    /// Reads all endpoints of a planned statement, last endpoint first: their order must not matter.
    pub async fn read(&mut self, info: FlightInfo) -> anyhow::Result<Answer> {
        let schema = SchemaRef::new(info.clone().try_decode_schema()?);
        let endpoints = info.endpoint.len();
        anyhow::ensure!(
            self.mode == Mode::PerShard || endpoints == 1,
            "{endpoints} endpoints where one was asked for"
        );
        let mut batches = Vec::new();
        for endpoint in info.endpoint.into_iter().rev() {
            let mut stream = self.client.do_get(endpoint.ticket.context("an endpoint without a ticket")?).await?;
            while let Some(batch) = stream.try_next().await? {
                anyhow::ensure!(
                    batch.schema().fields() == schema.fields(),
                    "a batch of {:?} where {schema:?} was announced",
                    batch.schema()
                );
                batches.push(batch);
            }
        }
        Ok(Answer {
            schema,
            batches,
            endpoints,
        })
    }

    /// The rows of a statement with one endpoint, as they come.
    pub async fn stream(&mut self, sql: &str) -> anyhow::Result<FlightRecordBatchStream> {
        let mut info = self.plan(sql).await?;
        anyhow::ensure!(info.endpoint.len() == 1, "{} endpoints", info.endpoint.len());
        let ticket = info.endpoint.remove(0).ticket.context("an endpoint without a ticket")?;
        self.fetch(ticket).await
    }

    /// The rows of a ticket, as they come.
    pub async fn fetch(&mut self, ticket: Ticket) -> anyhow::Result<FlightRecordBatchStream> {
        Ok(self.client.do_get(ticket).await?)
    }

    /// Runs a statement.
    pub async fn query(&mut self, sql: &str) -> anyhow::Result<Answer> {
        let info = self.plan(sql).await?;
        self.read(info).await
    }
}
