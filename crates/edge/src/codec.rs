//! Frames as bytes, ready for the socket: header and payload in one shared buffer.
//!
//! An event is encoded once per spelling, however many connections it goes to.

use std::sync::OnceLock;

use bytes::{BufMut, Bytes, BytesMut};
use platepal_events::{Entry, Event, Spelling, frame};

/// First byte of a server's text frame: final, opcode 1 (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
/// A ping without payload, unmasked as a server sends it.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// A text frame around this payload.
pub(crate) fn text_frame(payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(TEXT);
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length), _) if length < 126 => frame.put_u8(length),
        (_, Ok(length)) => {
            frame.put_u8(126);
            frame.put_u16(length);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(payload.len() as u64);
        }
    }
    frame.put_slice(payload);
    frame.freeze()
}

/// An event as a text frame.
pub(crate) fn event_frame(event: &Event, spelling: Spelling) -> Bytes {
    text_frame(&frame(event, spelling))
}

/// An entry and its frames, each made when first needed.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub entry: Entry,
    underscored: OnceLock<Bytes>,
    dotted: OnceLock<Bytes>,
}

impl Encoded {
    pub fn new(entry: Entry) -> Self {
        Self { entry, underscored: OnceLock::new(), dotted: OnceLock::new() }
    }

    pub fn frame(&self, spelling: Spelling) -> Bytes {
        let slot = match spelling {
            Spelling::Underscored => &self.underscored,
            Spelling::Dotted => &self.dotted,
        };
        slot.get_or_init(|| event_frame(&self.entry.event, spelling)).clone()
    }

    /// About what it costs in memory: the payload, one frame of it, and what is around them.
    pub fn cost_bytes(&self) -> usize {
        2 * self.entry.event.payload.len() + 512
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio_tungstenite::tungstenite::{
        Message,
        protocol::{Role, WebSocket},
    };

    use super::*;

    #[test]
    fn every_length_is_framed_as_a_client_expects() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 200_000] {
            let text = "x".repeat(length);
            let bytes = text_frame(text.as_bytes());
            let mut client =
                WebSocket::from_raw_socket(std::io::Cursor::new(bytes.to_vec()), Role::Client, None);
            assert_eq!(client.read().unwrap(), Message::text(text), "{length}");
        }
    }
}
