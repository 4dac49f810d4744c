//! What a client says on one of PlatePal's sockets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_edge::fuzzing::answer;
use platepal_fuzz::text;

fuzz_target!(|input: &[u8]| {
    let Some(text) = text(input) else { return };
    let answer = answer(text);
    assert!(answer.len() < 1_000, "an answer is short, whatever was said");
});
