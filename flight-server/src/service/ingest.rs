//! Ingest: `CommandStatementIngest` by DoPut.

use std::panic::AssertUnwindSafe;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::{DecodedPayload, FlightDataDecoder};
use arrow_flight::error::FlightError;
use arrow_flight::sql::CommandStatementIngest;
use arrow_flight::sql::{TableExistsOption, TableNotExistOption};
use futures::stream::{self, BoxStream};
use futures::{FutureExt, Stream, StreamExt};
use tonic::{Code, Status};

use super::caller::Caller;
use super::flight::Inner;
use super::parameters::too_large;
use super::status;
use crate::engine::{EngineError, ErrorCategory, IfExists, IfMissing, IngestRequest, parse_option};

impl Inner {
    /// Writes the rows of a DoPut: how many records were acknowledged. They are read as they are written: a stream that is throttled holds the client up.
    pub(crate) async fn ingest<S>(&self, caller: &Caller, command: CommandStatementIngest, rows: S) -> Result<i64, Status>
    where
        S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
    {
        let session = self.sessions.of(caller, None)?;
        if command.transaction_id.is_some_and(|id| !id.is_empty()) {
            return Err(Status::invalid_argument(
                "an ingest is in no transaction: a stream takes nothing back",
            ));
        }
        let definition = command.table_definition_options.unwrap_or_default();
        let if_missing = match definition.if_not_exist() {
            TableNotExistOption::Create => IfMissing::Create,
            TableNotExistOption::Unspecified | TableNotExistOption::Fail => IfMissing::Fail,
        };
        let if_exists = match definition.if_exists() {
            TableExistsOption::Append => IfExists::Append,
            TableExistsOption::Replace => IfExists::Replace,
            TableExistsOption::Unspecified | TableExistsOption::Fail => IfExists::Fail,
        };
        let mut overrides = caller.options()?;
        for (name, value) in &command.options {
            let (name, value) = parse_option(name, value).map_err(|error| status::engine(&EngineError::from(error)))?;
            overrides.insert(name, value);
        }
        let (columns, batches) = decoded(rows).await?;
        let request = IngestRequest {
            catalog: command.catalog,
            schema: command.schema,
            table: command.table,
            temporary: command.temporary,
            if_missing,
            if_exists,
            overrides,
            columns,
            batches,
        };
        let ingested = self.backend.ingest(&session, request).await;
        let records = ingested.map_err(|error| status::engine(&error))?;
        Ok(i64::try_from(records).unwrap_or(i64::MAX))
    }
}

type Batches = BoxStream<'static, Result<RecordBatch, EngineError>>;

/// The messages of a client, decoded. The decoder trusts offsets and lengths that a client made up, and panics on some of them: then, as after any
/// other error, it is not asked again.
fn messages<S>(rows: S) -> BoxStream<'static, Result<DecodedPayload, Status>>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    // Some clients send the descriptor alone before the schema.
    let messages = rows
        .filter(|message| std::future::ready(!matches!(message, Ok(data) if data.data_header.is_empty())))
        .map(|message| message.map_err(|status| FlightError::Tonic(Box::new(too_large(status)))));
    let broken = |what: String| Status::invalid_argument(format!("the rows cannot be read: {what}"));
    stream::unfold(Some(FlightDataDecoder::new(messages)), move |decoder| async move {
        let mut decoder = decoder?;
        match AssertUnwindSafe(decoder.next()).catch_unwind().await {
            Ok(None) => None,
            Ok(Some(Ok(message))) => Some((Ok(message.payload), Some(decoder))),
            Ok(Some(Err(FlightError::Tonic(status)))) => Some((Err(*status), None)),
            Ok(Some(Err(error))) => Some((Err(broken(error.to_string())), None)),
            Err(_) => Some((Err(broken("a message is broken".to_owned())), None)),
        }
    })
    .boxed()
}

/// The schema of the rows, which comes first, and the rows.
async fn decoded<S>(rows: S) -> Result<(SchemaRef, Batches), Status>
where
    S: Stream<Item = Result<FlightData, Status>> + Send + 'static,
{
    let mut messages = messages(rows);
    let schema = loop {
        match messages.next().await.transpose()? {
            Some(DecodedPayload::None) => {}
            Some(DecodedPayload::Schema(schema)) => break schema,
            Some(DecodedPayload::RecordBatch(_)) => return Err(Status::invalid_argument("rows came before their schema")),
            None => return Err(Status::invalid_argument("an ingest sends at least the schema of its rows")),
        }
    };
    let batches = messages.filter_map(|message| async {
        match message {
            Ok(DecodedPayload::RecordBatch(batch)) => Some(Ok(batch)),
            Ok(DecodedPayload::None) => None,
            Ok(DecodedPayload::Schema(_)) => Some(Err(EngineError::Invalid("the schema of the rows came twice".into()))),
            Err(status) => Some(Err(match status.code() {
                Code::InvalidArgument => EngineError::Invalid(status.message().to_owned()),
                Code::ResourceExhausted => EngineError::Query {
                    category: ErrorCategory::ResourceExhausted,
                    message: status.message().to_owned(),
                },
                _ => EngineError::Unavailable(format!("the client ended its rows: {}", status.message())),
            })),
        }
    });
    Ok((schema, batches.boxed()))
}
