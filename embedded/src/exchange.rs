//! One HTTP exchange: from headers and body to an operation, and back.

use std::sync::Arc;

use chrono::DateTime;
use http::header::{CONTENT_TYPE, DATE, HeaderValue};
use http::{Method, Request as HttpRequest, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Bytes, Incoming};
use uuid::Uuid;

use crate::api::{Answer, ApiError, Bend, Call, ErrorCode, Kinesis, Request, expired};
use crate::faults::{Cut, Fault};
use crate::offload::{INLINE_BYTES, offload};
use crate::operation::{Operation, UNSUPPORTED};
use crate::reply::Reply;
use crate::stream::SubscriptionEnd;
use crate::subscription::EventBody;
use crate::wire::Protocol;

/// 10 MiB of records in base64, and room for the rest of the request.
const BODY_BYTES: usize = 18 << 20;

const EVENT_STREAM: &str = "application/vnd.amazon.eventstream";

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("cut by a fault")]
    Cut,
    #[error("request not read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("response not written")]
    Write(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Answers a request.
pub(crate) async fn exchange(service: Arc<Kinesis>, request: HttpRequest<Incoming>) -> Result<Response<Reply>, NoAnswer> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    let protocol = Protocol::of(&header("content-type"));
    let target = header("x-amz-target");
    let is_post = request.method() == Method::POST;
    let body = match Limited::new(request.into_body(), BODY_BYTES).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => {
            let error = ApiError::new(
                ErrorCode::RequestEntityTooLarge,
                format!("The request is larger than {BODY_BYTES} bytes."),
            );
            return respond(&service, protocol.unwrap_or(Protocol::Json), Err(error), false);
        }
        Err(error) => return Err(NoAnswer::Read(error)),
    };
    let Some(protocol) = protocol.filter(|_| is_post) else {
        let error = ApiError::new(
            ErrorCode::UnknownOperation,
            "This is a Kinesis endpoint: POST with content type application/x-amz-json-1.1 or application/x-amz-cbor-1.1.",
        );
        return respond(&service, Protocol::Json, Err(error), false);
    };
    let operation = match find_operation(&target) {
        Ok(operation) => operation,
        Err(error) => return respond(&service, protocol, Err(error), false),
    };
    answer(service, operation, protocol, body).await
}

fn find_operation(target: &str) -> Result<Operation, ApiError> {
    let name = target.strip_prefix("Kinesis_20131202.").unwrap_or_default();
    Operation::parse(name).ok_or_else(|| {
        if UNSUPPORTED.contains(&name) {
            ApiError::new(ErrorCode::UnsupportedOperation, format!("{name} is not supported by this service."))
        } else {
            ApiError::new(ErrorCode::UnknownOperation, format!("Unknown operation: {target}"))
        }
    })
}

async fn answer(service: Arc<Kinesis>, operation: Operation, protocol: Protocol, body: Bytes) -> Result<Response<Reply>, NoAnswer> {
    let large = body.len() > INLINE_BYTES;
    let parsed = offload(large, move || Request::decode(operation, protocol, &body)).await;
    let request = match parsed {
        Ok(Ok(request)) => request,
        Ok(Err(message)) => {
            service.count_call(operation, None, None, true);
            return respond(&service, protocol, Err(ApiError::new(ErrorCode::Serialization, message)), false);
        }
        Err(error) => return respond(&service, protocol, Err(ApiError::internal(&error)), false),
    };
    let (stream, shard) = request.target();
    let (delay, fault) = service.faults.meet(operation, stream.as_deref(), shard.as_deref());
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let mut bend = Bend::default();
    let mut cut = None;
    let refused = match fault {
        None | Some(Fault::Delay(_)) => None,
        Some(Fault::Throttle) => Some(ApiError::new(
            ErrorCode::ProvisionedThroughputExceeded,
            format!("Rate exceeded for {operation} (fault on demand)."),
        )),
        Some(Fault::ResourceInUse) => Some(ApiError::new(
            ErrorCode::ResourceInUse,
            format!("The resource of {operation} is in use (fault on demand)."),
        )),
        Some(Fault::LimitExceeded) => Some(ApiError::new(
            ErrorCode::LimitExceeded,
            format!("A limit of {operation} is exceeded (fault on demand)."),
        )),
        Some(Fault::ExpireIterator) => Some(expired(300_001, 300_000)),
        Some(Fault::InternalFailure) => Some(ApiError::new(ErrorCode::InternalFailure, "Internal failure (fault on demand).")),
        Some(Fault::EmptyReply) => {
            bend.empty = true;
            None
        }
        Some(Fault::PartialPut { every }) => {
            bend.fail_every = Some(every);
            None
        }
        Some(Fault::EndSubscription { after, how }) => {
            bend.end_after = Some((after, how));
            None
        }
        Some(Fault::Reset(Cut::MidResponse)) if operation == Operation::SubscribeToShard => {
            bend.end_after = Some((0, SubscriptionEnd::Cut));
            None
        }
        Some(Fault::Reset(Cut::BeforeWork)) => {
            service.count_call(operation, stream.as_deref(), shard.as_deref(), true);
            return Err(NoAnswer::Cut);
        }
        Some(Fault::Reset(at)) => {
            cut = Some(at);
            None
        }
    };
    let result = match refused {
        Some(error) => Err(error),
        None => {
            let worker = Arc::clone(&service);
            let call = Call { operation, protocol, bend };
            let done = offload(large || operation == Operation::GetRecords, move || worker.run(&call, request)).await;
            done.unwrap_or_else(|error| Err(ApiError::internal(&error)))
        }
    };
    service.count_call(operation, stream.as_deref(), shard.as_deref(), result.is_err());
    match cut {
        Some(Cut::BeforeResponse) => Err(NoAnswer::Cut),
        other => respond(&service, protocol, result, other == Some(Cut::MidResponse)),
    }
}

fn respond(service: &Kinesis, protocol: Protocol, result: Result<Answer, ApiError>, half: bool) -> Result<Response<Reply>, NoAnswer> {
    let whole = |body| if half { Reply::half(body) } else { Reply::whole(body) };
    let (status, kind, reply) = match result {
        Ok(Answer::Whole(body)) => (StatusCode::OK, protocol.content_type(), whole(body)),
        Ok(Answer::Events(events)) => (StatusCode::OK, EVENT_STREAM, Reply::Events(EventBody::new(events))),
        Err(error) => {
            let body = protocol.encode(&error.body()).map_err(|message| NoAnswer::Write(message.into()))?;
            (error.code.status(), protocol.content_type(), whole(body))
        }
    };
    let mut response = Response::new(reply);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    let id = HeaderValue::try_from(Uuid::new_v4().to_string()).map_err(|error| NoAnswer::Write(error.into()))?;
    headers.insert("x-amzn-requestid", id);
    let date = DateTime::from_timestamp_millis(service.clock.now_ms()).map(|at| at.format("%a, %d %b %Y %H:%M:%S GMT").to_string());
    if let Some(date) = date.and_then(|date| HeaderValue::try_from(date).ok()) {
        headers.insert(DATE, date);
    }
    Ok(response)
}
