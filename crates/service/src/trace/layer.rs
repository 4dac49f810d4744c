//! The trace context of gRPC calls that come in.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{Request, Response};
use opentelemetry::trace::FutureExt;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::{Instrument, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Calls to services of this package are traced; health and reflection are not.
const PACKAGE: &str = "/platepal.realtime.v1.";

/// Runs each call within its caller's trace context, in a span of its own when traces are recorded.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct TraceCalls;

impl<S> Layer<S> for TraceCalls {
    type Service = Traced<S>;

    fn layer(&self, inner: S) -> Traced<S> {
        Traced(inner)
    }
}

/// A service under [`TraceCalls`].
#[derive(Debug, Clone)]
pub(crate) struct Traced<S>(S);

type Recorded<R, E> = Pin<Box<dyn Future<Output = Result<R, E>> + Send>>;

impl<S, B> Service<Request<B>> for Traced<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Recorded<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let Some((service, method)) = path.strip_prefix(PACKAGE).and_then(|rest| rest.split_once('/')) else {
            return Either::Left(self.0.call(request));
        };
        let caller = super::from_headers(request.headers());
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
        if caller.is_none() && span.is_disabled() {
            return Either::Left(self.0.call(request));
        }
        if let Some(caller) = &caller {
            // An error means that no traces are recorded.
            let _ = span.set_parent(caller.clone());
        }
        let call = self.0.call(request);
        let of_call = span.clone();
        let recorded = async move {
            let answer = call.await;
            if let Ok(response) = &answer {
                // Errors that are known before the first message are in the head; 0 otherwise.
                let status = response.headers().get("grpc-status").and_then(|code| code.to_str().ok());
                let code = status.and_then(|code| code.parse::<i64>().ok()).unwrap_or_default();
                of_call.record("rpc.grpc.status_code", code);
                // Of these a server is to blame: unknown, deadline, unimplemented, internal, unavailable, loss.
                if matches!(code, 2 | 4 | 12 | 13 | 14 | 15) {
                    of_call.record("otel.status_code", "ERROR");
                }
            }
            answer
        }
        .instrument(span);
        Either::Right(match caller {
            Some(caller) => Box::pin(recorded.with_context(caller)),
            None => Box::pin(recorded),
        })
    }
}
