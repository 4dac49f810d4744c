//! The issuer's key set (JWKS, RFC 7517): fetched in the background, read without waiting.
//!
//! One task does all the fetching, so a caller that goes away cancels nothing, and a thousand tokens with an
//! unknown key cause one request. What could be fetched last stays in use while the issuer is away.

use std::{sync::Arc, time::Duration};

use jsonwebtoken::jwk::Jwk;
use parking_lot::Mutex;
use platepal_settings::ByteSize;
use reqwest::{Client, redirect};
use serde::Deserialize;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout},
};
use url::Url;

use crate::{KeyError, Settings, keys::Key, measure};

/// The most keys of a set that are kept: a token that names no key is tried with all of its algorithm.
const KEYS_MAX: usize = 32;

/// The issuer's keys as of the last good fetch.
#[derive(Debug, Default)]
pub(crate) struct KeySet {
    keys: Arc<[Key]>,
    /// Fetches tried so far, good or not.
    attempts: u64,
    loaded: bool,
}

impl KeySet {
    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.keys.iter().any(|key| key.id.as_deref() == Some(id))
    }

    /// False until the first good fetch.
    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded
    }
}

/// A handle on the key set. The fetching ends when the handle is dropped.
#[derive(Debug)]
pub(crate) struct Jwks {
    set: watch::Receiver<Arc<KeySet>>,
    wanted: Arc<Notify>,
    /// When a token last made us ask for a fetch, and how many had been tried then.
    asked: Mutex<Option<(Instant, u64)>>,
    cooldown: Duration,
    patience: Duration,
}

impl Jwks {
    /// Starts fetching, and returns after the first attempt, good or not.
    pub(crate) async fn start(url: &Url, settings: &Settings) -> Result<Self, KeyError> {
        let client = Client::builder()
            .timeout(settings.jwks_timeout)
            // A redirect could lead to plain http, or to somebody else.
            .redirect(redirect::Policy::none())
            .build()
            .map_err(|why| KeyError::Client(why.to_string()))?;
        let (publish, mut set) = watch::channel(Arc::default());
        let wanted = Arc::new(Notify::new());
        let fetcher = Fetcher {
            client,
            url: url.clone(),
            size_max: settings.jwks_size_max,
            refresh: settings.jwks_refresh,
            retry: settings.jwks_cooldown.min(settings.jwks_refresh),
            wanted: Arc::clone(&wanted),
        };
        tokio::spawn(fetcher.run(publish));
        // The task can't end before this handle does, and each attempt has a timeout.
        set.changed().await.ok();
        Ok(Self {
            set,
            wanted,
            asked: Mutex::new(None),
            cooldown: settings.jwks_cooldown,
            // One fetch may be under way that began too early, and then ours.
            patience: settings.jwks_timeout * 2,
        })
    }

    /// The set as it is now.
    pub(crate) fn current(&self) -> Arc<KeySet> {
        Arc::clone(&self.set.borrow())
    }

    /// A set fetched after this one; `None` if none came in time, or the cooldown forbids asking for one.
    pub(crate) async fn newer_than(&self, seen: &KeySet) -> Option<Arc<KeySet>> {
        let mut set = self.set.clone();
        if set.borrow().attempts == seen.attempts && !self.ask(seen.attempts) {
            return None;
        }
        let newer = set.wait_for(|set| set.attempts > seen.attempts);
        let newer = timeout(self.patience, newer).await.ok()?.ok()?;
        Some(Arc::clone(&newer))
    }

    /// Asks for a fetch. False if the last one asked for is over and was less than the cooldown ago.
    fn ask(&self, attempts: u64) -> bool {
        let mut asked = self.asked.lock();
        match *asked {
            Some((_, before)) if before == attempts => true,
            Some((at, _)) if at.elapsed() < self.cooldown => false,
            _ => {
                *asked = Some((Instant::now(), attempts));
                self.wanted.notify_one();
                true
            }
        }
    }
}

