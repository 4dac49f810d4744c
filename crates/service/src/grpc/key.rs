//! API keys on gRPC: attached by callers of ours, together with the trace context, and checked at doors that
//! others can reach.

use std::{
    borrow::Cow,
    task::{Context, Poll},
};

use futures_util::future::Either;
use http::{HeaderMap, Request, Response, Uri};
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
///
/// Where no key is configured, which is on loopback only, pages in a browser on the same machine are refused: they
/// could send plain requests there.
#[derive(Debug, Clone)]
pub(super) struct CheckKey {
    keys: ApiKeys,
}

/// Paths of plain HTTP.
const HTTP: &str = "/api/";

impl CheckKey {
    pub(super) fn new(keys: ApiKeys) -> Self {
        Self { keys }
    }

    fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Status> {
        if self.keys.is_empty() {
            return match headers.contains_key(http::header::ORIGIN) {
                true => Err(Status::permission_denied("pages in a browser have no business here")),
                false => Ok(()),
            };
        }
        if uri.path().starts_with("/grpc.health.v1.Health/") {
            return Ok(());
        }
        match key(uri, headers) {
            None => Err(Status::unauthenticated(
                "no API key: send `authorization: Bearer KEY` or `x-api-key: KEY`, with a key of REALTIME_API_KEYS",
            )),
            Some(key) if self.keys.check(&key).is_some() => Ok(()),
            Some(_) => Err(Status::unauthenticated("this API key is not one of REALTIME_API_KEYS")),
        }
    }
}

/// The key of a call. Plain HTTP has two more places for it, as clients of Centrifugo's API use them.
fn key<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<Cow<'a, str>> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_http = uri.path().starts_with(HTTP);
    let authorization = text("authorization").and_then(|value| {
        let apikey = value.strip_prefix("apikey ").filter(|_| is_http);
        value.strip_prefix("Bearer ").or(apikey)
    });
    if let Some(key) = authorization.or_else(|| text("x-api-key")) {
        return Some(key.into());
    }
    let query = uri.query().filter(|_| is_http)?;
    url::form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "api_key").map(|(_, key)| key)
}

/// A refusal, as whoever is refused understands it.
fn refusal(path: &str, status: &Status) -> Response<Body> {
    if !path.starts_with(HTTP) {
        return status.clone().into_http();
    }
    let mut response = Response::new(Body::new(format!("{}\n", status.message())));
    *response.status_mut() = match status.code() {
        tonic::Code::Unauthenticated => http::StatusCode::UNAUTHORIZED,
        _ => http::StatusCode::FORBIDDEN,
    };
    response
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
        match self.check.check(request.uri(), request.headers()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => {
                metrics::counter!("realtime_grpc_refused_keys_total").increment(1);
                Either::Right(std::future::ready(Ok(refusal(request.uri().path(), &status))))
            }
        }
    }
}
