//! Tokens as clients send them: any text, checked with keys of every kind.
#![no_main]
#![allow(clippy::expect_used)] // a target that is not as it should be had better stop

use std::sync::LazyLock;

use futures_util::FutureExt;
use libfuzzer_sys::fuzz_target;
use platepal_auth::{Settings, Verifier};
use platepal_fuzz::{now, text};
use platepal_settings::Reader;

/// A public key of RFC 8032, section 7.1.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let mut reader = Reader::new([
        ("REALTIME_JWT_SECRET", "a secret of at least thirty-two bytes"),
        ("REALTIME_JWT_PUBLIC_KEY", ED25519),
    ]);
    let settings: Settings = reader.read().expect("the settings are right");
    Verifier::start(&settings).now_or_never().expect("nothing to wait for").expect("the keys are right")
});

fuzz_target!(|input: &[u8]| {
    let Some(token) = text(input) else { return };
    let verdict = VERIFIER.verify(token, now()).now_or_never().expect("no key set, so nothing to wait for");
    if let Ok(principal) = verdict {
        assert!(!principal.is_expired(now()));
    }
});
