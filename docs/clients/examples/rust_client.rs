//! arrow-flight's client. Argument: the address, http://host:port, or https://host:port with TLS.
//! SHARDFLIGHT_USER and SHARDFLIGHT_PASSWORD are credentials, SHARDFLIGHT_CA a file with the server's authority, where they are needed.
#![expect(clippy::print_stdout, reason = "it is a program of a user")]

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use arrow_flight::sql::client::FlightSqlServiceClient;
use futures::TryStreamExt;
use tonic::transport::{Certificate, ClientTlsConfig, Endpoint};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).ok_or("an address is wanted")?;
    let mut endpoint = Endpoint::new(address)?;
    if let Ok(authority) = std::env::var("SHARDFLIGHT_CA") {
        let authority = Certificate::from_pem(std::fs::read(authority)?);
        endpoint = endpoint.tls_config(ClientTlsConfig::new().ca_certificate(authority))?;
    }
    let mut client = FlightSqlServiceClient::new(endpoint.connect().await?);
    if let Ok(user) = std::env::var("SHARDFLIGHT_USER") {
        client.handshake(&user, &std::env::var("SHARDFLIGHT_PASSWORD")?).await?;
    }
    client.set_header("x-shardflight-endpoints", "shard"); // without it: one endpoint

    let sql = "select host, bytes from kinesis.default.nasahttp where code = 404";
    let info = client.execute(sql.to_owned(), None).await?;
    let endpoints = info.endpoint.len();
    let mut rows = 0;
    // The answer is the union of the endpoints: read all of them.
    for endpoint in info.endpoint {
        let ticket = endpoint.ticket.ok_or("an endpoint without a ticket")?;
        let batches: Vec<RecordBatch> = client.do_get(ticket).await?.try_collect().await?;
        rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
    }
    println!("{rows} rows from {endpoints} endpoints");

    let mut statement = client
        .prepare(
            "select host, sum(bytes) as total_bytes from nasahttp group by host order by total_bytes desc limit 2".to_owned(),
            None,
        )
        .await?;
    let info = statement.execute().await?;
    let ticket = info
        .endpoint
        .into_iter()
        .next()
        .and_then(|endpoint| endpoint.ticket)
        .ok_or("no ticket")?;
    let batches: Vec<RecordBatch> = client.do_get(ticket).await?.try_collect().await?;
    for batch in &batches {
        let (hosts, totals) = (batch.column(0).as_string::<i32>(), batch.column(1).as_primitive::<Int64Type>());
        for row in 0..batch.num_rows() {
            println!("{} {}", hosts.value(row), totals.value(row));
        }
    }
    statement.close().await?;
    Ok(())
}
