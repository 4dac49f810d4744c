//! The JSON frame that PlatePal's frontends read.

use crate::{Event, EventId};

/// How event types are spelled on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `order_accepted`: what the frontends listen for.
    Underscored,
    /// `order.accepted`: what the old server sent.
    Dotted,
}

/// An event as a frame: `{"type","data","event_id","timestamp","version"}`. `data` is the payload, byte for
/// byte. It can't fail, as every part of an [`Event`] is either JSON or free of characters to escape.
pub fn frame(event: &Event, spelling: Spelling) -> Vec<u8> {
    frame_as(event, &event.id, spelling)
}

/// As [`frame`], with another id for the client to name when it comes back.
pub fn frame_as(event: &Event, id: &EventId, spelling: Spelling) -> Vec<u8> {
    let kind = match spelling {
        Spelling::Underscored => event.kind.underscored(),
        Spelling::Dotted => event.kind.to_string(),
    };
    let timestamp = event.timestamp.to_string();
    let mut frame = Vec::with_capacity(event.payload.len() + 192);
    for part in [
        br#"{"type":""#.as_slice(),
        kind.as_bytes(),
        br#"","data":"#,
        &event.payload,
        br#","event_id":""#,
        id.as_str().as_bytes(),
        br#"","timestamp":""#,
        timestamp.as_bytes(),
        br#"","version":""#,
        event.version.as_bytes(),
        br#""}"#,
    ] {
        frame.extend_from_slice(part);
    }
    frame
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_proto::v1;

    use super::*;
    use crate::Timestamp;

    fn event() -> Event {
        let message = v1::Event {
            event_id: "0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11".into(),
            r#type: "order.accepted".into(),
            payload: "{\"id\": 5012,  \"note\":\"\\u00e9 – ü\"}".into(),
            ..Default::default()
        };
        Event::parse(message, Timestamp::from_micros(1_795_519_800_123_456)).unwrap()
    }

    #[test]
    fn a_frame_carries_the_payload_byte_for_byte() {
        let frame = String::from_utf8(frame(&event(), Spelling::Underscored)).unwrap();
        insta::assert_snapshot!(frame, @r#"{"type":"order_accepted","data":{"id": 5012,  "note":"\u00e9 – ü"},"event_id":"0b2d3b1e-7d1c-4f4e-9d57-0d6f3a6c1a11","timestamp":"2026-11-24T11:30:00.123456+00:00","version":"1.0"}"#);
        serde_json::from_str::<serde_json::Value>(&frame).unwrap();
    }

    #[test]
    fn dotted_types_are_a_matter_of_spelling() {
        let frame = String::from_utf8(frame(&event(), Spelling::Dotted)).unwrap();
        assert!(frame.starts_with(r#"{"type":"order.accepted","#), "{frame}");
    }
}
