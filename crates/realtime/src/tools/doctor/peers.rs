//! Others that are asked over the network: domains in other processes, the issuer's key set, Django, the collector.

use std::time::{Duration, Instant};

use platepal_auth::ApiKeys;
use platepal_events::Domain;
use platepal_proto::v1;
use platepal_service::grpc::Link;
use reqwest::{Client, StatusCode, redirect};
use tonic::Code;
use url::Url;

use super::{ANSWER_TIME, Finding, Patient, clocks};
use crate::cli::Role;

/// A message that is refused for its content is small.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// An HTTP client that follows nobody elsewhere.
pub(super) fn client(timeout: Duration) -> Result<Client, reqwest::Error> {
    Client::builder().timeout(timeout).redirect(redirect::Policy::none()).build()
}

/// Whether the domains that run elsewhere answer, and let us in.
pub(super) async fn domains(patient: &Patient<'_>) -> Vec<Finding> {
    let configuration = patient.configuration;
    let elsewhere = Domain::ALL.into_iter().filter(|domain| !patient.runs(Role::of(*domain)));
    let keys = ApiKeys::new(&configuration.keys).ok();
    let key = keys.as_ref().and_then(ApiKeys::first);
    let mut findings = Vec::new();
    for domain in elsewhere {
        let (word, setting) = (domain.word(), format!("REALTIME_{}_URL", domain.word().to_uppercase()));
        // Missing where it is needed: a mistake of the settings, which is reported there.
        let Some(url) = configuration.service.domain_url(domain) else { continue };
        let link = match Link::remote(url, key, ANSWER_TIME) {
            Ok(link) => link,
            Err(why) => {
                findings.push(Finding::fail("domains", format!("{setting}: {why}")));
                continue;
            }
        };
        // Without a principal: refused for that, once the key has opened the door.
        let answer = link.domain(MESSAGE_BYTES_MAX).authorize(v1::AuthorizeRequest::default()).await;
        findings.push(match answer.err().map(|status| (status.code(), status.message().to_owned())) {
            None | Some((Code::InvalidArgument, _)) => Finding::ok("domains", format!("{word} answers")),
            Some((Code::Unauthenticated, _)) => {
                let advice = "the first of REALTIME_API_KEYS must be one of its keys too";
                Finding::fail("domains", format!("{word} answers, but does not accept our key; {advice}"))
            }
            Some((Code::Unimplemented, _)) => Finding::fail(
                "domains",
                format!("{setting} names a gRPC server that is not the {word} domain"),
            ),
            Some((code, why)) => {
                let advice = format!("is it running, and is {setting} its address?");
                Finding::fail("domains", format!("{word} does not answer ({code:?}: {why}); {advice}"))
            }
        });
    }
    if findings.is_empty() {
        findings.push(Finding::ok("domains", "all that are needed run in this process"));
    }
    findings
}

/// Whether the issuer's key set can be fetched and has keys.
pub(super) async fn key_set(patient: &Patient<'_>) -> Vec<Finding> {
    let tokens = &patient.configuration.tokens;
    let Some(url) = tokens.jwks_url.as_ref().filter(|_| patient.runs(Role::Edge)) else {
        return vec![Finding::ok("key set", "none is used")];
    };
    let (asked, answer) = match get(url.as_str()).await {
        Ok(answer) => answer,
        Err(why) => {
            let message = format!("REALTIME_JWT_JWKS_URL: {why}; tokens can't be checked until it answers");
            return vec![Finding::fail("key set", message)];
        }
    };
    let clock = clocks::compare_http(patient, "the issuer of tokens", &answer, asked.elapsed());
    let status = answer.status();
    let message = if status == StatusCode::OK {
        let document = answer.bytes().await.ok().filter(|body| body.len() <= tokens.jwks_size_max.0);
        let document = document.and_then(|body| serde_json::from_slice::<serde_json::Value>(&body).ok());
        match document.as_ref().and_then(|document| document.get("keys")?.as_array()).map(Vec::len) {
            Some(count) if count > 0 => Finding::ok("key set", format!("{count} keys")),
            Some(_) => Finding::fail("key set", "REALTIME_JWT_JWKS_URL answers a set without keys"),
            None => Finding::fail(
                "key set",
                "REALTIME_JWT_JWKS_URL does not answer a key set; is it the right path?",
            ),
        }
    } else {
        Finding::fail("key set", format!("REALTIME_JWT_JWKS_URL answers {status}; is it the right path?"))
    };
    [Some(message), clock].into_iter().flatten().collect()
}

