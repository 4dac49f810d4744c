//! One request to a push service and its answer, with everything that may go wrong on the way.
//!
//! Invariant: reasons never hold the address that was asked: an endpoint is a secret.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use http::{HeaderMap, StatusCode, header};
use reqwest::{Client, ClientBuilder, RequestBuilder, redirect};

use crate::{
    clock::Clock,
    guard::{Blocked, Guard},
    push::Outcome,
    settings::Settings,
};

/// The longest wait that a service may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Bytes of an answer that are read; what follows is left.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Characters of an answer that are repeated in a reason.
const REASON_CHARS: usize = 200;

/// What a service answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

/// A client for endpoints that others name.
pub(crate) fn guarded(settings: &Settings, guard: Guard) -> Result<Client, String> {
    builder(settings).dns_resolver(Arc::new(guard)).build().map_err(|why| words(&why))
}

/// A client for an address of the settings.
pub(crate) fn trusted(settings: &Settings) -> Result<Client, String> {
    let mut builder = builder(settings);
    if let Some(file) = &settings.ca {
        let wrong = |why: String| format!("REALTIME_PUSH_CA: {} can't be used: {why}", file.display());
        let pem = std::fs::read(file).map_err(|why| wrong(why.to_string()))?;
        let certificates = reqwest::Certificate::from_pem_bundle(&pem).map_err(|why| wrong(words(&why)))?;
        builder = builder.tls_certs_merge(certificates);
    }
    builder.build().map_err(|why| words(&why))
}

fn builder(settings: &Settings) -> ClientBuilder {
    Client::builder()
        .timeout(settings.timeout)
        .connect_timeout(settings.connect_timeout)
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy()
}

/// Sends a request and reads its answer. An error is what became of the push.
pub(crate) async fn exchange(request: RequestBuilder) -> Result<Answer, Outcome> {
    let mut response = request.send().await.map_err(|why| failed(&why))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while body.len() < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => break,
            // The status is what counts.
            Err(_) => break,
        }
    }
    body.truncate(ANSWER_BYTES_MAX);
    Ok(Answer { status, headers, body })
}

fn failed(why: &reqwest::Error) -> Outcome {
    let mut source: Option<&(dyn Error + 'static)> = Some(why);
    while let Some(cause) = source {
        if let Some(blocked) = cause.downcast_ref::<Blocked>() {
            return Outcome::refused(format!("the endpoint {blocked}"));
        }
        source = cause.source();
    }
    Outcome::later(words(why))
}

/// An error without the address, and with what caused it.
fn words(why: &reqwest::Error) -> String {
    let what = match () {
        () if why.is_timeout() => "the service did not answer in time",
        () if why.is_connect() => "the service can't be reached",
        () => "the exchange with the service failed",
    };
    let mut deepest: &dyn Error = why;
    while let Some(cause) = deepest.source() {
        deepest = cause;
    }
    // The outermost error shows the address, what caused it does not.
    let is_outermost = std::ptr::addr_eq(deepest as *const dyn Error, why as *const reqwest::Error);
    if is_outermost { what.to_owned() } else { format!("{what}: {deepest}") }
}

impl Answer {
    /// What an answer means unless the service says more: taken, gone, later, refused.
    pub(crate) fn outcome(&self, clock: &Clock, reason: &str) -> Outcome {
        let why = || format!("the service answered {}{}", self.status.as_u16(), said(reason));
        match self.status.as_u16() {
            200..=299 => Outcome::Sent { id: None },
            404 | 410 => Outcome::Gone,
            429 | 500..=599 => Outcome::Later { after: self.retry_after(clock), why: why() },
            413 => Outcome::refused(format!("the push is too large for the service{}", said(reason))),
            300..=399 => Outcome::refused("the service answered with a redirect, which is not followed"),
            _ => Outcome::refused(why()),
        }
    }

    /// `Retry-After`, in seconds or as a date.
    pub(crate) fn retry_after(&self, clock: &Clock) -> Option<Duration> {
        let text = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
        let wait = match text.parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let at = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
                let now = Duration::from_secs(clock.seconds().max(0).unsigned_abs());
                at.saturating_sub(now)
            }
        };
        Some(wait.min(RETRY_AFTER_MAX))
    }

    /// A header as text.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name)?.to_str().ok().map(str::to_owned)
    }
}

fn said(reason: &str) -> String {
    let reason: String = reason.chars().filter(|letter| !letter.is_control()).take(REASON_CHARS).collect();
    if reason.is_empty() { reason } else { format!(": {reason}") }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_events::Timestamp;

    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Answer {
        let mut headers = HeaderMap::new();
        if let Some(text) = retry_after {
            headers.insert(header::RETRY_AFTER, text.parse().unwrap());
        }
        Answer { status: StatusCode::from_u16(status).unwrap(), headers, body: Vec::new() }
    }

    fn clock() -> Clock {
        // 2026-11-24T11:30:00Z
        Clock::new(|| Timestamp::from_micros(1_795_519_800_000_000))
    }

    #[test]
    fn every_status_means_something() {
        for (status, word) in [
            (200, "sent"),
            (201, "sent"),
            (202, "sent"),
            (301, "refused"),
            (400, "refused"),
            (403, "refused"),
            (404, "gone"),
            (410, "gone"),
            (413, "refused"),
            (429, "later"),
            (500, "later"),
            (503, "later"),
        ] {
            assert_eq!(answer(status, None).outcome(&clock(), "").word(), word, "{status}");
        }
    }

    #[test]
    fn a_wait_is_seconds_or_a_date_and_at_most_a_day() {
        let wait = |text| answer(503, Some(text)).retry_after(&clock()).map(|wait| wait.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Tue, 24 Nov 2026 11:31:00 GMT"), Some(60));
        assert_eq!(wait("Tue, 24 Nov 2026 11:29:00 GMT"), Some(0));
        assert_eq!(wait("99999999999"), Some(86_400));
        assert_eq!(wait("soon"), None);
    }
}
