//! Every gRPC call that comes in is counted, timed, and run within its caller's trace.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::future::Either;
use http::{Request, Response};
use opentelemetry::trace::FutureExt;
use tonic::{Code, body::Body};
use tower::{Layer, Service};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::trace;

/// Calls to services of this package are looked at; health and reflection are not.
const PACKAGE: &str = "/platepal.realtime.v1.";

const REQUESTS: &str = "realtime_grpc_requests_total";
const SECONDS: &str = "realtime_grpc_request_seconds";

/// Describes the metrics of all doors.
pub(crate) fn describe_metrics() {
    use metrics::{Unit, describe_counter, describe_histogram};
    describe_counter!(REQUESTS, "gRPC calls that were answered, by service, method and code");
    describe_histogram!(
        SECONDS,
        Unit::Seconds,
        "From a gRPC call to the head of its answer, by service and method"
    );
    describe_counter!("realtime_grpc_refused_keys_total", "gRPC calls refused for their API key");
}

/// Looks at every call.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Calls;

impl<S> Layer<S> for Calls {
    type Service = Watched<S>;

    fn layer(&self, inner: S) -> Watched<S> {
        Watched(inner)
    }
}

/// A service under [`Calls`].
#[derive(Debug, Clone)]
pub(super) struct Watched<S>(S);

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, B> Service<Request<B>> for Watched<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Answer<S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let Some((service, method)) = path.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('/')) else {
            return Either::Left(self.0.call(request));
        };
        let span = tracing::debug_span!(
            "grpc",
            otel.name = format!("{service}/{method}"),
            otel.kind = "server",
            otel.status_code = Empty,
            rpc.system = "grpc",
            rpc.service = service,
            rpc.method = method,
            rpc.grpc.status_code = Empty,
        );
        let caller = trace::from_headers(request.headers());
        if let Some(caller) = &caller {
            // An error means that no traces are recorded.
            let _ = span.set_parent(caller.clone());
        }
        let mut watch = Watch {
            service: service.to_owned(),
            method: method.to_owned(),
            began: Instant::now(),
            span: span.clone(),
            // Until it has an answer: the caller may go away, or the time may be over.
            code: Code::Cancelled,
        };
        let call = self.0.call(request);
        let watched = async move {
            // The whole of it moves in here, so that it ends with this future.
            let watch = &mut watch;
            let answer = call.await;
            watch.code = match &answer {
                // Errors that are known before the first message are in the head.
                Ok(response) => response
                    .headers()
                    .get("grpc-status")
                    .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes())),
                Err(_) => Code::Unknown,
            };
            answer
        }
        .instrument(span);
        Either::Right(match caller {
            Some(caller) => Box::pin(watched.with_context(caller)),
            None => Box::pin(watched),
        })
    }
}

/// A call under way; when it is over, however it ends, it is counted.
struct Watch {
    service: String,
    method: String,
    began: Instant,
    span: Span,
    code: Code,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let code = self.code;
        self.span.record("rpc.grpc.status_code", code as i64);
        let server_is_to_blame = matches!(
            code,
            Code::Unknown
                | Code::DeadlineExceeded
                | Code::Unimplemented
                | Code::Internal
                | Code::Unavailable
                | Code::DataLoss
        );
        if server_is_to_blame {
            self.span.record("otel.status_code", "ERROR");
        }
        // Whoever calls what there is not must not invent labels.
        let (service, method) = match code {
            Code::Unimplemented => ("unknown".to_owned(), "unknown".to_owned()),
            _ => (std::mem::take(&mut self.service), std::mem::take(&mut self.method)),
        };
        metrics::histogram!(SECONDS, "service" => service.clone(), "method" => method.clone())
            .record(self.began.elapsed());
        metrics::counter!(REQUESTS, "service" => service, "method" => method, "code" => word(code))
            .increment(1);
    }
}

/// A code as gRPC's documents write it.
fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}
