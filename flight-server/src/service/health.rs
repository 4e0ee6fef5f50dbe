//! `grpc.health.v1.Health`: for balancers and orchestrators that ask by gRPC.

use arrow_flight::flight_service_server::FlightServiceServer;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::server::{HealthReporter, health_reporter};

use super::flight::FlightService;

/// All of a server; a client that names no service asks for it.
const WHOLE_SERVER: &str = "";

/// The service, and who tells it how things are.
pub(super) async fn serving() -> (HealthReporter, HealthServer<impl Health>) {
    let (reporter, service) = health_reporter();
    set(&reporter, ServingStatus::Serving).await;
    (reporter, service)
}

/// The server begins to stop: whoever balances sends its calls elsewhere.
pub(super) async fn stopping(reporter: &mut HealthReporter) {
    set(reporter, ServingStatus::NotServing).await;
    // whoever watches is told so and let go: a watch has no end of its own, and calls that run are waited for
    reporter.clear_service_status(WHOLE_SERVER).await;
    reporter.clear_service_status(FlightServiceServer::<FlightService>::NAME).await;
}

async fn set(reporter: &HealthReporter, status: ServingStatus) {
    reporter.set_service_status(WHOLE_SERVER, status).await;
    match status {
        ServingStatus::Serving => reporter.set_serving::<FlightServiceServer<FlightService>>().await,
        _ => reporter.set_not_serving::<FlightServiceServer<FlightService>>().await,
    }
}
