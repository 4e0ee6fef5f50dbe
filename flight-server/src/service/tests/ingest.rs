//! Ingest by DoPut.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::{DataType, Field};
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::sql::TableDefinitionOptions;
use arrow_flight::sql::{CommandStatementIngest, DoPutUpdateResult};
use arrow_flight::sql::{TableExistsOption, TableNotExistOption};
use futures::stream;
use tonic::Code;

use super::*;

fn command() -> CommandStatementIngest {
    CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: TableNotExistOption::Create.into(),
            if_exists: TableExistsOption::Append.into(),
        }),
        table: "t".into(),
        schema: Some("s".into()),
        ..CommandStatementIngest::default()
    }
}

/// The schema, with the command, and a message for each batch.
async fn messages(command: &CommandStatementIngest, columns: &[&str], batches: &[i64]) -> Vec<FlightData> {
    let fields: Vec<Field> = columns.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let column = |rows: i64| Arc::new((0..rows).collect::<Int64Array>()) as ArrayRef;
    let batch = |rows: &i64| RecordBatch::try_new(Arc::clone(&schema), columns.iter().map(|_| column(*rows)).collect()).unwrap();
    let batches: Vec<Result<RecordBatch, FlightError>> = batches.iter().map(batch).map(Ok).collect();
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(Arc::clone(&schema))
        .with_flight_descriptor(Some(descriptor(command)))
        .build(stream::iter(batches));
    encoder.try_collect().await.unwrap()
}

async fn ingest(client: &mut Client, command: &CommandStatementIngest, batches: &[i64]) -> Result<i64, Status> {
    let messages = messages(command, &["n"], batches).await;
    put(client, messages).await
}

async fn put(client: &mut Client, messages: Vec<FlightData>) -> Result<i64, Status> {
    let mut results = client.do_put(stream::iter(messages)).await?.into_inner();
    let result = results.message().await?.expect("a result");
    Ok(DoPutUpdateResult::decode(result.app_metadata).unwrap().record_count)
}

#[tokio::test]
async fn rows_and_what_is_asked_for_arrive() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    assert_eq!(ingest(&mut client, &command(), &[3, 0, 4]).await.unwrap(), 7);
    let plain = CommandStatementIngest {
        table: "u".into(),
        catalog: Some("kinesis".into()),
        temporary: true,
        options: HashMap::from([("partition_key".to_owned(), "n".to_owned())]),
        ..CommandStatementIngest::default()
    };
    assert_eq!(ingest(&mut client, &plain, &[]).await.unwrap(), 0);
    assert_eq!(
        *server.backend.ingests.lock(),
        [
            "None.Some(\"s\").t Create Append false None [\"n\"]",
            "Some(\"kinesis\").None.u Fail Fail true Some(\"n\") [\"n\"]",
        ]
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_before_the_engine_is_asked() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let in_transaction = CommandStatementIngest {
        transaction_id: Some("t".into()),
        ..command()
    };
    let unknown = CommandStatementIngest {
        options: HashMap::from([("partition_kee".to_owned(), "n".to_owned())]),
        ..command()
    };
    for (command, said) in [(in_transaction, "no transaction"), (unknown, "did you mean `partition_key`?")] {
        let status = ingest(&mut client, &command, &[1]).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains(said), "{status}");
    }
    let alone = stream::iter([FlightData::new().with_descriptor(descriptor(&command()))]);
    let status = client.do_put(alone).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(server.backend.ingests.lock().is_empty());
}

#[tokio::test]
async fn every_mode_reaches_the_engine_as_it_was_said() {
    use TableExistsOption as Exists;
    use TableNotExistOption as Missing;
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut expected = Vec::new();
    for (missing, if_missing) in [(Missing::Unspecified, "Fail"), (Missing::Create, "Create"), (Missing::Fail, "Fail")] {
        for (exists, if_exists) in [
            (Exists::Unspecified, "Fail"),
            (Exists::Fail, "Fail"),
            (Exists::Append, "Append"),
            (Exists::Replace, "Replace"),
        ] {
            let command = CommandStatementIngest {
                table_definition_options: Some(TableDefinitionOptions {
                    if_not_exist: missing.into(),
                    if_exists: exists.into(),
                }),
                ..command()
            };
            assert_eq!(ingest(&mut client, &command, &[2]).await.unwrap(), 2);
            expected.push(format!("None.Some(\"s\").t {if_missing} {if_exists} false None [\"n\"]"));
        }
    }
    // a number that is none of the protocol's is as if nothing were said
    let unknown = CommandStatementIngest {
        table_definition_options: Some(TableDefinitionOptions {
            if_not_exist: 77,
            if_exists: -1,
        }),
        ..command()
    };
    assert_eq!(ingest(&mut client, &unknown, &[]).await.unwrap(), 0);
    expected.push("None.Some(\"s\").t Fail Fail false None [\"n\"]".to_owned());
    assert_eq!(*server.backend.ingests.lock(), expected);
}

#[tokio::test]
async fn rows_that_are_none_are_refused() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let good = messages(&command(), &["n"], &[3]).await;
    let wide = messages(&command(), &["n", "m"], &[3]).await;
    let (schema, batch) = (good[0].clone(), good[1].clone());
    let first = |message: &FlightData| message.clone().with_descriptor(descriptor(&command()));
    let garbage = FlightData {
        data_header: Bytes::from_static(&[0xff; 40]),
        data_body: Bytes::from_static(&[0xff; 40]),
        ..FlightData::default()
    };
    let cut = |body: usize, header: usize| FlightData {
        data_body: batch.data_body.slice(..batch.data_body.len() - body),
        data_header: batch.data_header.slice(..batch.data_header.len() - header),
        ..batch.clone()
    };
    for (name, messages) in [
        ("rows before their schema", vec![first(&batch)]),
        ("a schema twice", vec![schema.clone(), schema.clone(), batch.clone()]),
        ("garbage for a schema", vec![first(&garbage)]),
        ("garbage for rows", vec![schema.clone(), garbage.clone()]),
        ("rows, then garbage", vec![schema.clone(), batch.clone(), garbage.clone()]),
        // three numbers are 24 bytes, and padding
        ("a body that is cut", vec![schema.clone(), cut(batch.data_body.len() - 16, 0)]),
        ("no body", vec![schema.clone(), cut(batch.data_body.len(), 0)]),
        ("a header that is cut", vec![schema.clone(), cut(0, 17)]),
        ("rows of fewer columns", vec![wide[0].clone(), batch.clone()]),
    ] {
        let status = put(&mut client, messages).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{name}: {status}");
    }
    assert_eq!(put(&mut client, vec![schema, batch]).await.unwrap(), 3);
}

/// Each option is one of the catalogue's, by any of its spellings, with a value that it takes.
#[tokio::test]
async fn options_of_an_ingest_are_checked() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    for (name, value, code) in [
        ("kpl_aggregation", "true", Code::Ok),
        ("kinesis.partition_key", "n", Code::Ok),
        ("kpl_aggregation", "perhaps", Code::InvalidArgument),
        ("partition_key", "", Code::InvalidArgument),
        ("", "", Code::InvalidArgument),
        ("\u{0}", "\u{0}", Code::InvalidArgument),
    ] {
        let command = CommandStatementIngest {
            options: HashMap::from([(name.to_owned(), value.to_owned())]),
            ..command()
        };
        let code_of = ingest(&mut client, &command, &[1])
            .await
            .map_or_else(|status| status.code(), |_| Code::Ok);
        assert_eq!(code_of, code, "{name:?} = {value:?}");
    }
}
