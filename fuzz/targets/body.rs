//! An event as it is written in a log or on the wire of the bus, and the subject it came on. Input: the subject
//! on a line, then the bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_bus::fuzzing::{channel_of, decode, encode};
use platepal_fuzz::{line, now, text};

fuzz_target!(|input: &[u8]| {
    let (subject, body) = line(input);
    if let Some(channel) = text(subject).and_then(channel_of) {
        assert!(!channel.as_str().is_empty());
    }
    if let Ok(event) = decode(body, now()) {
        let again = decode(&encode(&event), now());
        assert_eq!(again.as_ref(), Ok(&event), "an event survives the log");
    }
});
