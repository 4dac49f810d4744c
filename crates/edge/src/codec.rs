//! Events as frames: the bytes that a connection's protocol and transport want.
//!
//! An event is encoded once per [`Wire`], however many connections it goes to, and the bytes are shared.

use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use platepal_events::{
    Channel, Class, Entry, Event, EventId, Position, Spelling, flat_frame, frame, frame_as,
};

use crate::{
    centrifuge::messages::{Disconnect, Publication, Push, Reply},
    close::{Close, Numbers},
    journey::Journey,
};

/// First byte of a server's text frame: final, opcode 1 (RFC 6455, section 5.2).
const TEXT: u8 = 0x81;
/// First byte of a server's binary frame: final, opcode 2.
const BINARY: u8 = 0x82;
/// A ping without payload, unmasked as a server sends it.
pub(crate) const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// How a connection wants to be told: its protocol and what carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Wire {
    /// PlatePal's own frames in WebSocket text frames.
    PlatePalSocket,
    /// PlatePal's own frames as server-sent events.
    PlatePalEvents,
    /// PlatePal's own frames, a line each.
    PlatePalLines,
    /// Centrifuge's JSON in WebSocket text frames.
    JsonSocket,
    /// Centrifuge's JSON as server-sent events.
    JsonEvents,
    /// Centrifuge's JSON, a line each.
    JsonLines,
    /// Centrifuge's protobuf in WebSocket binary frames.
    ProtobufSocket,
    /// Centrifuge's protobuf, one after the other.
    ProtobufStream,
}

impl Wire {
    const COUNT: usize = 8;

    /// One message of the protocol in what carries it.
    pub fn wrap(self, message: &[u8]) -> Bytes {
        match self {
            Self::PlatePalSocket | Self::JsonSocket => socket_frame(TEXT, message),
            Self::ProtobufSocket => socket_frame(BINARY, message),
            Self::PlatePalEvents | Self::JsonEvents => [b"data: ", message, b"\n\n"].concat().into(),
            Self::JsonLines | Self::PlatePalLines => [message, b"\n"].concat().into(),
            Self::ProtobufStream => Bytes::copy_from_slice(message),
        }
    }

    /// A reply or push of Centrifuge's protocol.
    pub fn reply(self, reply: &Reply) -> Bytes {
        self.wrap(&match self {
            Self::ProtobufSocket | Self::ProtobufStream => {
                prost::Message::encode_length_delimited_to_vec(reply)
            }
            // Serialising what holds no map with keys that are not text can't fail.
            _ => serde_json::to_vec(reply).unwrap_or_default(),
        })
    }

    pub fn is_centrifuge(self) -> bool {
        !matches!(self, Self::PlatePalSocket | Self::PlatePalEvents | Self::PlatePalLines)
    }

    /// Whether clients say that they are there when they are pinged; others are missed when nothing can be
    /// written to them.
    pub fn answers_pings(self) -> bool {
        matches!(self, Self::PlatePalSocket | Self::JsonSocket | Self::ProtobufSocket)
    }

    /// Why a response ends; a WebSocket has a close frame for it.
    pub fn goodbye(self, close: &Close) -> Bytes {
        if self.is_centrifuge() {
            let (code, reason) = (close.number(Numbers::Centrifuge), close.reason().into_owned());
            let disconnect = Some(Disconnect { code: code.into(), reason });
            return self
                .reply(&Reply { push: Some(Push { disconnect, ..Push::default() }), ..Reply::default() });
        }
        let why = serde_json::json!({ "code": close.number(Numbers::PlatePal), "reason": close.reason() });
        format!("event: close\ndata: {why}\n\n").into()
    }

    /// What keeps the connection from looking dead.
    pub fn ping(self) -> Bytes {
        match self {
            Self::PlatePalSocket => PING,
            Self::PlatePalEvents => Bytes::from_static(b": ping\n\n"),
            Self::PlatePalLines => Bytes::from_static(b"\n"),
            Self::JsonSocket | Self::JsonEvents | Self::JsonLines => self.wrap(b"{}"),
            Self::ProtobufSocket | Self::ProtobufStream => self.wrap(&[0]),
        }
    }

