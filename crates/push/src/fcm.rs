//! Apps with Firebase: its HTTP v1 API, with tokens for a service account (RFC 7523).

use std::{fmt, time::Duration};

use async_trait::async_trait;
use http::{StatusCode, header};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Client;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use crate::{
    clock::Clock,
    credential::{Credential, Token},
    exchange::{Answer, exchange, trusted},
    measure::counted,
    payload::{Shown, fit},
    push::{Device, Outcome, Push, Service, Urgency},
    sender::{Sender, not_mine},
    settings::Settings,
};

/// The largest message, in bytes; Firebase takes 4,096 of what the app gets.
const MESSAGE_BYTES_MAX: usize = 4_000;
/// What a token is good for.
const SCOPE: &str = "https://www.googleapis.com/auth/firebase.messaging";
/// How long an assertion is good.
const ASSERTION_SECONDS: i64 = 600;
/// A token is not used in the last minute of its time.
const MARGIN_SECONDS: i64 = 60;
/// The longest registration token, in bytes.
const TOKEN_BYTES_MAX: usize = 4_096;

/// A service account.
#[derive(Clone)]
pub(crate) struct Account {
    project: String,
    email: String,
    key: EncodingKey,
    token_uri: Url,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Account({})", self.email)
    }
}

impl Account {
    /// `private_key` is PEM.
    pub(crate) fn new(
        project: String,
        email: String,
        private_key: &str,
        token_uri: Url,
    ) -> Result<Self, String> {
        let key = EncodingKey::from_rsa_pem(private_key.as_bytes())
            .map_err(|_| "its private_key is no RSA key".to_owned())?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        if project.is_empty() || !project.bytes().all(is_name) {
            return Err("its project_id is no project's".to_owned());
        }
        Ok(Self { project, email, key, token_uri })
    }
}

/// Pushes to apps with Firebase.
#[derive(Debug)]
pub(crate) struct Fcm {
    client: Client,
    account: Account,
    url: Url,
    ttl: Duration,
    clock: Clock,
    credential: Credential,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: i64,
}

impl Fcm {
    pub(crate) fn new(settings: &Settings, account: Account, clock: Clock) -> Result<Self, String> {
        let path = format!("v1/projects/{}/messages:send", account.project);
        // A base without a final slash would lose its last part.
        let base = settings.fcm_url.as_str().trim_end_matches('/');
        let url = format!("{base}/{path}").parse().map_err(|why| format!("REALTIME_PUSH_FCM_URL: {why}"))?;
        let credential = Credential::new(clock.clone());
        Ok(Self { client: trusted(settings)?, account, url, ttl: settings.ttl, clock, credential })
    }

    async fn token(&self, refused: Option<&str>) -> Result<String, Outcome> {
        self.credential.get(refused, async || self.grant().await).await
    }

    async fn grant(&self) -> Result<Token, Outcome> {
        let (account, now) = (&self.account, self.clock.seconds());
        let claims = Claims {
            iss: &account.email,
            scope: SCOPE,
            aud: account.token_uri.as_str(),
            iat: now,
            exp: now + ASSERTION_SECONDS,
        };
        let assertion = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, &account.key)
            .map_err(|why| Outcome::refused(format!("the service account's key can't sign: {why}")))?;
        let form = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .append_pair("assertion", &assertion)
            .finish();
        let request = self
            .client
            .post(account.token_uri.clone())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form);
        let answer = exchange(request).await?;
        if answer.status != StatusCode::OK {
            // Nothing is wrong with the device: never `Gone`.
            let why = format!("no token for the service account: answered {}", answer.status.as_u16());
            return Err(Outcome::Later { after: answer.retry_after(&self.clock), why });
        }
        let granted: Granted = serde_json::from_slice(&answer.body)
            .map_err(|_| Outcome::later("the answer with the service account's token does not read"))?;
        let until = now + (granted.expires_in - MARGIN_SECONDS).max(1);
        Ok(Token { text: granted.access_token, until })
    }

    async fn attempt(&self, device: &Device, push: &Push) -> Outcome {
        let Device::Fcm { token } = device else { return Outcome::refused(not_mine(Service::Fcm, device)) };
        let ttl = push.ttl.unwrap_or(self.ttl).min(self.ttl).as_secs();
        let build = |shown: &Shown<'_>| message(shown, token, push, ttl);
        // The device's token is no part of what is bounded.
        let Some(body) = fit(push, MESSAGE_BYTES_MAX + token.len(), build) else {
            return Outcome::refused("the push does not fit 4 KB");
        };
        let mut refused = None;
        loop {
            let access = match self.token(refused.as_deref()).await {
                Ok(access) => access,
                Err(outcome) => return outcome,
            };
            let request = self
                .client
                .post(self.url.clone())
                .bearer_auth(&access)
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.clone());
            let answer = match exchange(request).await {
                Ok(answer) => answer,
                Err(outcome) => return outcome,
            };
            if answer.status == StatusCode::UNAUTHORIZED && refused.is_none() {
                refused = Some(access);
                continue;
            }
            return self.outcome(&answer);
        }
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let code = body.pointer("/error/details").and_then(Value::as_array).into_iter().flatten();
        let code = code.filter_map(|detail| detail.get("errorCode")?.as_str()).next().unwrap_or_default();
        match answer.outcome(&self.clock, text("/error/message")) {
            Outcome::Sent { .. } => {
                Outcome::Sent { id: Some(text("/name").to_owned()).filter(|name| !name.is_empty()) }
            }
            _ if code == "UNREGISTERED" => Outcome::Gone,
            // A wrong project answers so as well, and costs no device.
            Outcome::Gone if code.is_empty() && text("/error/status") != "NOT_FOUND" => {
                Outcome::later("the service does not know its own address")
            }
            other => other,
        }
    }
}

#[async_trait]
impl Sender for Fcm {
    fn service(&self) -> Service {
        Service::Fcm
    }

    fn check(&self, device: &Device) -> Result<(), String> {
        let Device::Fcm { token } = device else { return Err(not_mine(Service::Fcm, device)) };
        let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !is_plain {
            return Err("the registration token is not one".to_owned());
        }
        Ok(())
    }

    async fn send(&self, device: &Device, push: &Push) -> Outcome {
        counted(Service::Fcm, self.attempt(device, push)).await
    }
}

fn message(shown: &Shown<'_>, token: &str, push: &Push, ttl_seconds: u64) -> Value {
    // Data are texts.
    let mut data = json!({ "id": shown.id });
    if let (Some(own), Some(fields)) = (shown.data, data.as_object_mut()) {
        fields.insert("data".to_owned(), Value::String(own.to_string()));
    }
    if let (true, Some(fields)) = (shown.shortened, data.as_object_mut()) {
        fields.insert("shortened".to_owned(), Value::String("true".to_owned()));
    }
    let priority = if push.urgency == Urgency::High { "HIGH" } else { "NORMAL" };
    json!({ "message": {
        "token": token,
        "notification": { "title": shown.title, "body": shown.body },
        "data": data,
        "android": {
            "collapse_key": shown.tag,
            "priority": priority,
            "ttl": format!("{ttl_seconds}s"),
            "notification": { "tag": shown.tag },
        },
    } })
}
