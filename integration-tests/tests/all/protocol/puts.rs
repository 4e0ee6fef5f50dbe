//! DoPut with rows: ingests of every mode, parameters of every size, and rows that are none.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::{
    CommandPreparedStatementUpdate, CommandStatementIngest, DoPutPreparedStatementResult, ProstMessageExt, TableDefinitionOptions,
    TableExistsOption as Exists, TableNotExistOption as Missing,
};
use arrow_flight::{FlightData, FlightDescriptor, PutResult};
use bytes::Bytes;
use futures::{TryStreamExt as _, stream};
use prost::Message as _;
use tonic::Code::{self, AlreadyExists, InvalidArgument, NotFound, Ok as Fine, PermissionDenied, ResourceExhausted, Unauthenticated};
use tonic::Status;

use super::{Client, Protocol, agree, as_who, bytes, code, prepared, query_of};

fn ingest(table: &str, missing: Missing, exists: Exists) -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: missing.into(),
            if_exists: exists.into(),
        }),
        table: table.into(),
        ..CommandStatementIngest::default()
    }
}

fn rows(ids: std::ops::Range<i64>, bytes: usize) -> RecordBatch {
    let notes: StringArray = ids.clone().map(|_| Some("x".repeat(bytes))).collect();
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(ids));
    RecordBatch::try_from_iter_with_nullable([("id", ids, true), ("note", Arc::new(notes) as ArrayRef, true)]).unwrap()
}

/// The command, and each batch as one message, however large.
async fn messages(command: &impl ProstMessageExt, batches: Vec<RecordBatch>) -> Vec<FlightData> {
    let descriptor = FlightDescriptor::new_cmd(bytes(command));
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(batches[0].schema())
        .with_max_flight_data_size(usize::MAX)
        .with_flight_descriptor(Some(descriptor))
        .build(stream::iter(batches.into_iter().map(Ok)));
    encoder.try_collect().await.unwrap()
}

/// The handle that holds them.
async fn bound(client: &mut Client, messages: Vec<FlightData>) -> Result<Bytes, Status> {
    let results = client.do_put(as_who("ann", stream::iter(messages))).await?.into_inner();
    let results: Vec<PutResult> = results.try_collect().await?;
    let result = DoPutPreparedStatementResult::decode(&*results[0].app_metadata).unwrap();
    Ok(result.prepared_statement_handle.unwrap())
}

