//! The settings of tokens ([`Settings`]) and of API keys ([`KeySettings`]). They are two groups, as not every
//! role needs both.

use std::time::Duration;

use platepal_settings::{ByteSize, Reader, Secret};
use url::Url;

use crate::{
    ApiKeys,
    keys::{self, KeyError},
};

/// The value of `REALTIME_JWT_TOKEN_TYPE` that accepts every type but `refresh`.
pub(crate) const ANY_TYPE: &str = "any";

platepal_settings::settings! {
    /// Tokens: whose signature is trusted, and what a token must say.
    pub struct Settings {
        /// The secret with which Django signs HS256 tokens: its `SIMPLE_JWT["SIGNING_KEY"]`, by default `SECRET_KEY`. At least 32 bytes.
        secret: Option<Secret> = "REALTIME_JWT_SECRET", optional;
        /// Secrets that were used before, so that tokens signed with them stay valid while a new one is rolled out.
        previous_secrets: Vec<Secret> = "REALTIME_JWT_PREVIOUS_SECRETS", optional;
        /// Public keys in PEM, one after the other: RSA verifies RS256, P-256 ES256, P-384 ES384, Ed25519 EdDSA. `\n` may stand for a line's end.
        public_key: Option<Secret> = "REALTIME_JWT_PUBLIC_KEY", optional;
        /// Where the issuer publishes its key set (JWKS). `https`, or `http` on this machine.
        jwks_url: Option<Url> = "REALTIME_JWT_JWKS_URL", optional;
        /// How often the key set is fetched again.
        jwks_refresh: Duration = "REALTIME_JWT_JWKS_REFRESH", default "10m", bound { unit: "time", full: "the key set is fetched again; if that fails the keys fetched before stay in use", metric: "realtime_auth_jwks_fetches_total" };
        /// The least time between two fetches that tokens with an unknown key caused, and after a failed fetch.
        jwks_cooldown: Duration = "REALTIME_JWT_JWKS_COOLDOWN", default "10s", bound { unit: "time", full: "tokens with an unknown key are refused without another fetch", metric: "realtime_auth_jwks_fetches_total" };
        /// How long one fetch of the key set may take.
        jwks_timeout: Duration = "REALTIME_JWT_JWKS_TIMEOUT", default "5s", bound { unit: "time", full: "the fetch has failed; the keys fetched before stay in use", metric: "realtime_auth_jwks_fetches_total" };
        /// The largest key set that is read.
        jwks_size_max: ByteSize = "REALTIME_JWT_JWKS_SIZE_MAX", default "64KiB", bound { unit: "bytes", full: "the fetch has failed; the keys fetched before stay in use", metric: "realtime_auth_jwks_fetches_total" };
        /// The claim that holds the user's id, a number or a text.
        user_claim: String = "REALTIME_JWT_USER_CLAIM", default "user_id";
        /// What the claim `token_type` must be; `any` for issuers that write none. `refresh` tokens are refused in any case.
        token_type: String = "REALTIME_JWT_TOKEN_TYPE", default "access";
        /// What the claim `aud` must be or contain.
        audience: Option<String> = "REALTIME_JWT_AUDIENCE", optional;
        /// What the claim `iss` must be.
        issuer: Option<String> = "REALTIME_JWT_ISSUER", optional;
        /// By how much the clocks of the issuer and of this machine may differ.
        leeway: Duration = "REALTIME_JWT_LEEWAY", default "30s", bound { unit: "time", full: "the token has expired, or is not valid yet", metric: "realtime_auth_tokens_total" };
        /// The longest token that is read.
        token_size_max: ByteSize = "REALTIME_JWT_TOKEN_SIZE_MAX", default "8KiB", bound { unit: "bytes", full: "the token is refused", metric: "realtime_auth_tokens_total" };
    }
}

platepal_settings::settings! {
    /// API keys: how backends and our own services prove who they are.
    pub struct KeySettings {
        /// Keys that are accepted, each `name=key` or just the key, of at least 16 characters. Names show up in logs and metrics, keys never. Our own services use the first to call each other.
        api_keys: Vec<Secret> = "REALTIME_API_KEYS", optional;
    }
}

