//! A request to become a WebSocket. Input: as HTTP writes it, `GET /path?query` and then a header on each line.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use platepal_edge::fuzzing::handshake;
use platepal_fuzz::{line, text};

/// As many as our HTTP server takes.
const HEADERS_MAX: usize = 100;

fuzz_target!(|input: &[u8]| {
    let (request, mut rest) = line(input);
    let Some((method, target)) = text(request).and_then(|request| request.split_once(' ')) else { return };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut headers = HeaderMap::new();
    while !rest.is_empty() && headers.len() < HEADERS_MAX {
        let header;
        (header, rest) = line(rest);
        let mut parts = header.splitn(2, |byte| *byte == b':');
        let (Some(name), Some(value)) = (parts.next(), parts.next()) else { continue };
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name), HeaderValue::from_bytes(value.trim_ascii()))
        {
            headers.append(name, value);
        }
    }
    let origins = ["https://app.example".to_owned()];
    match handshake(&method, path, query, &headers, &origins) {
        Ok(asked) => {
            assert_eq!(method, Method::GET);
            assert!(asked.since.is_none_or(|since| (1..=128).contains(&since.len())));
        }
        Err(refusal) => {
            assert!(refusal.status().is_client_error());
            assert!(refusal.body().len() < 2_000, "a refusal does not repeat a whole request");
        }
    }
});
