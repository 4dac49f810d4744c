//! API keys on gRPC: attached by callers of ours, together with the trace context, and checked at doors that
//! others can reach.

use std::task::{Context, Poll};

use futures_util::future::Either;
use http::{HeaderMap, Request, Response};
use platepal_auth::ApiKeys;
use tonic::{Status, body::Body, metadata::AsciiMetadataValue, service::Interceptor};
use tower::{Layer, Service};

use crate::trace;

/// Attaches a key, and the trace that the call is a part of, to every call.
#[derive(Debug, Clone, Default)]
pub struct AttachKey(Option<AsciiMetadataValue>);

impl AttachKey {
    /// Attaches `key`, or nothing when there is none.
    pub fn new(key: Option<&str>) -> Self {
        Self(key.and_then(|key| {
            let mut value: AsciiMetadataValue = format!("Bearer {key}").parse().ok()?;
            value.set_sensitive(true);
            Some(value)
        }))
    }

    /// Attaches both to plain headers, for the pass-through.
    pub fn to_headers(&self, headers: &mut HeaderMap) {
        trace::inject(headers);
        headers.remove(http::header::AUTHORIZATION);
        headers.remove("x-api-key");
        if let Some(value) = self.0.as_ref().and_then(|value| value.to_str().ok())
            && let Ok(mut value) = http::HeaderValue::from_str(value)
        {
            value.set_sensitive(true);
            headers.insert(http::header::AUTHORIZATION, value);
        }
    }
}

impl Interceptor for AttachKey {
    fn call(&mut self, mut request: tonic::Request<()>) -> Result<tonic::Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        if let Some(traceparent) = trace::current().and_then(|text| text.parse().ok()) {
            request.metadata_mut().insert("traceparent", traceparent);
        }
        Ok(request)
    }
}

/// Refuses calls without a known key. Health is open: probes have no key.
#[derive(Debug, Clone)]
pub(super) struct CheckKey {
    keys: ApiKeys,
}

impl CheckKey {
    pub(super) fn new(keys: ApiKeys) -> Self {
        Self { keys }
    }

    fn check(&self, path: &str, headers: &HeaderMap) -> Result<(), Status> {
        if self.keys.is_empty() || path.starts_with("/grpc.health.v1.Health/") {
            return Ok(());
        }
        let bearer = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let key = bearer
            .and_then(|value| value.strip_prefix("Bearer "))
            .or_else(|| headers.get("x-api-key").and_then(|value| value.to_str().ok()));
        match key {
            None => Err(Status::unauthenticated(
                "no API key: send `authorization: Bearer KEY` or `x-api-key: KEY`, with a key of REALTIME_API_KEYS",
            )),
            Some(key) if self.keys.check(key).is_some() => Ok(()),
            Some(_) => Err(Status::unauthenticated("this API key is not one of REALTIME_API_KEYS")),
        }
    }
}

impl<S> Layer<S> for CheckKey {
    type Service = Checked<S>;

    fn layer(&self, inner: S) -> Checked<S> {
        Checked { check: self.clone(), inner }
    }
}

/// A service behind [`CheckKey`].
#[derive(Debug, Clone)]
pub(super) struct Checked<S> {
    check: CheckKey,
    inner: S,
}

impl<S, B> Service<Request<B>> for Checked<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, std::future::Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        match self.check.check(request.uri().path(), request.headers()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => {
                metrics::counter!("realtime_grpc_refused_keys_total").increment(1);
                Either::Right(std::future::ready(Ok(status.into_http())))
            }
        }
    }
}
