//! Ingest by DoPut.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::Int64Array;
use arrow::datatypes::{DataType, Field};
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

async fn ingest(client: &mut Client, command: &CommandStatementIngest, batches: &[i64]) -> Result<i64, Status> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let batch = |rows: &i64| RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new((0..*rows).collect::<Int64Array>())]).unwrap();
    let batches: Vec<Result<RecordBatch, FlightError>> = batches.iter().map(batch).map(Ok).collect();
    let encoder = FlightDataEncoderBuilder::new()
        .with_schema(Arc::clone(&schema))
        .with_flight_descriptor(Some(descriptor(command)))
        .build(stream::iter(batches));
    let messages = encoder.map(|message| message.unwrap());
    let mut results = client.do_put(messages).await?.into_inner();
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
    let alone = stream::iter([arrow_flight::FlightData::new().with_descriptor(descriptor(&command()))]);
    let status = client.do_put(alone).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(server.backend.ingests.lock().is_empty());
}
