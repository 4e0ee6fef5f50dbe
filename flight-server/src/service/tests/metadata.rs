use arrow::array::{Array, BinaryArray};
use arrow::datatypes::{DataType, Field};
use arrow_flight::IpcMessage;
use arrow_flight::sql::{
    CommandGetCatalogs, CommandGetCrossReference, CommandGetDbSchemas, CommandGetExportedKeys, CommandGetImportedKeys,
    CommandGetPrimaryKeys, CommandGetSqlInfo, CommandGetTableTypes, CommandGetTables, CommandGetXdbcTypeInfo,
    CommandStatementSubstraitPlan,
};
use tonic::Code;

use super::stub::numbers_schema;
use super::*;

/// GetFlightInfo, DoGet and GetSchema of a command agree on its schema; its rows.
async fn rows(client: &mut Client, command: &impl ProstMessageExt) -> RecordBatch {
    let info = client.get_flight_info(descriptor(command)).await.unwrap().into_inner();
    assert_eq!(info.flight_descriptor, Some(descriptor(command)));
    let announced = schema_of(&info);
    let described = client.get_schema(descriptor(command)).await.unwrap().into_inner();
    assert_eq!(Schema::try_from(&described).unwrap(), announced);
    let fetched = fetch(client, tickets(&info).remove(0)).await.unwrap();
    assert_eq!(*fetched.schema, announced);
    arrow::compute::concat_batches(&fetched.schema, &fetched.batches).unwrap()
}

fn texts(batch: &RecordBatch, column: usize) -> Vec<&str> {
    batch.column(column).as_string::<i32>().iter().flatten().collect()
}

fn utf8(fields: &[(&str, bool)]) -> Vec<Field> {
    fields
        .iter()
        .map(|(name, nullable)| Field::new(*name, DataType::Utf8, *nullable))
        .collect()
}

fn fields(batch: &RecordBatch) -> Vec<Field> {
    batch.schema().fields().iter().map(|field| field.as_ref().clone()).collect()
}

#[tokio::test]
async fn catalogs_schemas_and_types() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let catalogs = rows(&mut client, &CommandGetCatalogs {}).await;
    assert_eq!(texts(&catalogs, 0), ["kinesis"]);
    assert_eq!(fields(&catalogs), utf8(&[("catalog_name", false)]));
    let mut command = CommandGetDbSchemas::default();
    let schemas = rows(&mut client, &command).await;
    assert_eq!(
        (texts(&schemas, 0), texts(&schemas, 1)),
        (vec!["kinesis"; 2], vec!["default", "system"])
    );
    assert_eq!(fields(&schemas), utf8(&[("catalog_name", true), ("db_schema_name", false)]));
    command.db_schema_filter_pattern = Some("sys%".into());
    assert_eq!(texts(&rows(&mut client, &command).await, 1), ["system"]);
    command.catalog = Some("other".into());
    assert_eq!(rows(&mut client, &command).await.num_rows(), 0);
    let types = rows(&mut client, &CommandGetTableTypes {}).await;
    assert_eq!(texts(&types, 0), ["BASE TABLE", "LOCAL TEMPORARY", "SYSTEM TABLE", "VIEW"]);
}

