//! Keys that verify tokens, each made for exactly one algorithm. So a token can't choose how it is verified: a
//! public key is never used as a secret, whatever the token's header asks for.

use std::fmt;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use platepal_settings::Secret;

use crate::Settings;

/// The shortest secret for HS256 (RFC 7518, section 3.2).
const SECRET_BYTES_MIN: usize = 32;
/// The shortest RSA key (RFC 7518, section 3.3): 2048 bits. Its modulus alone has this many bytes.
const RSA_BYTES_MIN: usize = 256;

/// A configured key can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Nothing is configured, so every token would be refused.
    #[error(
        "REALTIME_JWT_SECRET must be set, or REALTIME_JWT_PUBLIC_KEY or REALTIME_JWT_JWKS_URL: without one no \
         token can be verified"
    )]
    None,
    /// A secret that can be guessed.
    #[error("{0} must have at least 32 bytes (it has {1}); anybody who guesses it can sign tokens")]
    ShortSecret(&'static str, usize),
    /// A key in the place of a secret: everybody may know it, so everybody could sign.
    #[error("{0} holds a PEM key; put a public key in REALTIME_JWT_PUBLIC_KEY instead")]
    SecretIsKey(&'static str),
    /// A PEM block of another kind.
    #[error("REALTIME_JWT_PUBLIC_KEY holds a {0}; it must hold PUBLIC KEY blocks only")]
    NotPublic(String),
    /// No PEM at all.
    #[error("REALTIME_JWT_PUBLIC_KEY must hold PEM: -----BEGIN PUBLIC KEY----- … -----END PUBLIC KEY-----")]
    NotPem,
    /// A key that this build can't use.
    #[error(
        "REALTIME_JWT_PUBLIC_KEY: key {0} is not usable; it must be RSA of at least 2048 bits, P-256, P-384 or Ed25519"
    )]
    Unusable(usize),
    /// Whoever is on the way to the key set could put keys of his own into it.
    #[error(
        "REALTIME_JWT_JWKS_URL must be https: whoever is on the way could add a key and sign tokens (http is \
         accepted for this machine only)"
    )]
    UntrustedJwks,
    /// The HTTP client for the key set can't be made.
    #[error("no HTTP client for REALTIME_JWT_JWKS_URL: {0}")]
    Client(String),
}

/// A key and the one algorithm it is for.
pub(crate) struct Key {
    pub(crate) algorithm: Algorithm,
    /// Its id in a key set; keys from the settings have none.
    pub(crate) id: Option<String>,
    decoding: DecodingKey,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?}, {:?})", self.algorithm, self.id)
    }
}

impl Key {
    fn from_secret(secret: &Secret) -> Self {
        let decoding = DecodingKey::from_secret(secret.reveal().as_bytes());
        Self { algorithm: Algorithm::HS256, id: None, decoding }
    }

    /// From one PEM block with a public key; `None` if it is of no usable kind.
    fn from_pem(pem: &str) -> Option<Self> {
        let pem = pem.as_bytes();
        if let Ok(decoding) = DecodingKey::from_rsa_pem(pem) {
            return Self::probed(Algorithm::RS256, None, decoding);
        }
        if let Ok(decoding) = DecodingKey::from_ec_pem(pem) {
            return Self::probed(Algorithm::ES256, None, decoding.clone())
                .or_else(|| Self::probed(Algorithm::ES384, None, decoding));
        }
        Self::probed(Algorithm::EdDSA, None, DecodingKey::from_ed_pem(pem).ok()?)
    }

    /// From a key of a key set; `None` if it is not for signatures, or of no usable kind. A key that does not
    /// name its algorithm is for the most common one of its kind.
    pub(crate) fn from_jwk(jwk: &Jwk) -> Option<Self> {
        if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return None;
        }
        let by_kind = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P384 => Algorithm::ES384,
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            // A published secret is no secret, and nothing else can be verified.
            _ => return None,
        };
        let algorithm = match jwk.common.key_algorithm {
            Some(KeyAlgorithm::RS384) => Algorithm::RS384,
            Some(KeyAlgorithm::RS512) => Algorithm::RS512,
            Some(KeyAlgorithm::PS256) => Algorithm::PS256,
            Some(KeyAlgorithm::PS384) => Algorithm::PS384,
            Some(KeyAlgorithm::PS512) => Algorithm::PS512,
            None
            | Some(KeyAlgorithm::RS256 | KeyAlgorithm::ES256 | KeyAlgorithm::ES384 | KeyAlgorithm::EdDSA) => {
                by_kind
            }
            Some(_) => return None,
        };
        if algorithm.family() != by_kind.family() {
            return None;
        }
        Self::probed(algorithm, jwk.common.key_id.clone(), DecodingKey::from_jwk(jwk).ok()?)
    }

    /// Tries the key once, so that one that can't work is noticed when it is read and not when it is needed.
    fn probed(algorithm: Algorithm, id: Option<String>, decoding: DecodingKey) -> Option<Self> {
        let bytes = match decoding.kind() {
            DecodingKeyKind::SecretOrDer(bytes) => bytes,
            DecodingKeyKind::RsaModulusExponent { n, .. } => n,
        };
        match decoding.family() {
            AlgorithmFamily::Rsa if bytes.len() < RSA_BYTES_MIN => return None,
            // The library slices an Ed25519 key without looking at its length.
            AlgorithmFamily::Ed if bytes.len() != 32 => return None,
            _ => {}
        }
        jsonwebtoken::crypto::verify("", b"", &decoding, algorithm).ok()?;
        Some(Self { algorithm, id, decoding })
    }

    /// Whether this key made the signature (base64url) of the message; `None` if it is not base64url.
    pub(crate) fn verifies(&self, signature: &str, message: &str) -> Option<bool> {
        jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, self.algorithm).ok()
    }
}

