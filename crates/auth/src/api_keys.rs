//! [`ApiKeys`]: how backends and our own services prove who they are.

use std::{fmt, sync::Arc};

use platepal_settings::Secret;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::KeySettings;

/// The shortest key, in characters.
const KEY_CHARS_MIN: usize = 16;
/// The longest key that is compared, in bytes.
const KEY_BYTES_MAX: usize = 1024;
/// The longest name of a key, in characters.
const NAME_CHARS_MAX: usize = 32;

/// The name of a key: what logs and metrics show of it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(Arc<str>);

impl KeyName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key is too short, so it could be guessed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("REALTIME_API_KEYS: the key {0:?} has fewer than 16 or more than 1024 characters")]
pub struct ApiKeyError(String);

/// The keys that are accepted. Cheap to clone.
///
/// ```
/// use platepal_auth::{ApiKeys, KeySettings};
///
/// let mut reader = platepal_settings::Reader::new([("REALTIME_API_KEYS", "django=0123456789abcdef")]);
/// let keys = ApiKeys::new(&reader.read::<KeySettings>().ok_or("mistakes")?)?;
/// assert_eq!(keys.check("0123456789abcdef").ok_or("unknown")?.as_str(), "django");
/// assert!(keys.check("0123456789abcdeg").is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct ApiKeys {
    keys: Arc<[ApiKey]>,
    first: Option<Secret>,
}

struct ApiKey {
    name: KeyName,
    digest: [u8; 32],
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({})", self.name)
    }
}

impl ApiKeys {
    /// Reads the keys of the settings.
    ///
    /// # Errors
    /// The name of a key that is too short or too long.
    pub fn new(settings: &KeySettings) -> Result<Self, ApiKeyError> {
        let mut keys = Vec::with_capacity(settings.api_keys.len());
        let mut first = None;
        for (index, entry) in settings.api_keys.iter().enumerate() {
            let (name, key) = named(entry.reveal());
            let name = name.map_or_else(|| format!("key-{}", index + 1), str::to_owned);
            if key.chars().count() < KEY_CHARS_MIN || key.len() > KEY_BYTES_MAX {
                return Err(ApiKeyError(name));
            }
            first.get_or_insert_with(|| Secret::new(key));
            keys.push(ApiKey { name: KeyName(name.into()), digest: Sha256::digest(key).into() });
        }
        Ok(Self { keys: keys.into(), first })
    }

    /// The name of a key; `None` if it is not accepted. Takes as long for a wrong key as for a right one:
    /// digests are compared, all of them, each in constant time.
    pub fn check(&self, key: &str) -> Option<KeyName> {
        if key.len() > KEY_BYTES_MAX {
            return None;
        }
        let digest: [u8; 32] = Sha256::digest(key).into();
        let mut found = None;
        for known in self.keys.iter() {
            if bool::from(known.digest.ct_eq(&digest)) {
                found = Some(&known.name);
            }
        }
        found.cloned()
    }

    /// The key with which our own services call each other; never to be shown.
    pub fn first(&self) -> Option<&str> {
        self.first.as_ref().map(Secret::reveal)
    }

    /// Whether no key is accepted.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// Splits `name=key`. A bare key may have `=` itself: at its end, as padding of base64.
fn named(entry: &str) -> (Option<&str>, &str) {
    let is_name = |text: &str| {
        (1..=NAME_CHARS_MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    match entry.split_once('=') {
        Some((name, key)) if is_name(name) && key.bytes().any(|b| b != b'=') => (Some(name), key),
        _ => (None, entry),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn keys(entries: &[&str]) -> Result<ApiKeys, ApiKeyError> {
        ApiKeys::new(&KeySettings { api_keys: entries.iter().map(|entry| Secret::new(*entry)).collect() })
    }

    #[test]
    fn keys_are_known_by_their_names() {
        let keys =
            keys(&["django=0123456789abcdef", "fedcba9876543210", "MDEyMzQ1Njc4OWFiY2RlZg=="]).unwrap();
        let name = |key: &str| keys.check(key).map(|name| name.to_string());
        assert_eq!(name("0123456789abcdef").as_deref(), Some("django"));
        assert_eq!(name("fedcba9876543210").as_deref(), Some("key-2"));
        assert_eq!(name("MDEyMzQ1Njc4OWFiY2RlZg==").as_deref(), Some("key-3"), "padding is no name");
        for wrong in ["", "django", "django=0123456789abcdef", "0123456789abcde", "MDEyMzQ1Njc4OWFiY2RlZg"] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
        assert_eq!(keys.first(), Some("0123456789abcdef"));
    }

    #[test]
    fn without_keys_none_is_accepted() {
        let none = keys(&[]).unwrap();
        assert!(none.is_empty() && none.first().is_none() && none.check("").is_none());
    }

    #[test]
    fn a_short_key_is_a_mistake_that_does_not_show_it() {
        let sentence = keys(&["0123456789abcdef", "web=tooshort"]).unwrap_err().to_string();
        assert!(sentence.contains("\"web\"") && !sentence.contains("tooshort"), "{sentence}");
        let sentence = keys(&["tooshort"]).unwrap_err().to_string();
        assert!(sentence.contains("\"key-1\"") && !sentence.contains("tooshort"), "{sentence}");
    }

    #[test]
    fn no_key_shows_up_in_debug_output() {
        let debug = format!("{:?}", keys(&["django=0123456789abcdef"]).unwrap());
        assert!(debug.contains("django") && !debug.contains("0123456789abcdef"), "{debug}");
    }

    proptest! {
        #[test]
        fn only_the_very_key_is_accepted(key in "[!-~]{16,40}", other in ".{0,40}") {
            let (_, bare) = named(&key);
            if let Ok(keys) = keys(&[&key]) {
                prop_assert!(keys.check(bare).is_some());
                prop_assert_eq!(keys.check(&other).is_some(), other == bare);
            }
        }
    }
}
