//! An issuer's key set, as it is fetched.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_auth::fuzzing::key_set;

fuzz_target!(|input: &[u8]| {
    if let Some(keys) = key_set(input) {
        assert!((1..=64).contains(&keys), "{keys} keys");
    }
});
