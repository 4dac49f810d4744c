//! What a token says, once its signature is good: the input is the claims, and is signed as it is.
#![no_main]
#![allow(clippy::expect_used)] // a target that is not as it should be had better stop

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures_util::FutureExt;
use jsonwebtoken::{Algorithm, EncodingKey, crypto::sign};
use libfuzzer_sys::fuzz_target;
use platepal_auth::{Settings, Verifier};
use platepal_fuzz::now;
use platepal_settings::Reader;

const SECRET: &str = "a secret of at least thirty-two bytes";
/// `{"alg":"HS256","typ":"JWT"}`
const HEADER: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

static VERIFIER: LazyLock<Verifier> = LazyLock::new(|| {
    let settings: Settings =
        Reader::new([("REALTIME_JWT_SECRET", SECRET)]).read().expect("the settings are right");
    Verifier::start(&settings).now_or_never().expect("nothing to wait for").expect("the key is right")
});
static KEY: LazyLock<EncodingKey> = LazyLock::new(|| EncodingKey::from_secret(SECRET.as_bytes()));

fuzz_target!(|input: &[u8]| {
    let message = format!("{HEADER}.{}", URL_SAFE_NO_PAD.encode(input));
    let signature = sign(message.as_bytes(), &KEY, Algorithm::HS256).expect("a secret signs anything");
    let token = format!("{message}.{signature}");
    let verdict = VERIFIER.verify(&token, now()).now_or_never().expect("no key set, so nothing to wait for");
    if let Ok(principal) = verdict {
        assert!(!principal.is_expired(now()));
        assert!(principal.user_id.as_str().parse::<platepal_auth::UserId>().is_ok());
    }
    let right = VERIFIER.verify_subscription(&token, now()).now_or_never();
    if let Ok(right) = right.expect("no key set, so nothing to wait for") {
        drop(right);
    }
});
