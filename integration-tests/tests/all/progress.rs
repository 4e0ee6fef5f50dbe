//! PollFlightInfo while a cold range is fetched, by a bare Flight client against the real program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow_flight::flight_service_client::FlightServiceClient;
use arrow_flight::sql::{CommandStatementQuery, ProstMessageExt as _};
use arrow_flight::{FlightDescriptor, PollInfo};
use embedded::{Fault, FaultRule, Operation};
use futures::TryStreamExt as _;
use integration_tests::backends::Backend;
use integration_tests::flight::Mode;
use integration_tests::kinesis;
use prost::Message as _;
use tonic::Request;
use tonic::transport::Channel;

use crate::faults::stage::{Stage, create, put};

const RECORDS: i64 = 60_000;
/// In every shard, so that the search for the last record goes no further back.
const RECENT: i64 = 40;

fn asked(descriptor: FlightDescriptor) -> Request<FlightDescriptor> {
    let mut request = Request::new(descriptor);
    request.metadata_mut().insert("x-shardflight-endpoints", "shard".parse().unwrap());
    request
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_range_is_polled_until_it_is_there() {
    let running = Backend::Embedded.start().unwrap();
    let service = running.embedded().unwrap();
    // what arrived hours ago is no part of what fixes the end of a statement
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
    service.clock().set(now - 2 * 3_600_000);
    let writer = kinesis::client(&running.endpoint);
    create(&writer, "cold", 2).await;
    put(&writer, "cold", 0..RECORDS, |_| {}).await;
    service.clock().set(now);
    put(&writer, "cold", RECORDS..RECORDS + RECENT, |_| {}).await;
    let stage = Stage::new("progress", &running.endpoint, &running.endpoint, &["cold"]);
    let slow = FaultRule::new(Operation::GetRecords, Fault::Delay(Duration::from_millis(150)));
    service.faults().add(slow);

    let channel = Channel::from_shared(format!("http://{}", stage.server.flight)).unwrap();
    let mut client = FlightServiceClient::new(channel.connect().await.unwrap());
    let command = CommandStatementQuery {
        query: "select id from cold".to_owned(),
        transaction_id: None,
    };
    let mut next = Some(FlightDescriptor::new_cmd(command.as_any().encode_to_vec()));
    let mut seen = Vec::new();
    let mut answer = PollInfo::default();
    while let Some(descriptor) = next {
        answer = client.poll_flight_info(asked(descriptor)).await.unwrap().into_inner();
        let info = answer.info.as_ref().unwrap();
        assert_eq!(info.endpoint.len(), 2, "all endpoints are there from the first answer on");
        if let Some(progress) = answer.progress {
            assert!((0.0..=1.0).contains(&progress), "{progress}");
            seen.push(progress);
        }
        next = answer.flight_descriptor;
        // a client of the specification waits between its polls
        tokio::time::sleep(Duration::from_millis(25)).await;
        assert!(seen.len() < 2_000, "it does not end: {seen:?}");
    }
    assert!(seen.is_sorted(), "{seen:?}");
    assert!(seen.iter().any(|progress| *progress > 0.0 && *progress < 1.0), "{seen:?}");

    let fetched = service.calls().get(Operation::GetRecords, Some("cold"), None).records;
    assert!(fetched >= RECORDS as u64, "{fetched}");
    let mut rows = 0;
    let mut reader = stage.client(Mode::PerShard).await;
    for endpoint in answer.info.unwrap().endpoint {
        let mut batches = reader.fetch(endpoint.ticket.unwrap()).await.unwrap();
        while let Some(batch) = batches.try_next().await.unwrap() {
            rows += batch.num_rows();
        }
    }
    assert_eq!(rows, (RECORDS + RECENT) as usize);
    let after = service.calls().get(Operation::GetRecords, Some("cold"), None).records;
    assert_eq!(after, fetched, "what was fetched ahead is not fetched again");
}
