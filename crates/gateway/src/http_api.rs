//! Centrifugo's server API over HTTP: `POST /api/<method>` with JSON, on the gateway's one address, for backends
//! that use the `cent` package or another client of that API.
//!
//! A translation, with nothing of its own behind it: publishing is [`Publisher`]'s, orders are [`Instructor`]'s,
//! questions are for all edges, history is the bus's. What the API has and this tier has not is refused by
//! name, never left out in silence. The key is checked at the door, as for gRPC.

mod answer;
mod batch;
mod history;
mod nodes;
mod presence;
mod publish;
mod rpc;
mod sessions;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use platepal_bus::Bus;
use platepal_service::{Clock, Parts, edges::Edges, grpc::Links};
use serde_json::value::RawValue;
use tonic::body::Body;
use tower::Service;

use self::answer::{ErrorMode, Problem, plain, refusal};
use crate::{Settings, instruct::Instructor, publish::Publisher};

/// The share of the server's own time limit that a call may take: the answer to one that takes too long is then
/// ours, in JSON.
const TIME_SHARE: f64 = 0.95;

/// What becomes of one call: JSON, or why there is none.
type Answer = Result<Box<RawValue>, Problem>;

/// Serves the API. Cheap to clone.
#[derive(Clone)]
pub(crate) struct HttpApi(Arc<Api>);

struct Api {
    publisher: Publisher,
    instructor: Instructor,
    edges: Edges,
    links: Links,
    bus: Arc<dyn Bus>,
    clock: Clock,
    body_bytes_max: usize,
    message_bytes_max: usize,
    timeout: Duration,
}

/// What is no call at all: an HTTP status, and words for people.
struct Refused(StatusCode, String);

macro_rules! calls {
    ($($variant:ident = $word:literal,)+) => {
        /// A method of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        enum Call { $($variant,)+ }

        impl Call {
            fn named(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)+ _ => None }
            }

            fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

calls! {
    Publish = "publish",
    Broadcast = "broadcast",
    Batch = "batch",
    Subscribe = "subscribe",
    Unsubscribe = "unsubscribe",
    Disconnect = "disconnect",
    Refresh = "refresh",
    Presence = "presence",
    PresenceStats = "presence_stats",
    History = "history",
    HistoryRemove = "history_remove",
    Channels = "channels",
    Info = "info",
    Rpc = "rpc",
}

impl HttpApi {
    pub(crate) fn new(
        settings: &Settings,
        parts: &Parts,
        publisher: Publisher,
        instructor: Instructor,
    ) -> Self {
        metrics::describe_counter!(
            "realtime_gateway_api_requests_total",
            "Requests to the HTTP API, by method and result"
        );
        metrics::describe_histogram!(
            "realtime_gateway_api_request_seconds",
            metrics::Unit::Seconds,
            "From a request to the HTTP API to its answer, by method"
        );
        Self(Arc::new(Api {
            publisher,
            instructor,
            edges: parts.edges.clone(),
            links: parts.links.clone(),
            bus: parts.bus.clone(),
            clock: parts.clock,
            body_bytes_max: settings.api_body_bytes.0,
            message_bytes_max: parts.settings.grpc_message_bytes.0,
            timeout: parts.settings.grpc_timeout.mul_f64(TIME_SHARE),
        }))
    }
}

impl Service<Request<Body>> for HttpApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let api = Arc::clone(&self.0);
        Box::pin(async move { Ok(api.respond(request).await) })
    }
}

impl Api {
    async fn respond(&self, request: Request<Body>) -> Response<Body> {
        let began = Instant::now();
        let word = request.uri().path().strip_prefix("/api/").unwrap_or_default();
        let Some(call) = Call::named(word) else {
            count("unknown", "refused");
            return plain(StatusCode::NOT_FOUND, "there is no such method");
        };
        if request.method() != Method::POST {
            count(call.word(), "refused");
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "the API takes POST");
            response.headers_mut().insert(http::header::ALLOW, http::HeaderValue::from_static("POST"));
            return response;
        }
        let mode = ErrorMode::of(request.headers());
        let work = async {
            let body = self.read(request.into_body()).await?;
            // A method without parameters may have no body at all.
            let body = if body.is_empty() { "{}".as_bytes() } else { &body };
            if let Err(why) = serde_json::from_slice::<serde::de::IgnoredAny>(body) {
                return Err(Refused(StatusCode::BAD_REQUEST, format!("the body is not JSON: {why}")));
            }
            Ok(Box::pin(self.call(call, body)).await)
        };
        let worked = tokio::time::timeout(self.timeout, work).await;
        let worked = worked.unwrap_or_else(|_| {
            let words = "it took too long, and may be done or not; repeat it with the same idempotency_key";
            Ok(Err(Problem::internal(words)))
        });
        metrics::histogram!("realtime_gateway_api_request_seconds", "method" => call.word())
            .record(began.elapsed());
        match worked {
            Ok(Ok(result)) => {
                count(call.word(), "done");
                // The answers of a batch stand for themselves.
                let body = match call {
                    Call::Batch => result.get().to_owned(),
                    _ => format!(r#"{{"result":{}}}"#, result.get()),
                };
                answer::json(StatusCode::OK, body)
            }
            Ok(Err(problem)) => {
                count(call.word(), "error");
                tracing::debug!(
                    method = call.word(),
                    code = problem.code,
                    why = problem.message,
                    "API error"
                );
                refusal(mode, &problem)
            }
            Err(Refused(status, words)) => {
                count(call.word(), "refused");
                plain(status, &words)
            }
        }
    }

    async fn read(&self, body: Body) -> Result<bytes::Bytes, Refused> {
        match Limited::new(body, self.body_bytes_max).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            Err(why) if why.is::<LengthLimitError>() => {
                let words = format!("the body is larger than {} bytes", self.body_bytes_max);
                Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, words))
            }
            Err(_) => Err(Refused(StatusCode::BAD_REQUEST, "the body did not come to its end".to_owned())),
        }
    }

    async fn call(&self, call: Call, body: &[u8]) -> Answer {
        match call {
            Call::Batch => self.batch(body).await,
            other => self.one(other, body).await,
        }
    }

    /// Anything but a batch.
    async fn one(&self, call: Call, body: &[u8]) -> Answer {
        match call {
            Call::Publish => self.publish(body).await,
            Call::Broadcast => self.broadcast(body).await,
            Call::Subscribe => self.subscribe(body).await,
            Call::Unsubscribe => self.unsubscribe(body).await,
            Call::Disconnect => self.disconnect(body).await,
            Call::Refresh => self.refresh(body).await,
            Call::Presence => self.presence(body).await,
            Call::PresenceStats => self.presence_stats(body).await,
            Call::History => self.history(body).await,
            Call::HistoryRemove => Err(Problem::new(
                108,
                "a channel's log can't be cut: others heal by it; it is dropped by age and length",
            )),
            Call::Channels => self.channels(body).await,
            Call::Info => self.info().await,
            Call::Rpc => self.rpc(body).await,
            Call::Batch => Err(Problem::new(107, "a batch within a batch")),
        }
    }
}

fn count(method: &'static str, result: &'static str) {
    metrics::counter!("realtime_gateway_api_requests_total", "method" => method, "result" => result)
        .increment(1);
}
