//! Who may have plans run, and which.

use datafusion::config::{ConfigExtension, ExtensionOptions};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{CsvSource, FileScanConfigBuilder};
use datafusion::execution::TaskContext;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::prelude::SessionConfig;
use datafusion_distributed::{DistributedExt, GetWorkerInfoRequest, MaybeEncoded, SetPlanRequest, TaskKey};
use http::HeaderMap;
use uuid::Uuid;

use super::super::settings::StatementSettings;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_without_the_token_is_refused() {
    let cluster = Cluster::with_rows(1, 1, 1).await;
    let url = &cluster.members[0].node.url;
    for (token, expected) in [(TOKEN, true), ("another token of thirty-two bytes", false)] {
        let channels = Channels::new(credential(token), None);
        let answer = channels.to(url).unwrap().get_worker_info(GetWorkerInfoRequest {}).await;
        match answer {
            Ok(info) => assert!(expected && info.version == env!("CARGO_PKG_VERSION"), "token `{token}`"),
            Err(error) => {
                let error = EngineError::from(error).to_string();
                assert!(!expected && error.contains(url.as_str()), "{error}");
                assert!(!error.contains(token), "{error}");
            }
        }
    }
}

/// What a worker says to a plan.
async fn sent(url: &Url, plan: Arc<dyn ExecutionPlan>) -> Result<(), EngineError> {
    let request = SetPlanRequest {
        task_key: TaskKey {
            query_id: Uuid::now_v7(),
            stage_id: 1,
            task_number: 0,
        },
        task_count: 1,
        plan: MaybeEncoded::Decoded(plan),
        work_unit_feed_declarations: Vec::new(),
        target_worker_url: url.clone(),
        query_start_time_ns: 0,
    };
    let channels = Channels::new(credential(TOKEN), None);
    let config = SessionConfig::new().with_distributed_channel_resolver(super::super::channels::Resolver(Arc::clone(&channels)));
    let context = Arc::new(TaskContext::default().with_session_config(config));
    let mut channel = channels.to(url).unwrap();
    let messages = Box::pin(futures::stream::empty());
    let mut headers = HeaderMap::new();
    for entry in StatementSettings::of(&SessionConfig::new(), &Node { url: url.clone() }).entries() {
        let name = format!("x-datafusion-distributed-config-{}.{}", StatementSettings::PREFIX, entry.key);
        headers.insert(
            http::HeaderName::try_from(name).unwrap(),
            entry.value.expect("each is set").parse().unwrap(),
        );
    }
    let replies = channel
        .coordinator_channel(headers, request, messages, ExecutionPlanMetricsSet::new(), &context)
        .await?;
    replies.try_collect::<Vec<_>>().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_plan_reads_a_local_file() {
    let cluster = Cluster::with_rows(1, 1, 1).await;
    let url = &cluster.members[0].node.url;
    let schema = Arc::new(datafusion::arrow::datatypes::Schema::new(vec![
        datafusion::arrow::datatypes::Field::new("line", datafusion::arrow::datatypes::DataType::Utf8, true),
    ]));
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "secret\n").unwrap();
    let source = Arc::new(CsvSource::new(schema));
    let scan = FileScanConfigBuilder::new(ObjectStoreUrl::local_filesystem(), source)
        .with_file(PartitionedFile::new(file.path().display().to_string(), 7))
        .build();
    let plan: Arc<dyn ExecutionPlan> = datafusion::datasource::source::DataSourceExec::from_data_source(scan);
    let error = sent(url, plan).await.expect_err("it is refused");
    assert!(error.to_string().contains("DataSourceExec is not run for another node"), "{error}");
    assert_eq!(error.category(), crate::engine::ErrorCategory::PermissionDenied);
    // the same call with a plan that only computes is heard
    let plan = datafusion::physical_plan::placeholder_row::PlaceholderRowExec::new(Arc::new(datafusion::arrow::datatypes::Schema::empty()));
    sent(url, Arc::new(plan)).await.expect("it is run");
}
