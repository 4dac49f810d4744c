//! The HTTP side of a WebSocket: what a request asks for, and the answer when it can't have it.

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{routes, routes::NoRoute, session::Arrival};

/// The longest event id that is read from a query.
const SINCE_CHARS_MAX: usize = 128;

/// Why a request is not upgraded.
#[derive(Debug)]
pub(crate) struct Refused {
    pub status: StatusCode,
    pub word: &'static str,
    message: String,
}

impl Refused {
    pub fn new(status: StatusCode, word: &'static str, message: impl Into<String>) -> Self {
        Self { status, word, message: message.into() }
    }

    pub fn response(self) -> Response<String> {
        let body = serde_json::json!({ "error": self.word, "message": self.message }).to_string() + "\n";
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match self.status {
            StatusCode::UPGRADE_REQUIRED => {
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

/// What a request asks for, and the key with which to accept it.
pub(crate) fn read(
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    allowed_origins: &[String],
) -> Result<(Arrival, String), Refused> {
    let channel = routes::channel(path).map_err(|why| match why {
        NoRoute::Unknown => Refused::new(StatusCode::NOT_FOUND, "not_found", why.to_string()),
        NoRoute::Id(_) => Refused::new(StatusCode::BAD_REQUEST, "bad_id", why.to_string()),
    })?;
    let text =
        |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
    let has_word =
        |name, word: &str| text(name).split(',').any(|part| part.trim().eq_ignore_ascii_case(word));
    let key = text(header::SEC_WEBSOCKET_KEY);
    let upgrades = method == Method::GET
        && has_word(header::UPGRADE, "websocket")
        && has_word(header::CONNECTION, "upgrade")
        && text(header::SEC_WEBSOCKET_VERSION) == "13"
        && !key.is_empty();
    if !upgrades {
        return Err(Refused::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "this is a WebSocket: connect with ws:// or wss://, version 13",
        ));
    }
    if let Some(origin) = headers.get(header::ORIGIN) {
        let origin = origin.to_str().unwrap_or_default();
        if !is_allowed(origin, text(header::HOST), allowed_origins) {
            let shown: String = origin.chars().take(100).collect();
            return Err(Refused::new(
                StatusCode::FORBIDDEN,
                "origin_not_allowed",
                format!(
                    "pages of {shown:?} may not connect here; add the origin to REALTIME_ALLOWED_ORIGINS"
                ),
            ));
        }
    }
    let token = parameter(query, "token").or_else(|| {
        let (scheme, token) = text(header::AUTHORIZATION).split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    let since = parameter(query, "since_event_id").filter(|id| !id.is_empty());
    let since = since.map(|id| if id.len() > SINCE_CHARS_MAX { "?".to_owned() } else { id });
    Ok((Arrival { channel, token, since }, derive_accept_key(key.as_bytes())))
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
