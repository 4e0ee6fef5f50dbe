//! The crate `ferrokinesis`, in process, behind one lock.
//!
//! Without the lock, two writers and a reader deadlock it for good, and a reader that overtakes an insertion loses records.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use ferrokinesis::store::StoreOptions;
use tokio::net::TcpListener;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::{Deviation, Keeper, Running, on_services_runtime};

pub(super) const DEVIATIONS: &[Deviation] = &[
    Deviation::OnDemandRefused,
    Deviation::ArnRefused,
    Deviation::ArrivalInWholeSeconds,
    Deviation::TimestampAfterLastReadsAll,
    Deviation::NeverBehind,
    Deviation::NoPageByteCap,
    Deviation::ShardFilterIgnored,
    Deviation::NextTokenBroken,
    Deviation::UpdateWithoutLineage,
    Deviation::UpdateBeyondDouble,
    Deviation::NoChildShards,
    Deviation::SubscriptionsStartAtHorizon,
    Deviation::SubscriptionsNotExclusive,
    Deviation::SubscriptionEndUntold,
    Deviation::ConsumerWithoutStream,
    Deviation::DeletesWithConsumers,
];

/// More than any valid request.
const BODY_LIMIT: usize = 64 << 20;

pub(super) fn start(limits: bool) -> anyhow::Result<Running> {
    on_services_runtime(async move {
        let options = StoreOptions {
            create_stream_ms: 0,
            delete_stream_ms: 0,
            update_stream_ms: 0,
            shard_limit: 2000,
            enforce_limits: limits,
            ..StoreOptions::default()
        };
        let (app, _store) = ferrokinesis::create_app(options);
        let app = app.layer(middleware::from_fn_with_state(Arc::new(Mutex::new(())), one_at_a_time));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await });
        Ok(Running {
            endpoint,
            keeper: Keeper::Task(tasks),
        })
    })
}

async fn one_at_a_time(State(lock): State<Arc<Mutex<()>>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    // A body still on its way must not hold up the others.
    let body = match to_bytes(body, BODY_LIMIT).await {
        Ok(body) => body,
        Err(error) => return (StatusCode::PAYLOAD_TOO_LARGE, error.to_string()).into_response(),
    };
    let _turn = lock.lock().await;
    next.run(Request::from_parts(parts, Body::from(body))).await
}
