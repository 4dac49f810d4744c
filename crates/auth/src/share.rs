//! Links that show one delivery to somebody without an account: a token that opens the delivery's channel, read
//! only, signed by this tier and not by the issuer of accounts.
//!
//! Tracking signs them ([`ShareSigner`]), edges verify them ([`crate::Verifier::accepting_shares`]), both from the
//! same [`ShareSettings`]. The two kinds of tokens never pass for each other: each is verified with its own key
//! alone, and `share:…` is no user that an issuer's token may name.

use std::time::Duration;

use jsonwebtoken::{EncodingKey, Header};
use platepal_events::{Channel, ChannelKind, Timestamp};
use platepal_settings::{Reader, Secret};
use serde_json::json;
use uuid::Uuid;

use crate::{
    KeyError, MintError, Settings,
    keys::{self, Key},
    principal::SHARE,
};

/// The claim `token_type` of such a token.
pub(crate) const SHARE_TYPE: &str = "share";
const NAME: &str = "REALTIME_SHARE_SECRET";

platepal_settings::settings! {
    /// Links that show one delivery to somebody without an account.
    pub struct ShareSettings {
        /// The secret with which links are signed, of at least 32 bytes; the same for tracking and for all edges, and not one of Django's. Without it no link is made, and none is accepted.
        secret: Option<Secret> = "REALTIME_SHARE_SECRET", optional;
    }
}

impl ShareSettings {
    /// Notes what is wrong with the secret. `tokens` are the settings of the issuer's tokens, whose secrets it
    /// must not be: whoever can sign accounts must not be able to sign links by that, nor the other way round.
    pub fn check(&self, reader: &mut Reader, tokens: &Settings) {
        let Some(secret) = &self.secret else { return };
        if let Err(mistake) = keys::of_secret(NAME, secret) {
            reader.mistake(mistake.to_string());
        }
        let mut others = tokens.secret.iter().chain(&tokens.previous_secrets);
        if others.any(|other| other.reveal() == secret.reveal()) {
            reader.mistake(format!(
                "{NAME} must differ from REALTIME_JWT_SECRET and REALTIME_JWT_PREVIOUS_SECRETS: with one secret \
                 for both, whoever can sign links could sign in as anybody"
            ));
        }
    }

    /// The key that verifies links; `None` without a secret.
    pub(crate) fn key(&self) -> Result<Option<Key>, KeyError> {
        self.secret.as_ref().map(|secret| keys::of_secret(NAME, secret)).transpose()
    }
}

/// Signs links. Cheap to clone.
///
/// ```
/// use std::time::Duration;
///
/// use platepal_auth::{ShareSettings, ShareSigner};
/// use platepal_events::Timestamp;
///
/// let variables = [("REALTIME_SHARE_SECRET", "another secret of at least 32 bytes")];
/// let settings: ShareSettings = platepal_settings::Reader::new(variables).read().ok_or("mistakes")?;
/// let signer = ShareSigner::new(&settings)?.ok_or("no secret")?;
/// let now = Timestamp::from_micros(1_795_519_800_000_000);
/// let (_token, expires_at) = signer.sign("5012", Duration::from_secs(7200), now)?;
/// assert_eq!(expires_at, now.plus_millis(7_200_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ShareSigner {
    key: EncodingKey,
}

impl std::fmt::Debug for ShareSigner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ShareSigner")
    }
}

impl ShareSigner {
    /// `None` when no secret is configured: no link can be made.
    ///
    /// # Errors
    /// The secret can't be used; [`ShareSettings::check`] says so, too.
    pub fn new(settings: &ShareSettings) -> Result<Option<Self>, KeyError> {
        // What can't verify must not sign.
        settings.key()?;
        let secret = settings.secret.as_ref();
        Ok(secret.map(|secret| Self { key: EncodingKey::from_secret(secret.reveal().as_bytes()) }))
    }

    /// A token that opens `track:{delivery_id}` and nothing else, and when it ends. Both are whole seconds: a part
    /// of a second of `now` or `valid_for` is dropped.
    ///
    /// # Errors
    /// The delivery's id is no id of a channel.
    pub fn sign(
        &self,
        delivery_id: &str,
        valid_for: Duration,
        now: Timestamp,
    ) -> Result<(String, Timestamp), MintError> {
        Channel::new(ChannelKind::Track, delivery_id)
            .map_err(|why| MintError::NoDelivery(why.to_string()))?;
        let issued_at = now.micros().div_euclid(1_000_000);
        let valid_for = i64::try_from(valid_for.as_secs()).unwrap_or(i64::MAX);
        let expires_at = issued_at.saturating_add(valid_for);
        let claims = json!({
            "token_type": SHARE_TYPE,
            "user_id": format!("{SHARE}{delivery_id}"),
            "exp": expires_at,
            "iat": issued_at,
            "jti": Uuid::new_v4().simple().to_string(),
        });
        let token = jsonwebtoken::encode(&Header::default(), &claims, &self.key)
            .map_err(|why| MintError::Signing(why.to_string()))?;
        Ok((token, Timestamp::from_micros(expires_at.saturating_mul(1_000_000))))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SECRET: &str = "a share secret of at least thirty-two bytes";
    const DJANGOS: &str = "a jwt secret of at least thirty-two bytes too";

    fn mistakes(share: &str, tokens: &[(&str, &str)]) -> Vec<String> {
        let variables = tokens.iter().copied().chain([(NAME, share)]);
        let mut reader = Reader::new(variables);
        let (share, tokens): (ShareSettings, Settings) = (reader.read().unwrap(), reader.read().unwrap());
        share.check(&mut reader, &tokens);
        let specs = [ShareSettings::SPECS, Settings::SPECS].concat();
        reader.finish(&specs).err().map(|mistakes| mistakes.0).unwrap_or_default()
    }

    #[test]
    fn a_secret_that_is_short_or_djangos_is_a_mistake_that_does_not_show_it() {
        let tokens = [
            ("REALTIME_JWT_SECRET", DJANGOS),
            ("REALTIME_JWT_PREVIOUS_SECRETS", "0123456789abcdef0123456789abcdef"),
        ];
        assert_eq!(mistakes(SECRET, &tokens), [""; 0]);
        for wrong in ["hunter2", DJANGOS, "0123456789abcdef0123456789abcdef"] {
            let mistakes = mistakes(wrong, &tokens);
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes.iter().all(|m| m.contains(NAME) && !m.contains(wrong)), "{mistakes:?}");
        }
    }

    #[test]
    fn without_a_secret_there_is_no_signer_and_an_id_that_is_none_is_not_signed() {
        let settings = |variables: &[(&str, &str)]| -> ShareSettings {
            Reader::new(variables.iter().copied()).read().unwrap()
        };
        assert!(ShareSigner::new(&settings(&[])).unwrap().is_none());
        assert!(ShareSigner::new(&settings(&[(NAME, "short")])).is_err());
        let signer = ShareSigner::new(&settings(&[(NAME, SECRET)])).unwrap().unwrap();
        let sign = |id: &str| signer.sign(id, Duration::from_secs(60), Timestamp::from_micros(0));
        assert!(sign(&"7".repeat(64)).is_ok());
        for id in ["", "a b", "a:b", &"7".repeat(65)] {
            assert!(matches!(sign(id), Err(MintError::NoDelivery(_))), "{id:?}");
        }
    }
}