impl Settings {
    /// Notes what is wrong with the settings together.
    pub fn check(&self, reader: &mut Reader) {
        if let Err(mistakes) = keys::configured(self) {
            mistakes.iter().for_each(|mistake| reader.mistake(mistake.to_string()));
        }
        if let Err(mistake) = self.trusted_jwks_url() {
            reader.mistake(mistake.to_string());
        }
        if self.jwks_timeout > self.jwks_refresh {
            reader.mistake("REALTIME_JWT_JWKS_TIMEOUT must not be longer than REALTIME_JWT_JWKS_REFRESH");
        }
        if self.jwks_cooldown < Duration::from_secs(1) || self.jwks_refresh < Duration::from_secs(1) {
            reader.mistake(
                "REALTIME_JWT_JWKS_COOLDOWN and REALTIME_JWT_JWKS_REFRESH must be at least 1s, to spare the issuer",
            );
        }
        if self.leeway > Duration::from_secs(600) {
            reader.mistake("REALTIME_JWT_LEEWAY must be at most 10m; it lengthens every token's life");
        }
        if self.token_type.eq_ignore_ascii_case("refresh") {
            reader
                .mistake("REALTIME_JWT_TOKEN_TYPE can't be refresh: refresh tokens are only for the issuer");
        }
    }

    /// The address of the key set, unless somebody on the way could put keys of his own into it.
    pub(crate) fn trusted_jwks_url(&self) -> Result<Option<&Url>, KeyError> {
        let Some(url) = &self.jwks_url else { return Ok(None) };
        let is_local = match url.host() {
            Some(url::Host::Domain(name)) => name == "localhost",
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => Ok(Some(url)),
            "http" if is_local => Ok(Some(url)),
            _ => Err(KeyError::UntrustedJwks),
        }
    }
}

impl KeySettings {
    /// Notes keys that are too short.
    pub fn check(&self, reader: &mut Reader) {
        if let Err(mistake) = ApiKeys::new(self) {
            reader.mistake(mistake.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    const RSA: &str = include_str!("../tests/keys/rsa_a.public.pem");

    fn mistakes(variables: &[(&str, &str)]) -> Vec<String> {
        let mut reader = Reader::new(variables.iter().copied());
        let settings = reader.read::<Settings>().unwrap();
        settings.check(&mut reader);
        reader.finish(Settings::SPECS).err().map(|mistakes| mistakes.0).unwrap_or_default()
    }

    #[test]
    fn without_any_key_the_process_says_which_settings_would_help() {
        let mistakes = mistakes(&[]);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        for name in ["REALTIME_JWT_SECRET", "REALTIME_JWT_PUBLIC_KEY", "REALTIME_JWT_JWKS_URL"] {
            assert!(mistakes[0].contains(name), "{mistakes:?}");
        }
    }

    #[test]
    fn a_short_secret_is_a_mistake_that_does_not_show_it() {
        for name in ["REALTIME_JWT_SECRET", "REALTIME_JWT_PREVIOUS_SECRETS"] {
            let mistakes = mistakes(&[("REALTIME_JWT_PUBLIC_KEY", RSA), (name, "hunter2")]);
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(name) && mistakes[0].contains("32"), "{mistakes:?}");
            assert!(!mistakes[0].contains("hunter2"), "{mistakes:?}");
        }
    }

    #[test]
    fn a_public_key_in_place_of_the_secret_is_a_mistake() {
        // Everybody knows it, so everybody could sign.
        let mistakes = mistakes(&[("REALTIME_JWT_SECRET", RSA)]);
        assert!(mistakes[0].contains("REALTIME_JWT_PUBLIC_KEY"), "{mistakes:?}");
    }

    #[test]
    fn a_key_set_over_plain_http_is_a_mistake_except_on_this_machine() {
        for bad in
            ["http://issuer.example/jwks", "ftp://issuer.example/jwks", "http://localhost.example/jwks"]
        {
            assert_eq!(mistakes(&[("REALTIME_JWT_JWKS_URL", bad)]).len(), 1, "{bad}");
        }
        for good in
            ["https://issuer.example/jwks", "http://127.0.0.1:1/jwks", "http://[::1]/", "http://localhost/"]
        {
            assert_eq!(mistakes(&[("REALTIME_JWT_JWKS_URL", good)]), [""; 0], "{good}");
        }
    }

    #[test]
    fn times_that_contradict_each_other_are_mistakes() {
        let secret = ("REALTIME_JWT_SECRET", "a secret of at least thirty-two bytes");
        assert_eq!(mistakes(&[secret]), [""; 0]);
        assert_eq!(mistakes(&[secret, ("REALTIME_JWT_JWKS_TIMEOUT", "11m")]).len(), 1);
        assert_eq!(mistakes(&[secret, ("REALTIME_JWT_JWKS_COOLDOWN", "0s")]).len(), 1);
        assert_eq!(mistakes(&[secret, ("REALTIME_JWT_LEEWAY", "1h")]).len(), 1);
        assert_eq!(mistakes(&[secret, ("REALTIME_JWT_TOKEN_TYPE", "refresh")]).len(), 1);
    }
}
