//! Dictionary-encoded columns, which travel as dictionaries where a statement asks for that.

use integration_tests::backends::Backend;
use integration_tests::server::run_script;

use crate::faults::stage::{Stage, create, put};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dictionaries_reach_clients_as_they_were_announced() {
    let running = Backend::Embedded.start().unwrap();
    let stage = Stage::new("dictionaries", &running.endpoint, &running.endpoint, &["words"]);
    create(&stage.kinesis, "words", 3).await;
    put(&stage.kinesis, "words", 0..300, |_| {}).await;
    run_script("dictionaries_client.py", &[&format!("grpc://{}", stage.server.flight)]).unwrap();
}
