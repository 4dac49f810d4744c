//! What the fuzz targets share. Each target is one file in `targets/`, one folder in `corpus/` with a few
//! meaningful inputs, and one `[[bin]]`; `cargo xtask fuzz` finds it by its file.
//!
//! A target gives a decoder any bytes and checks what must hold of every answer: most often that what was read
//! is the same when it is written and read again.
//!
//! Invariant: no target reads a clock, a file or the network, so that an input does the same every time.

use platepal_events::{Event, Timestamp};
use platepal_proto::v1;

/// The moment at which every input arrives: 2026-11-24T11:30:00Z.
pub fn now() -> Timestamp {
    Timestamp::from_micros(1_795_519_800_000_000)
}

/// The input as text, unless it is none.
pub fn text(input: &[u8]) -> Option<&str> {
    std::str::from_utf8(input).ok()
}

/// The first line of an input, and the rest: for targets whose input has parts.
pub fn line(input: &[u8]) -> (&[u8], &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == b'\n');
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// An event of this type with this payload, if they make one.
pub fn event(kind: &[u8], key: &[u8], payload: &[u8]) -> Option<Event> {
    let message = v1::Event {
        event_id: "0b2d3b5e".into(),
        r#type: text(kind)?.into(),
        key: text(key)?.into(),
        payload: payload.to_vec().into(),
        ..Default::default()
    };
    Event::parse(message, now()).ok()
}
