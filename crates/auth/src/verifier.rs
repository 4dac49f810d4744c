//! [`Verifier`]: from a token to a [`Principal`].

use std::{str::FromStr, sync::Arc};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, AlgorithmFamily};
use platepal_events::Timestamp;
use serde::Deserialize;

use crate::{
    KeyError, Principal, Settings, ShareSettings, SubscriptionRight, TokenError,
    claims::{Claims, Rules},
    jwks::{Jwks, KeySet},
    keys::{self, Key},
    measure,
    share::SHARE_TYPE,
};

/// Verifies tokens. Cheap to clone; clones share keys. Dropping the last stops the fetching of the key set.
#[derive(Debug, Clone)]
pub struct Verifier {
    inner: Arc<Inner>,
    /// For links, which no other key verifies, and which verifies nothing else.
    share: Option<Arc<Key>>,
}

#[derive(Debug)]
struct Inner {
    rules: Rules,
    keys: Vec<Key>,
    jwks: Option<Jwks>,
    token_bytes_max: usize,
}

/// Why a token is not accepted now.
enum Refusal {
    Final(TokenError),
    /// Its key is in no set that was fetched so far; a newer one may have it.
    KeyMayBeNewer(TokenError),
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        Self::Final(error)
    }
}

impl Verifier {
    /// Prepares the configured keys and, if an issuer publishes a key set, fetches it once and from then on in
    /// the background. An issuer that can't be reached is no error: it is logged, and tried again.
    ///
    /// Needs rustls's crypto provider installed when a key set is configured.
    ///
    /// # Errors
    /// A key that can't be used; [`Settings::check`] reports all of them.
    pub async fn start(settings: &Settings) -> Result<Self, KeyError> {
        measure::describe();
        let keys = keys::configured(settings)
            .map_err(|mistakes| mistakes.into_iter().next().unwrap_or(KeyError::None))?;
        let jwks = match settings.trusted_jwks_url()? {
            Some(url) => Some(Jwks::start(url, settings).await?),
            None => None,
        };
        let token_bytes_max = settings.token_size_max.0;
        let inner = Arc::new(Inner { rules: Rules::new(settings), keys, jwks, token_bytes_max });
        Ok(Self { inner, share: None })
    }

    /// Accepts links to deliveries, too, if there is a secret for them.
    ///
    /// # Errors
    /// The secret can't be used; [`ShareSettings::check`] says so, too.
    pub fn accepting_shares(self, settings: &ShareSettings) -> Result<Self, KeyError> {
        Ok(Self { share: settings.key()?.map(Arc::new), ..self })
    }

    /// Who sent this token: a user, or whoever has a link ([`Principal::shared_delivery`]). Waits only if the token is signed with a key that a newer key set may have: then
    /// the set is fetched, at most once per cooldown.
    ///
    /// # Errors
    /// Why the token is refused, as a sentence for its sender.
    pub async fn verify(&self, token: &str, now: Timestamp) -> Result<Principal, TokenError> {
        match self.share(token, now) {
            Some(result) => count(result),
            None => self.judge(token, |rules, claims| rules.principal(claims, now)).await,
        }
    }

    /// The verdict on a token that says of itself to be a link; `None` for all others. What it says decides which
    /// key must have signed it, and is believed only then.
    fn share(&self, token: &str, now: Timestamp) -> Option<Result<Principal, TokenError>> {
        if token.len() > self.inner.token_bytes_max {
            return None;
        }
        let token = Parts::split(token).ok()?;
        let claims = token.claims().ok()?;
        if claims.get("token_type").and_then(serde_json::Value::as_str) != Some(SHARE_TYPE) {
            return None;
        }
        Some(self.check_share(&token).and_then(|()| self.inner.rules.share(&claims, now)))
    }

    fn check_share(&self, token: &Parts<'_>) -> Result<(), TokenError> {
        let key = self.share.as_deref().ok_or(TokenError::NoShares)?;
        if Algorithm::from_str(&token.header()?.alg) != Ok(key.algorithm) {
            return Err(TokenError::UnknownKey);
        }
        match key.verifies(token.signature, token.message) {
            Some(true) => Ok(()),
            Some(false) => Err(TokenError::BadSignature),
            None => Err(TokenError::Malformed),
        }
    }

