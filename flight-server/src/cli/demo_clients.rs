//! A line for each client, to be copied.

use std::fmt;
use std::net::SocketAddr;

use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt};
use prost::Message;

use super::demo::{KEY, REGION, STATEMENT};
use super::demo_data::STREAM;

/// How to connect.
#[derive(Debug)]
pub(super) struct ClientLines<'a> {
    pub(super) flight: SocketAddr,
    pub(super) kinesis: &'a str,
    /// Where an offload may write: `file:///DIRECTORY/`, if anywhere.
    pub(super) lake: Option<&'a str>,
}

impl fmt::Display for ClientLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (flight, kinesis) = (self.flight, self.kinesis);
        let sql = STATEMENT.trim_end_matches(';');
        let command = CommandStatementQuery {
            query: sql.to_owned(),
            transaction_id: None,
        }
        .as_any()
        .encode_to_vec();
        let command: String = command.iter().map(|byte| format!("{byte:02x}")).collect();
        let aws = format!("AWS_ACCESS_KEY_ID={KEY} AWS_SECRET_ACCESS_KEY={KEY} AWS_DEFAULT_REGION={REGION}");
        writeln!(f, "shardflight: shardflight sql --url grpc://{flight}")?;
        writeln!(
            f,
            "adbc: python3 -c 'import adbc_driver_flightsql.dbapi as d; c = d.connect(\"grpc://{flight}\", autocommit=True).cursor(); \
             c.execute(\"{sql}\"); print(c.fetch_arrow_table())'"
        )?;
        // Flight knows no SQL: the statement travels as the bytes of a CommandStatementQuery.
        writeln!(
            f,
            "pyarrow: python3 -c 'import pyarrow.flight as f; c = f.connect(\"grpc://{flight}\"); \
             i = c.get_flight_info(f.FlightDescriptor.for_command(bytes.fromhex(\"{command}\"))); \
             print(c.do_get(i.endpoints[0].ticket).read_all())'"
        )?;
        writeln!(f, "jdbc: jdbc:arrow-flight-sql://{flight}?useEncryption=false")?;
        writeln!(
            f,
            "aws: {aws} aws kinesis describe-stream-summary --stream-name {STREAM} --endpoint-url {kinesis}"
        )?;
        writeln!(
            f,
            "boto3: {aws} python3 -c 'import boto3; k = boto3.client(\"kinesis\", endpoint_url=\"{kinesis}\"); print(k.list_streams()[\"StreamNames\"])'"
        )?;
        writeln!(f, "datagen: {aws} shardflight datagen -f FILE -n {STREAM} --endpoint {kinesis}")?;
        let Some(lake) = self.lake.map(|lake| lake.replace('\'', "''")) else {
            return Ok(());
        };
        writeln!(
            f,
            "offload: shardflight sql --url grpc://{flight} -e \"CREATE OFFLOAD IF NOT EXISTS nasa_lake STORED AS DELTA LOCATION '{lake}nasa' \
             OPTIONS (every '5s') AS SELECT * FROM {STREAM}\""
        )
    }
}
