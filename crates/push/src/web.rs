//! Browsers: a push is encrypted for one of them (RFC 8291), signed by us (RFC 8292) and left with the browser's push
//! service (RFC 8030), which can read nothing of it.

use std::time::Duration;

use async_trait::async_trait;
use http::header;
use moka::future::Cache;
use p256::PublicKey;
use reqwest::Client;
use serde::Serialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use url::Url;
use web_push_native::{Auth, encrypt};

use crate::{
    clock::Clock,
    exchange::{exchange, guarded},
    guard::{Guard, system_lookup},
    keys::{VapidKeys, decode, encode},
    measure::counted,
    payload::{Shown, fit},
    push::{Device, Outcome, Push, Service},
    sender::{Sender, not_mine},
    settings::Settings,
};

/// What is left of 4,096 bytes for the message: the header takes 86, the padding's delimiter 1, the tag 16.
const MESSAGE_BYTES_MAX: usize = 4_096 - 86 - 17;
/// How long a signature is good; RFC 8292 allows a day.
const SIGNATURE_SECONDS: i64 = 12 * 3_600;
/// How long one is used.
const SIGNATURE_USED: Duration = Duration::from_secs(6 * 3_600);
/// Push services for which a signature is remembered; browsers have a handful.
const ORIGINS_MAX: u64 = 256;
/// The longest topic, in characters of base64url.
const TOPIC_CHARS_MAX: usize = 32;

/// Pushes to browsers.
pub(crate) struct WebPush {
    client: Client,
    guard: Guard,
    keys: VapidKeys,
    contact: String,
    ttl: Duration,
    clock: Clock,
    signatures: Cache<String, String>,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a str,
    exp: i64,
    sub: &'a str,
}

/// A browser's keys.
struct Keys {
    public: PublicKey,
    auth: Auth,
}

impl WebPush {
    pub(crate) fn new(
        settings: &Settings,
        keys: VapidKeys,
        contact: String,
        clock: Clock,
    ) -> Result<Self, String> {
        let guard = Guard::new(settings, system_lookup());
        let signatures = Cache::builder().max_capacity(ORIGINS_MAX).time_to_live(SIGNATURE_USED).build();
        Ok(Self {
            client: guarded(settings, guard.clone())?,
            guard,
            keys,
            contact,
            ttl: settings.ttl,
            clock,
            signatures,
        })
    }

    fn keys_of(p256dh: &str, auth: &str) -> Result<Keys, String> {
        let wrong = |what: &str| format!("{what} is not what a browser gives out");
        let point = decode(p256dh).ok_or_else(|| wrong("p256dh"))?;
        let public = PublicKey::from_sec1_bytes(&point).map_err(|_| wrong("p256dh"))?;
        let auth: [u8; 16] =
            decode(auth).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| wrong("auth"))?;
        Ok(Keys { public, auth: Auth::from(auth) })
    }

    /// Says to a push service who pushes.
    async fn signature(&self, endpoint: &Url) -> Result<String, String> {
        let origin = endpoint.origin().ascii_serialization();
        if let Some(signature) = self.signatures.get(&origin).await {
            return Ok(signature);
        }
        let exp = self.clock.seconds() + SIGNATURE_SECONDS;
        let claims = Claims { aud: &origin, exp, sub: &self.contact };
        let token = self.keys.sign(&claims).map_err(|why| format!("the push can't be signed: {why}"))?;
        let signature = format!("vapid t={token}, k={}", self.keys.public());
        self.signatures.insert(origin, signature.clone()).await;
        Ok(signature)
    }

    async fn attempt(&self, device: &Device, push: &Push) -> Outcome {
        let Device::Web { endpoint, p256dh, auth } = device else {
            return Outcome::refused(not_mine(Service::WebPush, device));
        };
        if let Err(why) = self.guard.check(endpoint) {
            return Outcome::refused(format!("the endpoint {why}"));
        }
        let prepared = Self::keys_of(p256dh, auth).and_then(|keys| {
            let message = fit(push, MESSAGE_BYTES_MAX, message).ok_or("the push does not fit 4 KB")?;
            encrypt(message, &keys.public, &keys.auth).map_err(|why| why.to_string())
        });
        let (body, signature) = match (prepared, self.signature(endpoint).await) {
            (Ok(body), Ok(signature)) => (body, signature),
            (Err(why), _) | (_, Err(why)) => return Outcome::refused(why),
        };
        let ttl = push.ttl.unwrap_or(self.ttl).min(self.ttl);
        let mut request = self
            .client
            .post(endpoint.clone())
            .header("TTL", ttl.as_secs())
            .header("Urgency", push.urgency.word())
            .header(header::AUTHORIZATION, signature)
            .header(header::CONTENT_ENCODING, "aes128gcm")
            .header(header::CONTENT_TYPE, "application/octet-stream")
            .body(body);
        if let Some(topic) = &push.topic {
            request = request.header("Topic", short(topic));
        }
        match exchange(request).await {
            Ok(answer) => match answer.outcome(&self.clock, &String::from_utf8_lossy(&answer.body)) {
                // The message's address, by which nobody but us can ask for it.
                Outcome::Sent { .. } => Outcome::Sent { id: answer.header("location") },
                other => other,
            },
            Err(outcome) => outcome,
        }
    }
}

#[async_trait]
impl Sender for WebPush {
    fn service(&self) -> Service {
        Service::WebPush
    }

    fn check(&self, device: &Device) -> Result<(), String> {
        let Device::Web { endpoint, p256dh, auth } = device else {
            return Err(not_mine(Service::WebPush, device));
        };
        self.guard.check(endpoint).map_err(|why| format!("the endpoint {why}"))?;
        Self::keys_of(p256dh, auth).map(drop)
    }

    async fn send(&self, device: &Device, push: &Push) -> Outcome {
        counted(Service::WebPush, self.attempt(device, push)).await
    }
}

/// What the page's service worker gets.
fn message(shown: &Shown<'_>) -> Value {
    let mut message = json!({ "id": shown.id, "title": shown.title, "body": shown.body, "tag": shown.tag });
    if let (Some(data), Some(fields)) = (shown.data, message.as_object_mut()) {
        fields.insert("data".to_owned(), data.clone());
    }
    if let (true, Some(fields)) = (shown.shortened, message.as_object_mut()) {
        fields.insert("shortened".to_owned(), Value::Bool(true));
    }
    message
}

/// A topic as RFC 8030 allows it: itself, or what stands for it.
fn short(topic: &str) -> String {
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !topic.is_empty() && topic.len() <= TOPIC_CHARS_MAX && topic.bytes().all(is_letter) {
        return topic.to_owned();
    }
    encode(&Sha256::digest(topic)).chars().take(TOPIC_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_short_and_the_same_for_the_same_key() {
        assert_eq!(short("order-5012"), "order-5012");
        let long = short("order:5012");
        assert_eq!((long.len(), long == short("order:5012"), long == short("order:5013")), (32, true, false));
        assert_eq!(short("").len(), 32);
        assert_eq!(short(&"ü".repeat(1_000)).len(), 32);
    }
}