async fn put(client: &mut Client, who: &str, messages: Vec<FlightData>) -> Code {
    match client.do_put(as_who(who, stream::iter(messages))).await {
        Ok(results) => code(results.into_inner().try_collect::<Vec<_>>().await),
        Err(status) => status.code(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ingests_of_every_mode_have_their_status_over_tls() {
    let protocol = Protocol::start("protocol-ingests").await;
    let mut client = protocol.client().await;
    let mut found = Vec::new();
    // a table over a stream; then one in memory, which is made by the first that may
    for (table, who, missing, exists, expected) in [
        ("t", "ann", Missing::Fail, Exists::Append, Fine),
        ("t", "ann", Missing::Create, Exists::Append, Fine),
        ("t", "ann", Missing::Create, Exists::Fail, AlreadyExists),
        ("t", "ann", Missing::Fail, Exists::Fail, AlreadyExists),
        ("t", "ann", Missing::Unspecified, Exists::Unspecified, AlreadyExists),
        ("t", "ann", Missing::Create, Exists::Replace, InvalidArgument),
        ("nothing", "ann", Missing::Fail, Exists::Append, NotFound),
        ("nothing", "ann", Missing::Unspecified, Exists::Unspecified, NotFound),
        ("nothing", "ann", Missing::Fail, Exists::Replace, NotFound),
        ("", "ann", Missing::Create, Exists::Append, InvalidArgument),
        ("t", "reader", Missing::Fail, Exists::Append, PermissionDenied),
        ("made", "reader", Missing::Create, Exists::Fail, PermissionDenied),
        ("t", "nobody", Missing::Fail, Exists::Append, Unauthenticated),
        ("made", "ann", Missing::Create, Exists::Fail, Fine),
    ] {
        let messages = messages(&ingest(table, missing, exists), vec![rows(100..103, 5)]).await;
        let answer = put(&mut client, who, messages).await;
        found.push((format!("{who}: {table}, {missing:?}, {exists:?}"), answer, expected));
    }
    for (missing, exists, expected) in [
        (Missing::Fail, Exists::Append, NotFound),
        (Missing::Create, Exists::Fail, Fine),
        (Missing::Create, Exists::Fail, AlreadyExists),
        (Missing::Fail, Exists::Append, Fine),
        (Missing::Create, Exists::Replace, Fine),
        (Missing::Fail, Exists::Replace, Fine),
    ] {
        let command = CommandStatementIngest {
            temporary: true,
            ..ingest("staged", missing, exists)
        };
        let messages = messages(&command, vec![rows(0..3, 5)]).await;
        let answer = put(&mut client, "ann", messages).await;
        found.push((format!("in memory: {missing:?}, {exists:?}"), answer, expected));
    }
    let append = ingest("t", Missing::Fail, Exists::Append);
    let with = |change: fn(&mut CommandStatementIngest)| {
        let mut command = append.clone();
        change(&mut command);
        command
    };
    for (what, command, expected) in [
        (
            "an option that there is not",
            with(|command| drop(command.options.insert("partition_kee".into(), "id".into()))),
            InvalidArgument,
        ),
        (
            "a key that is no column",
            with(|command| drop(command.options.insert("partition_key".into(), "nope".into()))),
            InvalidArgument,
        ),
        (
            "in a transaction",
            with(|command| command.transaction_id = Some(Bytes::from_static(b"x"))),
            InvalidArgument,
        ),
        (
            "of another catalog",
            with(|command| command.catalog = Some("other".into())),
            NotFound,
        ),
        ("of another schema", with(|command| command.schema = Some("other".into())), NotFound),
    ] {
        let messages = messages(&command, vec![rows(0..1, 5)]).await;
        found.push((what.to_owned(), put(&mut client, "ann", messages).await, expected));
    }
    let good = messages(&append, vec![rows(0..3, 5)]).await;
    let cut = |body: usize, header: usize| FlightData {
        data_body: good[1].data_body.slice(..body),
        data_header: good[1].data_header.slice(..header),
        ..good[1].clone()
    };
    let garbage = FlightData {
        data_header: Bytes::from_static(&[0xff; 64]),
        data_body: Bytes::from_static(&[0xff; 64]),
        ..FlightData::default()
    };
    let (body, header) = (good[1].data_body.len(), good[1].data_header.len());
    for (what, second) in [
        ("garbage", garbage),
        ("the schema again", good[0].clone()),
        ("a cut body", cut(body / 2, header)),
        ("no body", cut(0, header)),
        ("a cut header", cut(body, header / 2)),
    ] {
        let answer = put(&mut client, "ann", vec![good[0].clone(), second]).await;
        found.push((format!("rows that are {what}"), answer, InvalidArgument));
    }
    let large = messages(&append, vec![rows(0..1, 65 << 20)]).await;
    found.push((
        "more than the largest message".into(),
        put(&mut client, "ann", large).await,
        ResourceExhausted,
    ));
    found.push((
        "the schema alone".into(),
        put(&mut client, "ann", vec![good[0].clone()]).await,
        Fine,
    ));
    agree(&found);
    protocol.is_well(&mut client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn parameters_of_every_size_have_their_status_over_tls() {
    let protocol = Protocol::start("protocol-parameters").await;
    let mut client = protocol.client().await;
    let query = prepared(&mut client, "ann", "select id from t where id < ? and note <> ?").await;
    let insert = prepared(&mut client, "ann", "insert into t (id, note) values (?, ?)").await;
    let update = CommandPreparedStatementUpdate {
        prepared_statement_handle: insert,
    };
    const MIB: usize = 1 << 20;
    let binds: Vec<(&str, Vec<RecordBatch>, Code)> = vec![
        ("two", vec![rows(5..6, 5)], Fine),
        ("three rows", vec![rows(5..7, 5), rows(7..8, 5)], Fine),
        ("one too few", vec![rows(5..6, 5).project(&[0]).unwrap()], InvalidArgument),
        ("too many rows", vec![rows(0..1_001, 1)], InvalidArgument),
        ("two MiB", vec![rows(0..1, 2 * MIB)], ResourceExhausted),
        ("63 MiB", vec![rows(0..1, 63 * MIB)], ResourceExhausted),
        // more than the largest message
        ("65 MiB", vec![rows(0..1, 65 * MIB)], ResourceExhausted),
        (
            "80 MiB in ten messages",
            (0..10).map(|_| rows(0..1, 8 * MIB)).collect(),
            ResourceExhausted,
        ),
    ];
    let mut found = Vec::new();
    for (what, batches, expected) in binds {
        let messages = messages(&query_of(&query), batches).await;
        // they are bound, or the statement is refused with them
        let answer = match bound(&mut client, messages).await {
            Ok(handle) => {
                let descriptor = FlightDescriptor::new_cmd(bytes(&query_of(&handle)));
                code(client.get_flight_info(as_who("ann", descriptor)).await)
            }
            Err(status) => status.code(),
        };
        found.push((format!("of a query: {what}"), answer, expected));
    }
    let updates: Vec<(&str, Vec<RecordBatch>, Code)> = vec![
        ("two", vec![rows(1_000..1_002, 5)], Fine),
        ("of another type", vec![wrong()], InvalidArgument),
        ("a record too large", vec![rows(0..1, 12 * MIB)], InvalidArgument),
        ("72 MiB", (0..9).map(|_| rows(0..16, MIB / 2)).collect(), ResourceExhausted),
        ("65 MiB in one", vec![rows(0..130, MIB / 2)], ResourceExhausted),
    ];
    for (what, batches, expected) in updates {
        let messages = messages(&update, batches).await;
        found.push((format!("of an update: {what}"), put(&mut client, "ann", messages).await, expected));
    }
    agree(&found);
    protocol.is_well(&mut client).await;
}

fn wrong() -> RecordBatch {
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["no number"]));
    RecordBatch::try_from_iter_with_nullable([("1", Arc::clone(&texts), true), ("2", texts, true)]).unwrap()
}