#[tokio::test]
async fn tables_by_pattern_and_type_with_and_without_schema() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let mut command = CommandGetTables::default();
    let tables = rows(&mut client, &command).await;
    assert_eq!(texts(&tables, 1), ["default", "default", "system"]);
    assert_eq!(texts(&tables, 2), ["numbers", "words", "streams"]);
    assert_eq!(texts(&tables, 3), ["BASE TABLE", "BASE TABLE", "SYSTEM TABLE"]);
    let columns = [
        ("catalog_name", true),
        ("db_schema_name", true),
        ("table_name", false),
        ("table_type", false),
    ];
    assert_eq!(fields(&tables), utf8(&columns));
    // As Grafana asks.
    command.table_types = vec!["BASE TABLE".into(), "table".into()];
    assert_eq!(texts(&rows(&mut client, &command).await, 2), ["numbers", "words"]);
    command.include_schema = true;
    command.table_name_filter_pattern = Some("numb_rs".into());
    let tables = rows(&mut client, &command).await;
    let mut with_schema = utf8(&columns);
    with_schema.push(Field::new("table_schema", DataType::Binary, false));
    assert_eq!(fields(&tables), with_schema);
    assert_eq!(texts(&tables, 2), ["numbers"]);
    let encoded: &BinaryArray = tables.column(4).as_binary();
    assert_eq!(encoded.len(), 1);
    let schema = Schema::try_from(IpcMessage(Bytes::copy_from_slice(encoded.value(0)))).unwrap();
    let columns = |schema: &Schema| -> Vec<(String, DataType)> {
        let fields = schema.fields().iter();
        fields.map(|field| (field.name().clone(), field.data_type().clone())).collect()
    };
    assert_eq!(columns(&schema), columns(&numbers_schema()));
    assert_eq!(schema.field(0).metadata()["ARROW:FLIGHT:SQL:TYPE_NAME"], "BIGINT");
    assert_eq!(schema.field(0).metadata()["ARROW:FLIGHT:SQL:TABLE_NAME"], "numbers");
    command.table_name_filter_pattern = Some("words".into());
    let tables = rows(&mut client, &command).await;
    let encoded: &BinaryArray = tables.column(4).as_binary();
    let schema = Schema::try_from(IpcMessage(Bytes::copy_from_slice(encoded.value(0)))).unwrap();
    // As its rows travel: no dictionary.
    assert_eq!(schema.field(0).data_type(), &DataType::Utf8);
}

#[tokio::test]
async fn keys_are_empty_and_typed_and_infos_are_there() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let keys = rows(&mut client, &CommandGetPrimaryKeys::default()).await;
    assert_eq!((keys.num_rows(), keys.num_columns()), (0, 6));
    for batch in [
        rows(&mut client, &CommandGetExportedKeys::default()).await,
        rows(&mut client, &CommandGetImportedKeys::default()).await,
        rows(&mut client, &CommandGetCrossReference::default()).await,
    ] {
        assert_eq!((batch.num_rows(), batch.num_columns()), (0, 13));
        assert_eq!(batch.schema().field(12), &Field::new("delete_rule", DataType::UInt8, false));
    }
    let infos = rows(&mut client, &CommandGetSqlInfo { info: vec![] }).await;
    assert!(infos.num_rows() > 85);
    assert_eq!(rows(&mut client, &CommandGetSqlInfo { info: vec![8] }).await.num_rows(), 1);
    let types = rows(&mut client, &CommandGetXdbcTypeInfo::default()).await;
    assert!(texts(&types, 0).contains(&"TIMESTAMP"));
    // 12 is VARCHAR.
    let one = rows(&mut client, &CommandGetXdbcTypeInfo { data_type: Some(12) }).await;
    assert_eq!(texts(&one, 0), ["VARCHAR"]);
}

#[tokio::test]
async fn what_has_no_answer_says_so() {
    let server = TestServer::start().await;
    let mut client = server.client().await;
    let substrait = descriptor(&CommandStatementSubstraitPlan::default());
    let unknown = FlightDescriptor::new_cmd(
        arrow_flight::sql::Any {
            type_url: "type.googleapis.com/example.Unknown".into(),
            value: Bytes::new(),
        }
        .encode_to_vec(),
    );
    let errors = [
        client.get_flight_info(substrait.clone()).await.unwrap_err(),
        client.get_schema(substrait).await.unwrap_err(),
        client.get_flight_info(unknown).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), Code::Unimplemented, "{}", error.message());
        assert!(error.message().contains(' '), "{}", error.message());
    }
    for broken in [
        FlightDescriptor::new_path(vec![String::new()]),
        FlightDescriptor::new_cmd(vec![0xff]),
    ] {
        assert_eq!(client.get_flight_info(broken).await.unwrap_err().code(), Code::InvalidArgument);
    }
}
