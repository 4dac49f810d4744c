//! The JSON frame that PlatePal's frontends read.

use serde::{Serialize, Serializer};

use crate::{Event, EventId, EventType};

/// Digits of a whole number that every reader of JSON keeps.
const DIGITS_MAX: usize = 15;

/// An id as Django writes it: a number if it is a whole one, else a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WireId<'a>(pub &'a str);

impl Serialize for WireId<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.parse::<u64>() {
            Ok(number) if self.0.len() <= DIGITS_MAX && number.to_string() == self.0 => {
                serializer.serialize_u64(number)
            }
            _ => serializer.serialize_str(self.0),
        }
    }
}

/// How event types are spelled on a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Spelling {
    /// `order_accepted`: what the frontends listen for.
    Underscored,
    /// `order.accepted`: what the old server sent.
    Dotted,
}

impl Spelling {
    fn of(self, kind: &EventType) -> String {
        match self {
            Self::Underscored => kind.underscored(),
            Self::Dotted => kind.to_string(),
        }
    }
}

/// An event as a frame: `{"type","data","event_id","timestamp","version"}`. `data` is the payload, byte for
/// byte. It can't fail, as every part of an [`Event`] is either JSON or free of characters to escape.
pub fn frame(event: &Event, spelling: Spelling) -> Vec<u8> {
    frame_as(event, &event.id, spelling)
}

/// As [`frame`], with another id for the client to name when it comes back.
pub fn frame_as(event: &Event, id: &EventId, spelling: Spelling) -> Vec<u8> {
    let kind = spelling.of(&event.kind);
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

/// An event that only passes, as a frame: `{"type":"typing","user_id":7,…}`, the fields of its payload beside its
/// type. A payload that is no object gives the type alone.
pub fn flat_frame(event: &Event, spelling: Spelling) -> Vec<u8> {
    let kind = spelling.of(&event.kind);
    let fields = event.payload.trim_ascii().strip_prefix(b"{").map_or(&b"}"[..], <[u8]>::trim_ascii_start);
    let comma: &[u8] = if fields.starts_with(b"}") { b"" } else { b"," };
    [br#"{"type":""#.as_slice(), kind.as_bytes(), b"\"", comma, fields].concat()
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
    fn what_only_passes_is_flat() {
        let flat = |payload: &'static str| {
            let event = Event { payload: payload.into(), kind: "typing".parse().unwrap(), ..event() };
            String::from_utf8(flat_frame(&event, Spelling::Underscored)).unwrap()
        };
        assert_eq!(
            flat(r#"{"user_id":7,"is_typing":true}"#),
            r#"{"type":"typing","user_id":7,"is_typing":true}"#
        );
        for payload in [" { } ", "{}", "[1]", "7"] {
            assert_eq!(flat(payload), r#"{"type":"typing"}"#, "{payload}");
        }
    }

    #[test]
    fn ids_are_numbers_where_they_are_whole_ones() {
        let ids = ["7", "007", "a7", "999999999999999", "9999999999999999", "-1"].map(WireId);
        let written = serde_json::to_string(&ids).unwrap();
        assert_eq!(written, r#"[7,"007","a7",999999999999999,"9999999999999999","-1"]"#);
    }

    #[test]
    fn dotted_types_are_a_matter_of_spelling() {
        let frame = String::from_utf8(frame(&event(), Spelling::Dotted)).unwrap();
        assert!(frame.starts_with(r#"{"type":"order.accepted","#), "{frame}");
    }
}
