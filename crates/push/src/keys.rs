//! The key pair with which web pushes are signed (VAPID, RFC 8292), and the base64 in which keys travel.

use std::fmt;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    prelude::BASE64_URL_SAFE_NO_PAD,
};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::{
    SecretKey,
    elliptic_curve::{rand_core::OsRng, sec1::ToEncodedPoint},
    pkcs8::EncodePrivateKey,
};
use platepal_settings::Secret;
use serde::Serialize;

/// Longer than any key that is read here.
const TEXT_MAX: usize = 512;
/// Browsers and tools write keys with and without padding.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a VAPID key can't be used. Completes the sentence "the key …".
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64url of 32 bytes.
    #[error("must be 32 bytes in base64url (43 characters); `platepal-realtime vapid` makes one")]
    Form,
    /// 32 bytes that are no number of the curve.
    #[error("is no private key of the curve P-256; `platepal-realtime vapid` makes one")]
    Curve,
}

/// The key pair that says to push services who pushes. Browsers subscribe with the public half; with another
/// pair, their subscriptions are worth nothing.
///
/// ```
/// use platepal_push::VapidKeys;
///
/// let keys = VapidKeys::generate();
/// let again = VapidKeys::parse(keys.private().reveal())?;
/// assert_eq!(keys.public(), again.public());
/// # Ok::<(), platepal_push::KeyError>(())
/// ```
#[derive(Clone)]
pub struct VapidKeys {
    private: Secret,
    public: String,
    signing: EncodingKey,
}

impl fmt::Debug for VapidKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VapidKeys({})", self.public)
    }
}

impl VapidKeys {
    /// A new pair.
    pub fn generate() -> Self {
        loop {
            // One of a curve's own keys is not refused; should it be, another is made.
            if let Ok(keys) = Self::of(&SecretKey::random(&mut OsRng)) {
                return keys;
            }
        }
    }

    /// The pair of a private key: 32 bytes in base64url.
    ///
    /// # Errors
    /// The text is no such key.
    pub fn parse(private: &str) -> Result<Self, KeyError> {
        let bytes = decode(private).filter(|bytes| bytes.len() == 32).ok_or(KeyError::Form)?;
        Self::of(&SecretKey::from_slice(&bytes).map_err(|_| KeyError::Curve)?)
    }

    fn of(key: &SecretKey) -> Result<Self, KeyError> {
        let document = key.to_pkcs8_der().map_err(|_| KeyError::Curve)?;
        Ok(Self {
            private: Secret::new(encode(&key.to_bytes())),
            public: encode(key.public_key().to_encoded_point(false).as_bytes()),
            signing: EncodingKey::from_ec_der(document.as_bytes()),
        })
    }

    /// The private key: 32 bytes in base64url.
    pub fn private(&self) -> &Secret {
        &self.private
    }

    /// The public key: a point of 65 bytes, uncompressed, in base64url.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Signs what a push service is to know.
    pub(crate) fn sign(&self, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::ES256), claims, &self.signing)
    }
}

/// Base64url without padding.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a short text in base64url; `+` and `/` of the other alphabet are forgiven.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_MAX {
        return None;
    }
    FORGIVING.decode(text.trim().replace('+', "-").replace('/', "_")).ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_example_of_the_standard_has_its_public_key() {
        // RFC 8291, appendix A: the application server's pair.
        let keys = VapidKeys::parse("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw").unwrap();
        let public =
            "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8";
        assert_eq!(keys.public(), public);
        assert_eq!(format!("{keys:?}"), format!("VapidKeys({public})"));
    }

    #[test]
    fn a_new_pair_comes_back_from_its_private_half_and_no_two_are_alike() {
        let (one, other) = (VapidKeys::generate(), VapidKeys::generate());
        assert_ne!(one.public(), other.public());
        assert_eq!(decode(one.public()).unwrap().len(), 65);
        let again = VapidKeys::parse(&format!("{}=", one.private().reveal())).unwrap();
        assert_eq!(again.public(), one.public());
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "hunter2", &"A".repeat(44), &"x".repeat(10_000)] {
            assert_eq!(VapidKeys::parse(text).unwrap_err(), KeyError::Form, "{text}");
        }
        assert_eq!(VapidKeys::parse(&encode(&[0; 32])).unwrap_err(), KeyError::Curve);
        assert_eq!(VapidKeys::parse(&encode(&[255; 32])).unwrap_err(), KeyError::Curve);
    }
}