/// The key of a secret; `name` is the setting that holds it.
pub(crate) fn of_secret(name: &'static str, secret: &Secret) -> Result<Key, KeyError> {
    match secret.reveal() {
        text if text.contains("-----BEGIN") => Err(KeyError::SecretIsKey(name)),
        text if text.len() < SECRET_BYTES_MIN => Err(KeyError::ShortSecret(name, text.len())),
        _ => Ok(Key::from_secret(secret)),
    }
}

/// The keys that the settings hold, and every mistake among them.
pub(crate) fn configured(settings: &Settings) -> Result<Vec<Key>, Vec<KeyError>> {
    let mut keys = Vec::new();
    let mut mistakes = Vec::new();
    let secrets = settings.secret.iter().map(|secret| ("REALTIME_JWT_SECRET", secret));
    let previous = settings.previous_secrets.iter().map(|secret| ("REALTIME_JWT_PREVIOUS_SECRETS", secret));
    for (name, secret) in secrets.chain(previous) {
        match of_secret(name, secret) {
            Ok(key) => keys.push(key),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if let Some(pem) = &settings.public_key {
        match public_keys(pem.reveal()) {
            Ok(public) => keys.extend(public),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if keys.is_empty() && mistakes.is_empty() && settings.jwks_url.is_none() {
        mistakes.push(KeyError::None);
    }
    if mistakes.is_empty() { Ok(keys) } else { Err(mistakes) }
}

fn public_keys(text: &str) -> Result<Vec<Key>, KeyError> {
    const BEGIN: &str = "-----BEGIN ";
    // Environment files can't hold line ends, so people write them as `\n`.
    let text = text.replace("\\n", "\n");
    let mut keys = Vec::new();
    for block in text.split(BEGIN).skip(1) {
        let (label, _) = block.split_once("-----").ok_or(KeyError::NotPem)?;
        if !matches!(label, "PUBLIC KEY" | "RSA PUBLIC KEY") {
            return Err(KeyError::NotPublic(label.chars().take(40).collect()));
        }
        let key = Key::from_pem(&format!("{BEGIN}{block}")).ok_or(KeyError::Unusable(keys.len() + 1))?;
        keys.push(key);
    }
    if keys.is_empty() { Err(KeyError::NotPem) } else { Ok(keys) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    macro_rules! pem {
        ($name:literal) => {
            include_str!(concat!("../tests/keys/", $name, ".public.pem"))
        };
    }

    fn algorithms(text: &str) -> Result<Vec<Algorithm>, KeyError> {
        Ok(public_keys(text)?.iter().map(|key| key.algorithm).collect())
    }

    fn jwk(value: Value) -> Option<Algorithm> {
        Some(Key::from_jwk(&serde_json::from_value(value).ok()?)?.algorithm)
    }

    #[test]
    fn each_public_key_is_for_one_algorithm() {
        let all = [pem!("rsa_a"), pem!("p256"), pem!("p384"), pem!("ed25519")].concat();
        let expected = [Algorithm::RS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];
        assert_eq!(algorithms(&all).unwrap(), expected);
        assert_eq!(algorithms(&all.replace('\n', "\\n")).unwrap(), expected, "as in an environment file");
    }

    #[test]
    fn what_is_no_public_key_is_refused_by_name() {
        let private = include_str!("../tests/keys/rsa_a.private.pem");
        assert_eq!(algorithms(private), Err(KeyError::NotPublic("PRIVATE KEY".into())));
        assert_eq!(algorithms("c2VjcmV0"), Err(KeyError::NotPem));
        assert_eq!(algorithms(&[pem!("rsa_a"), pem!("rsa_1024")].concat()), Err(KeyError::Unusable(2)));
        let broken = pem!("p256").replace("MFkw", "MFkx");
        assert_eq!(algorithms(&broken), Err(KeyError::Unusable(1)));
    }

    #[test]
    fn a_key_set_can_offer_neither_secrets_nor_keys_for_encryption_nor_broken_ones() {
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        let with = |name: &str, value: Value| {
            let mut key = ed.clone();
            key[name] = value;
            key
        };
        assert_eq!(jwk(ed.clone()), Some(Algorithm::EdDSA));
        assert_eq!(jwk(with("use", json!("sig"))), Some(Algorithm::EdDSA));
        assert_eq!(jwk(with("use", json!("enc"))), None);
        assert_eq!(jwk(with("alg", json!("HS256"))), None);
        assert_eq!(jwk(with("alg", json!("RS512"))), None);
        assert_eq!(jwk(with("x", json!("11qYAYK"))), None, "too short");
        assert_eq!(jwk(json!({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3JldA"})), None);
    }

    proptest! {
        #[test]
        fn no_pem_and_no_jwk_panics(body in "[A-Za-z0-9+/=\n]{0,200}", x in ".{0,60}", n in "[A-Za-z0-9_-]{0,400}") {
            public_keys(&format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----")).ok();
            public_keys(&x).ok();
            jwk(json!({"kty": "OKP", "crv": "Ed25519", "x": x}));
            jwk(json!({"kty": "EC", "crv": "P-256", "x": x, "y": n}));
            jwk(json!({"kty": "RSA", "n": n, "e": "AQAB"}));
        }
    }
}