    /// Which channel this subscription token (one with a claim `channel`) allows, and to whom. Otherwise as
    /// [`Verifier::verify`].
    ///
    /// # Errors
    /// Why the token is refused, as a sentence for its sender.
    pub async fn verify_subscription(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<SubscriptionRight, TokenError> {
        self.judge(token, |rules, claims| rules.subscription(claims, now)).await
    }

    async fn judge<T>(
        &self,
        token: &str,
        read: impl Fn(&Rules, &Claims) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        count(self.decide(token, &read).await)
    }

    /// Whether there is a key to verify with, for readiness: false only while the issuer's key set could not
    /// be fetched even once and no key is configured besides it.
    pub fn has_keys(&self) -> bool {
        !self.inner.keys.is_empty() || self.inner.jwks.as_ref().is_some_and(|jwks| jwks.current().is_loaded())
    }

    async fn decide<T>(
        &self,
        token: &str,
        read: &impl Fn(&Rules, &Claims) -> Result<T, TokenError>,
    ) -> Result<T, TokenError> {
        let Inner { jwks, .. } = &*self.inner;
        let set = jwks.as_ref().map(Jwks::current);
        match (self.inner.decide(token, set.as_deref(), read), jwks, &set) {
            (Ok(read), ..) => Ok(read),
            (Err(Refusal::KeyMayBeNewer(error)), Some(jwks), Some(seen)) => {
                let Some(newer) = jwks.newer_than(seen).await else { return Err(error) };
                self.inner.decide(token, Some(&*newer), read).map_err(Refusal::into_error)
            }
            (Err(refusal), ..) => Err(refusal.into_error()),
        }
    }
}

impl Inner {
    fn decide<T>(
        &self,
        token: &str,
        set: Option<&KeySet>,
        read: &impl Fn(&Rules, &Claims) -> Result<T, TokenError>,
    ) -> Result<T, Refusal> {
        if token.is_empty() {
            return Err(TokenError::Missing.into());
        }
        if token.len() > self.token_bytes_max {
            return Err(TokenError::TooLong.into());
        }
        let token = Parts::split(token)?;
        self.check_signature(&token, set)?;
        Ok(read(&self.rules, &token.claims()?)?)
    }

    fn check_signature(&self, token: &Parts<'_>, set: Option<&KeySet>) -> Result<(), Refusal> {
        let header = token.header()?;
        // The token may choose among our keys, by algorithm and id, and nothing else.
        let Ok(algorithm) = Algorithm::from_str(&header.alg) else {
            return Err(TokenError::UnknownKey.into());
        };
        let configured = self.keys.iter().filter(|key| key.algorithm == algorithm);
        let published = set.map(KeySet::keys).unwrap_or_default().iter().filter(|key| {
            key.algorithm == algorithm && (header.kid.is_none() || key.id.is_none() || key.id == header.kid)
        });
        let mut error = TokenError::UnknownKey;
        for key in configured.chain(published) {
            match key.verifies(token.signature, token.message) {
                Some(true) => return Ok(()),
                Some(false) => error = TokenError::BadSignature,
                None => return Err(TokenError::Malformed.into()),
            }
        }
        // Sets hold public keys, so a newer one can't help a token that is signed with a secret.
        let set = set.filter(|_| algorithm.family() != AlgorithmFamily::Hmac);
        match set {
            Some(set) if !set.is_loaded() => Err(Refusal::KeyMayBeNewer(TokenError::KeysUnavailable)),
            Some(set) if header.kid.as_deref().is_some_and(|id| !set.has(id)) => {
                Err(Refusal::KeyMayBeNewer(TokenError::UnknownKey))
            }
            _ => Err(error.into()),
        }
    }
}

fn count<T>(result: Result<T, TokenError>) -> Result<T, TokenError> {
    let word = result.as_ref().map_or_else(|error| error.word(), |_| "ok");
    metrics::counter!(measure::TOKENS, "result" => word).increment(1);
    result
}

impl Refusal {
    fn into_error(self) -> TokenError {
        match self {
            Self::Final(error) | Self::KeyMayBeNewer(error) => error,
        }
    }
}

/// The three parts of a compact JWS (RFC 7515, section 3.1).
struct Parts<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// What is signed: the first two with their dot.
    message: &'a str,
}

/// What we read of a header. Anything in it that points to a key (`jwk`, `jku`, `x5u`) is ignored.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    /// Extensions that a reader must understand (RFC 7515, section 4.1.11); we know none.
    crit: Option<serde::de::IgnoredAny>,
}

impl<'a> Parts<'a> {
    fn split(token: &'a str) -> Result<Self, TokenError> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        let (header, payload) = message.split_once('.').ok_or(TokenError::Malformed)?;
        if payload.contains('.') {
            return Err(TokenError::Malformed);
        }
        Ok(Self { header, payload, signature, message })
    }

    fn header(&self) -> Result<Header, TokenError> {
        let header: Header = decode(self.header)?;
        if header.crit.is_some() { Err(TokenError::Malformed) } else { Ok(header) }
    }

    fn claims(&self) -> Result<Claims, TokenError> {
        decode(self.payload)
    }
}

fn decode<T: serde::de::DeserializeOwned>(part: &str) -> Result<T, TokenError> {
    let json = URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Malformed)?;
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}
