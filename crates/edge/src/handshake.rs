//! The HTTP side of a WebSocket: what a request asks for, and the answer when it can't have it.

use std::{net::IpAddr, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use rand::Rng;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{routes, routes::NoRoute, session::Arrival};

/// The longest event id that is read from a query.
const SINCE_CHARS_MAX: usize = 128;
/// When to come back to a server that can't say it better, in seconds: each client at another moment.
const RETRY_AFTER_SECONDS: std::ops::RangeInclusive<f64> = 2.0..=7.0;

/// Why a request is not upgraded.
#[derive(Debug)]
pub(crate) struct Refused {
    pub status: StatusCode,
    pub word: &'static str,
    message: String,
    retry_after: Option<Duration>,
}

impl Refused {
    pub fn new(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        let retry_after = (status == StatusCode::SERVICE_UNAVAILABLE)
            .then(|| Duration::from_secs_f64(rand::rng().random_range(RETRY_AFTER_SECONDS)));
        Self { status, word, message: message.into(), retry_after }
    }

    /// A refusal that is over after a time.
    pub fn until(
        status: StatusCode,
        word: &'static str,
        message: impl Into<String>,
        retry_after: Duration,
    ) -> Self {
        Self { status, word, message: message.into(), retry_after: Some(retry_after) }
    }

    #[cfg(test)]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    pub fn response(self) -> Response<String> {
        let mut body = serde_json::json!({ "error": self.word, "message": self.message });
        if let (Some(body), Some(time)) = (body.as_object_mut(), self.retry_after) {
            let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            body.insert("retry_after_ms".to_owned(), millis.into());
        }
        let mut response = Response::new(body.to_string() + "\n");
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            // What is left of the body is not read, so nothing can follow it.
            StatusCode::REQUEST_TIMEOUT | StatusCode::PAYLOAD_TOO_LARGE => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            _ => {}
        }
        if let Some(time) = self.retry_after {
            // Never earlier than said: the header knows whole seconds only.
            headers.insert(header::RETRY_AFTER, (time.as_secs_f64().ceil() as u64).max(1).into());
        }
        response
    }
}

/// The parts of a request that decide what becomes of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head<'a> {
    pub method: &'a Method,
    pub path: &'a str,
    pub query: &'a str,
    pub headers: &'a HeaderMap,
}

