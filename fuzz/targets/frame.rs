//! Payloads on their way to a client. Input: type, key, payload; each on a line, the payload to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_events::{Spelling, frame};
use platepal_fuzz::{event, line};
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    let (kind, rest) = line(input);
    let (key, payload) = line(rest);
    let Some(event) = event(kind, key, payload) else { return };
    for spelling in [Spelling::Underscored, Spelling::Dotted] {
        let frame = frame(&event, spelling);
        let read: Result<&RawValue, _> = serde_json::from_slice(&frame);
        assert!(read.is_ok(), "every frame is JSON: {:?}", String::from_utf8_lossy(&frame));
    }
});