/// Whether Django's addresses for access questions answer, and refuse a stranger.
pub(super) async fn django(patient: &Patient<'_>) -> Vec<Finding> {
    let access = &patient.configuration.access;
    let templates = [
        ("REALTIME_ACCESS_RESTAURANT_URL", &access.restaurant_url),
        ("REALTIME_ACCESS_CHAT_URL", &access.chat_url),
        ("REALTIME_ACCESS_ORDER_URL", &access.order_url),
        ("REALTIME_ACCESS_ADMIN_URL", &access.admin_url),
    ];
    let set = templates.into_iter().filter_map(|(setting, template)| Some((setting, template.as_ref()?)));
    let mut findings = Vec::new();
    let mut clock = None;
    if patient.runs_a_domain() {
        for (setting, template) in set {
            findings.push(match get(&template.replace("{id}", "1")).await {
                Ok((asked, answer)) => {
                    let compared = || clocks::compare_http(patient, "Django", &answer, asked.elapsed());
                    clock = clock.or_else(compared);
                    stranger(setting, answer.status())
                }
                Err(why) => Finding::fail(
                    "django",
                    format!("{setting}: {why}; is Django running, and the address its own?"),
                ),
            });
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("django", "is never asked who may read what"));
    }
    findings.extend(clock);
    findings
}

/// What an answer to a question without a token means.
fn stranger(setting: &str, status: StatusCode) -> Finding {
    match status.as_u16() {
        401 | 403 => {
            Finding::ok("django", format!("{setting} answers, and refuses a stranger with {status}"))
        }
        404 => Finding::ok(
            "django",
            format!("{setting} answers a stranger with {status}; make sure that the path is right"),
        ),
        200..=299 => {
            let advice = "it would let everybody read: choose an address that needs the user's token";
            Finding::fail("django", format!("{setting} answers {status} without a token; {advice}"))
        }
        300..=399 => {
            let advice = "redirects decide nothing: name the address that it leads to, with its last slash";
            Finding::fail("django", format!("{setting} answers {status}; {advice}"))
        }
        _ => Finding::warn(
            "django",
            format!("{setting} answers {status}; readers are told to try again while it does"),
        ),
    }
}

/// Whether something listens where spans go.
pub(super) async fn collector(patient: &Patient<'_>) -> Vec<Finding> {
    let Some(url) = &patient.configuration.traces.endpoint else {
        return vec![Finding::ok("collector", "no traces are recorded")];
    };
    let place = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(4317));
    vec![match tokio::net::TcpStream::connect(place).await {
        Ok(_) => Finding::ok("collector", "something listens at REALTIME_OTLP_ENDPOINT"),
        Err(why) => Finding::warn(
            "collector",
            format!("REALTIME_OTLP_ENDPOINT: {why}; spans are dropped while it is away"),
        ),
    }]
}

async fn get(url: &str) -> Result<(Instant, reqwest::Response), String> {
    let url: Url = url.parse().map_err(|why| format!("not a URL: {why}"))?;
    let client = client(ANSWER_TIME).map_err(|why| why.to_string())?;
    let asked = Instant::now();
    let answer = client.get(url).send().await;
    // Addresses may hold passwords.
    answer.map(|answer| (asked, answer)).map_err(|why| sentence(&why.without_url()))
}

/// An error with its reasons: the first alone says little.
fn sentence(error: &dyn std::error::Error) -> String {
    let reasons = std::iter::successors(Some(error), |error| error.source());
    reasons.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::{super::Level, *};

    #[test]
    fn an_address_that_lets_strangers_in_fails() {
        let level = |code| stranger("X", StatusCode::from_u16(code).unwrap_or_default()).level;
        assert_eq!([200, 302, 401, 403, 404, 500].map(level), {
            use Level::{Fail, Ok, Warn};
            [Fail, Fail, Ok, Ok, Ok, Warn]
        });
    }
}