    /// An event without a place in its channel's log, e.g. a snapshot; `id` is what a client names when it comes
    /// back.
    pub fn event(self, event: &Event, id: &EventId, spelling: Spelling) -> Bytes {
        match self {
            Self::PlatePalEvents => {
                let head = format!("id: {id}\n");
                [head.as_bytes(), &self.wrap(&one_line(frame_as(event, id, spelling)))].concat().into()
            }
            Self::PlatePalLines => self.wrap(&one_line(frame_as(event, id, spelling))),
            _ => self.wrap(&frame_as(event, id, spelling)),
        }
    }

    /// An event that is kept nowhere.
    pub fn passing(self, channel: &Channel, event: &Event, spelling: Spelling) -> Bytes {
        let flat = one_line(flat_frame(event, spelling));
        if !self.is_centrifuge() {
            return self.wrap(&flat);
        }
        let publication = Publication { data: flat.into(), ..Publication::default() };
        let channel = channel.to_string();
        self.reply(&Reply {
            push: Some(Push { channel, publication: Some(publication), ..Push::default() }),
            ..Reply::default()
        })
    }

    /// An event of a channel. `place`, for values of the *latest* class: up to where the reader has the log.
    fn entry(self, entry: &Entry, place: Option<&Position>, spelling: Spelling) -> Bytes {
        match self {
            Self::PlatePalSocket | Self::PlatePalEvents | Self::PlatePalLines => {
                let id = place.map_or_else(|| entry.event.id.clone(), EventId::at);
                self.event(&entry.event, &id, spelling)
            }
            _ => {
                let push = Push {
                    channel: entry.channel.to_string(),
                    publication: Some(publication(entry, spelling)),
                    ..Push::default()
                };
                self.reply(&Reply { push: Some(push), ..Reply::default() })
            }
        }
    }
}

/// An event as a client of Centrifuge's protocol gets it: the same frame as PlatePal's, at its position. Values
/// of the *latest* class have none: they are no part of what can be recovered.
pub(crate) fn publication(entry: &Entry, spelling: Spelling) -> Publication {
    Publication {
        data: data(&entry.event, spelling),
        offset: if entry.event.kind.class() == Class::Log { entry.position.offset } else { 0 },
        time: entry.kept_at.micros() / 1_000,
    }
}

/// An event as data in Centrifuge's protocol.
pub(crate) fn data(event: &Event, spelling: Spelling) -> Bytes {
    one_line(frame(event, spelling)).into()
}

/// JSON without line breaks, which may stand only between its words; both protocols end a message at one.
fn one_line(mut json: Vec<u8>) -> Vec<u8> {
    json.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    json
}

/// A WebSocket frame around this payload.
fn socket_frame(first: u8, payload: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(first);
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

/// The frames of something, one per wire, each made when first needed.
#[derive(Debug, Default)]
pub(crate) struct Frames([OnceLock<Bytes>; Wire::COUNT]);

impl Frames {
    pub fn get(&self, wire: Wire, encode: impl Fn() -> Bytes) -> Bytes {
        match self.0.get(wire as usize) {
            Some(slot) => slot.get_or_init(encode).clone(),
            None => encode(),
        }
    }
}

/// An entry and its frames.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub entry: Entry,
    /// For the *latest* class: the log's head when it came.
    place: Option<Position>,
    pub journey: Arc<Journey>,
    frames: Frames,
}

impl Encoded {
    pub fn new(entry: Entry) -> Self {
        let journey = Arc::new(Journey::of(&entry.event, entry.kept_at));
        Self { entry, place: None, journey, frames: Frames::default() }
    }

    /// A value of the *latest* class, for readers that have the log up to a place.
    pub fn latest(entry: Entry, place: Position) -> Self {
        Self { place: Some(place), ..Self::new(entry) }
    }

    /// Whether it is a value for readers that have the log up to here.
    pub fn is_placed_at(&self, place: &Position) -> bool {
        self.place.as_ref() == Some(place)
    }

    /// `spelling` is the same for all connections of an edge.
    pub fn frame(&self, wire: Wire, spelling: Spelling) -> Bytes {
        self.frames.get(wire, || wire.entry(&self.entry, self.place.as_ref(), spelling))
    }

    /// About what it costs in memory: the payload, one frame of it, and what is around them.
    pub fn cost_bytes(&self) -> usize {
        2 * self.entry.event.payload.len() + 768
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
            let bytes = Wire::PlatePalSocket.wrap(text.as_bytes());
            let mut client =
                WebSocket::from_raw_socket(std::io::Cursor::new(bytes.to_vec()), Role::Client, None);
            assert_eq!(client.read().unwrap(), Message::text(text), "{length}");
        }
    }
}