impl Head<'_> {
    /// A header as text; empty when there is none.
    pub fn text(&self, name: impl header::AsHeaderName) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    fn has_word(&self, name: impl header::AsHeaderName, word: &str) -> bool {
        self.text(name).split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
    }

    /// The first value of a name in the query.
    pub fn parameter(&self, name: &str) -> Option<String> {
        parameter(self.query, name)
    }

    /// The token, from the query or the header.
    pub fn token(&self) -> Option<String> {
        self.parameter("token").or_else(|| {
            let (scheme, token) = self.text(header::AUTHORIZATION).split_once(' ')?;
            scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
        })
    }

    /// The key with which to accept the upgrade to a WebSocket.
    pub fn accept_key(&self) -> Result<String, Refused> {
        let key = self.text(header::SEC_WEBSOCKET_KEY);
        let upgrades = self.method == Method::GET
            && self.has_word(header::UPGRADE, "websocket")
            && self.has_word(header::CONNECTION, "upgrade")
            && self.text(header::SEC_WEBSOCKET_VERSION) == "13"
            && !key.is_empty();
        if !upgrades {
            return Err(Refused::new(
                StatusCode::UPGRADE_REQUIRED,
                "upgrade_required",
                "this is a WebSocket: connect with ws:// or wss://, version 13",
            ));
        }
        let has_body = self.headers.contains_key(header::TRANSFER_ENCODING)
            || self.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
        if has_body {
            // Bytes of which a proxy thinks that they are the body of a request would be frames to us.
            return Err(Refused::new(StatusCode::BAD_REQUEST, "bad_request", "a handshake has no body"));
        }
        Ok(derive_accept_key(key.as_bytes()))
    }

    /// Whether a browser's page, if one asks, may.
    pub fn check_origin(&self, allowed_origins: &[String]) -> Result<(), Refused> {
        let Some(origin) = self.headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().unwrap_or_default();
        if is_allowed(origin, self.text(header::HOST), allowed_origins) {
            return Ok(());
        }
        let shown: String = origin.chars().take(100).collect();
        Err(Refused::new(
            StatusCode::FORBIDDEN,
            "origin_not_allowed",
            format!("pages of {shown:?} may not connect here; add the origin to REALTIME_ALLOWED_ORIGINS"),
        ))
    }

    /// The subprotocol to speak of those that are offered, if one of these.
    pub fn subprotocol(&self, known: &[&'static str]) -> Option<&'static str> {
        known.iter().copied().find(|name| self.has_word(header::SEC_WEBSOCKET_PROTOCOL, name))
    }

    /// What a client of one feed asks for.
    pub fn arrival(&self, address: Option<IpAddr>) -> Result<Arrival, Refused> {
        let channel = routes::feed(self.path).map_err(|why| match why {
            NoRoute::Unknown => Refused::new(StatusCode::NOT_FOUND, "not_found", why.to_string()),
            NoRoute::Id(_) => Refused::new(StatusCode::BAD_REQUEST, "bad_id", why.to_string()),
        })?;
        let since = self.parameter("since_event_id").filter(|id| !id.is_empty());
        Ok(Arrival { channel, token: self.token(), since: since.map(seen), address })
    }
}

/// The id of the last event seen; one that is too long is one that nobody knows.
pub(crate) fn seen(id: String) -> String {
    if id.len() > SINCE_CHARS_MAX { "?".to_owned() } else { id }
}

/// Whether a page of this origin may connect: it is listed, or the server's own.
fn is_allowed(origin: &str, host: &str, allowed: &[String]) -> bool {
    let is_own = origin.split_once("://").is_some_and(|(scheme, authority)| {
        matches!(scheme, "http" | "https") && !authority.is_empty() && authority.eq_ignore_ascii_case(host)
    });
    is_own || allowed.iter().any(|listed| listed == "*" || listed.eq_ignore_ascii_case(origin))
}

/// The first value of a name in a query string.
fn parameter(query: &str, name: &str) -> Option<String> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let value = pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()?;
    Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_page_of_another_site_may_not_connect_unless_it_is_listed() {
        let listed = ["https://app.example".to_owned(), "http://localhost:3000".to_owned()];
        for origin in
            ["https://app.example", "HTTPS://APP.example", "http://localhost:3000", "https://rt.example:8000"]
        {
            assert!(is_allowed(origin, "rt.example:8000", &listed), "{origin}");
        }
        for origin in [
            "",
            "null",
            "https://evil.example",
            "https://app.example.evil",
            "http://app.example",
            "http://localhost:3001",
            "https://app.example:444",
            "rt.example:8000",
            "https://rt.example",
        ] {
            assert!(!is_allowed(origin, "rt.example:8000", &listed), "{origin}");
        }
        assert!(!is_allowed("null", "null", &[]));
        assert!(is_allowed("null", "rt.example", &["*".to_owned()]));
    }

    #[test]
    fn a_query_is_read_as_browsers_write_it() {
        let query = "token=a%2Eb.c&since_event_id=0b2d-3b&token=other";
        assert_eq!(parameter(query, "token").as_deref(), Some("a.b.c"));
        assert_eq!(parameter(query, "since_event_id").as_deref(), Some("0b2d-3b"));
        assert_eq!(parameter(query, "since"), None);
    }

    proptest! {
        #[test]
        fn no_query_makes_it_panic(query in "\\PC{0,200}") {
            let _ = parameter(&query, "token");
            let _ = parameter(&format!("token={query}"), "token");
        }
    }
}