struct Fetcher {
    client: Client,
    url: Url,
    size_max: ByteSize,
    refresh: Duration,
    retry: Duration,
    wanted: Arc<Notify>,
}

/// Why a key set could not be fetched.
#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Request(#[from] reqwest::Error),
    #[error("the issuer answered {0}")]
    Status(reqwest::StatusCode),
    #[error("the answer is larger than REALTIME_JWT_JWKS_SIZE_MAX")]
    TooLarge,
    #[error("the answer is not a key set: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the key set has no key that can verify signatures")]
    NoKeys,
}

impl Fetcher {
    async fn run(self, publish: watch::Sender<Arc<KeySet>>) {
        loop {
            let fetched = self.fetch().await.map_err(|error| match error {
                // Addresses may hold passwords.
                FetchError::Request(error) => FetchError::Request(error.without_url()),
                error => error,
            });
            let before = Arc::clone(&publish.borrow());
            let attempts = before.attempts + 1;
            let result = if fetched.is_ok() { "ok" } else { "error" };
            metrics::counter!(measure::JWKS_FETCHES, "result" => result).increment(1);
            let (set, pause) = match fetched {
                Ok(keys) => {
                    tracing::debug!(keys = keys.len(), "fetched the issuer's key set");
                    (KeySet { keys: keys.into(), attempts, loaded: true }, self.refresh)
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        host = self.url.host_str(),
                        kept = before.keys.len(),
                        retry_in = ?self.retry,
                        "the issuer's key set could not be fetched; the keys fetched before stay in use"
                    );
                    let keys = Arc::clone(&before.keys);
                    (KeySet { keys, attempts, loaded: before.loaded }, self.retry)
                }
            };
            publish.send_replace(Arc::new(set));
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.wanted.notified() => {}
                () = publish.closed() => return,
            }
        }
    }

    async fn fetch(&self) -> Result<Vec<Key>, FetchError> {
        let mut response = self.client.get(self.url.clone()).send().await?;
        if response.status() != reqwest::StatusCode::OK {
            return Err(FetchError::Status(response.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > self.size_max.0 {
                return Err(FetchError::TooLarge);
            }
            body.extend_from_slice(&chunk);
        }
        parse(&body)
    }
}

#[cfg(feature = "fuzzing")]
pub(crate) fn usable_keys(body: &[u8]) -> Option<usize> {
    parse(body).ok().map(|keys| keys.len())
}

/// The keys of a set that can verify signatures; others are skipped, as sets hold keys for other purposes.
fn parse(body: &[u8]) -> Result<Vec<Key>, FetchError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<serde_json::Value>,
    }
    let document: Document = serde_json::from_slice(body)?;
    let usable = document.keys.into_iter().filter_map(|key| {
        let key = serde_json::from_value::<Jwk>(key).ok().as_ref().and_then(Key::from_jwk);
        if key.is_none() {
            tracing::debug!("a key of the issuer's set can't verify signatures; it is skipped");
        }
        key
    });
    let keys: Vec<Key> = usable.take(KEYS_MAX).collect();
    if keys.is_empty() { Err(FetchError::NoKeys) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn one_odd_key_does_not_cost_the_others() {
        let good = json!({"kty": "OKP", "crv": "Ed25519", "kid": "a",
            "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let document = json!({"keys": [{"kty": "EC", "crv": "secp256k1"}, 5, {"kty": "RSA"}, good]});
        let keys = parse(document.to_string().as_bytes()).unwrap();
        assert_eq!(format!("{keys:?}"), r#"[Key(EdDSA, Some("a"))]"#);
        assert!(matches!(parse(b"{\"keys\": []}"), Err(FetchError::NoKeys)));
        let many = json!({"keys": vec![good; 100]});
        assert_eq!(parse(many.to_string().as_bytes()).unwrap().len(), KEYS_MAX);
    }

    proptest! {
        #[test]
        fn no_document_panics(body in any::<Vec<u8>>(), text in ".{0,100}") {
            parse(&body).ok();
            parse(format!("{{\"keys\": [{text}]}}").as_bytes()).ok();
        }
    }
}
