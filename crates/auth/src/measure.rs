//! The names of this crate's metrics, and what they mean.

use metrics::describe_counter;

/// Label `result`: `ok`, or a word of [`crate::TokenError`].
pub(crate) const TOKENS: &str = "realtime_auth_tokens_total";
/// Label `result`: `ok` or `error`.
pub(crate) const JWKS_FETCHES: &str = "realtime_auth_jwks_fetches_total";

/// Tells the recorder what the names mean. A verifier does it when it starts.
pub(crate) fn describe() {
    describe_counter!(TOKENS, "Tokens checked, by what came of it");
    describe_counter!(
        JWKS_FETCHES,
        "Fetches of the issuer's key set; after an error the keys fetched before stay in use"
    );
}
