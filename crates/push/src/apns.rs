//! Apple's devices: HTTP/2, with tokens that we sign ourselves.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use http::{StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Client;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;

use crate::{
    clock::Clock,
    credential::{Credential, Token},
    exchange::{Answer, exchange, trusted},
    keys::encode,
    measure::counted,
    payload::{Shown, fit},
    push::{Device, Outcome, Push, Service, Urgency},
    sender::{Sender, not_mine},
    settings::Settings,
};

/// The largest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 4_096;
/// How long a token is used. Apple takes one for an hour, and new ones at most every 20 minutes.
const TOKEN_SECONDS: i64 = 40 * 60;
/// The longest collapse id, in bytes.
const COLLAPSE_BYTES_MAX: usize = 64;
/// The longest device token, in hexadecimal digits.
const DIGITS_MAX: usize = 200;

/// Who pushes, and to which app.
#[derive(Clone)]
pub(crate) struct Provider {
    key: EncodingKey,
    key_id: String,
    team: String,
    topic: String,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({})", self.topic)
    }
}

impl Provider {
    pub(crate) fn new(pem: &[u8], key_id: &str, team: &str, topic: &str) -> Result<Self, String> {
        let key = EncodingKey::from_ec_pem(pem).map_err(|_| "it is no key of Apple's (.p8)".to_owned())?;
        Ok(Self { key, key_id: key_id.to_owned(), team: team.to_owned(), topic: topic.to_owned() })
    }
}

/// Pushes to Apple's devices.
#[derive(Debug)]
pub(crate) struct Apns {
    client: Client,
    provider: Provider,
    base: Url,
    ttl: Duration,
    clock: Clock,
    credential: Credential,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    iat: i64,
}

impl Apns {
    pub(crate) fn new(settings: &Settings, provider: Provider, clock: Clock) -> Result<Self, String> {
        let credential = Credential::new(clock.clone());
        let base = settings.apns_url.clone();
        Ok(Self { client: trusted(settings)?, provider, base, ttl: settings.ttl, clock, credential })
    }

    async fn token(&self, refused: Option<&str>) -> Result<String, Outcome> {
        let make = async || {
            let now = self.clock.seconds();
            let header = Header { kid: Some(self.provider.key_id.clone()), ..Header::new(Algorithm::ES256) };
            let claims = Claims { iss: &self.provider.team, iat: now };
            let text = jsonwebtoken::encode(&header, &claims, &self.provider.key)
                .map_err(|why| Outcome::refused(format!("the key can't sign: {why}")))?;
            Ok(Token { text, until: now + TOKEN_SECONDS })
        };
        self.credential.get(refused, make).await
    }

    async fn attempt(&self, device: &Device, push: &Push) -> Outcome {
        let Device::Apns { token } = device else { return Outcome::refused(not_mine(Service::Apns, device)) };
        if let Err(why) = check_token(token) {
            return Outcome::refused(why);
        }
        let Some(body) = fit(push, MESSAGE_BYTES_MAX, message) else {
            return Outcome::refused("the push does not fit 4 KB");
        };
        let address = format!("{}/3/device/{token}", self.base.as_str().trim_end_matches('/'));
        let ttl = i64::try_from(push.ttl.unwrap_or(self.ttl).min(self.ttl).as_secs()).unwrap_or(i64::MAX);
        let priority = if push.urgency == Urgency::High { "10" } else { "5" };
        let mut refused = None;
        loop {
            let signed = match self.token(refused.as_deref()).await {
                Ok(signed) => signed,
                Err(outcome) => return outcome,
            };
            let mut request = self
                .client
                .post(&address)
                .header(header::AUTHORIZATION, format!("bearer {signed}"))
                .header("apns-topic", &self.provider.topic)
                .header("apns-push-type", "alert")
                .header("apns-priority", priority)
                .header("apns-expiration", self.clock.seconds() + ttl)
                .body(body.clone());
            if let Some(topic) = &push.topic {
                request = request.header("apns-collapse-id", short(topic));
            }
            let answer = match exchange(request).await {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
            let reason = reason(&answer);
            if answer.status == StatusCode::FORBIDDEN && reason == "ExpiredProviderToken" && refused.is_none()
            {
                refused = Some(signed);
                continue;
            }
            return self.outcome(&answer, &reason);
        }
    }

    fn outcome(&self, answer: &Answer, reason: &str) -> Outcome {
        match answer.outcome(&self.clock, reason) {
            Outcome::Sent { .. } => Outcome::Sent { id: answer.header("apns-id") },
            _ if matches!(
                reason,
                "BadDeviceToken" | "Unregistered" | "DeviceTokenNotForTopic" | "ExpiredToken"
            ) =>
            {
                Outcome::Gone
            }
            // Only 410 and the reasons above are about the device.
            Outcome::Gone if answer.status == StatusCode::NOT_FOUND => {
                Outcome::refused(format!("the service answered 404: {reason}"))
            }
            other => other,
        }
    }
}

#[async_trait]
impl Sender for Apns {
    fn service(&self) -> Service {
        Service::Apns
    }

    fn check(&self, device: &Device) -> Result<(), String> {
        let Device::Apns { token } = device else { return Err(not_mine(Service::Apns, device)) };
        check_token(token)
    }

    async fn send(&self, device: &Device, push: &Push) -> Outcome {
        counted(Service::Apns, self.attempt(device, push)).await
    }
}

fn check_token(token: &str) -> Result<(), String> {
    let is_hex = token.bytes().all(|byte| byte.is_ascii_hexdigit());
    if token.is_empty() || token.len() > DIGITS_MAX || !is_hex {
        return Err("the device token is not hexadecimal digits".to_owned());
    }
    Ok(())
}

fn reason(answer: &Answer) -> String {
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    body.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn message(shown: &Shown<'_>) -> Value {
    let alert = json!({ "title": shown.title, "body": shown.body });
    let mut message = json!({ "aps": { "alert": alert, "sound": "default" }, "id": shown.id });
    if let (Some(data), Some(fields)) = (shown.data, message.as_object_mut()) {
        fields.insert("data".to_owned(), data.clone());
    }
    if let (true, Some(fields)) = (shown.shortened, message.as_object_mut()) {
        fields.insert("shortened".to_owned(), Value::Bool(true));
    }
    message
}

/// A collapse id: what of a topic fits a header of its length.
fn short(topic: &str) -> String {
    let plain: String = topic.chars().filter(char::is_ascii_graphic).collect();
    if plain == topic && plain.len() <= COLLAPSE_BYTES_MAX {
        return plain;
    }
    encode(&Sha256::digest(topic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collapse_id_fits_its_header() {
        assert_eq!(short("order:5012"), "order:5012");
        assert_eq!(short(&"x".repeat(65)).len(), 43);
        assert_eq!(short("bestellung für Ada").len(), 43);
    }
}
