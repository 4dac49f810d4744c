//! Cross-origin requests: what pages of other origins may ask, once their origin is allowed.

use ::http::{HeaderValue, Method, Response, StatusCode, header};

use super::{Full, Reply};
use crate::handshake::Head;

/// How long a browser remembers, in seconds.
const MAX_AGE: &str = "86400";
/// Headers that pages may send.
const HEADERS: &str = "authorization, content-type, last-event-id";

/// Lets the page that asked read the answer. Its origin was checked: without one, or with one that is refused,
/// the answer says nothing that a page could not know.
pub(super) fn allow(reply: Reply, head: &Head<'_>) -> Reply {
    let mut response = warp::Reply::into_response(reply);
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if response.status() != StatusCode::FORBIDDEN
        && let Some(origin) = head.headers.get(header::ORIGIN)
    {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    Box::new(response)
}

/// The answer to a browser that asks first.
pub(super) fn preflight(methods: &[Method]) -> Reply {
    let mut response = Response::new(Full::new());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    if let Ok(methods) = HeaderValue::try_from(format!("{}, OPTIONS", list(methods))) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    }
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(HEADERS));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(MAX_AGE));
    Box::new(response)
}

pub(super) fn list(methods: &[Method]) -> String {
    methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ")
}
