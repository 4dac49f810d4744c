//! Commands out of a client's frame, one at a time, so that a frame of thousands costs no more than its bytes.

use bytes::{Buf, Bytes};

use super::messages::Command;

/// How a connection's messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Json,
    Protobuf,
}

/// A frame has something that is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

impl Encoding {
    /// Whether there is anything in a frame.
    pub fn is_blank(self, frame: &Bytes) -> bool {
        match self {
            Self::Json => frame.iter().all(u8::is_ascii_whitespace),
            Self::Protobuf => frame.is_empty(),
        }
    }

    /// Takes the next command out of a frame; `None` when there is none left.
    pub fn next(self, frame: &mut Bytes) -> Option<Result<Command, Malformed>> {
        match self {
            Self::Json => {
                let line = next_line(frame)?;
                // serde would take a list of the fields' values, too.
                let is_object = line.trim_ascii_start().starts_with(b"{");
                let command = is_object.then(|| serde_json::from_slice(&line).ok()).flatten();
                Some(command.ok_or(Malformed))
            }
            Self::Protobuf => {
                if frame.is_empty() {
                    return None;
                }
                let command = next_delimited(frame).and_then(|bytes| prost::Message::decode(bytes).ok());
                Some(command.ok_or(Malformed))
            }
        }
    }
}

/// The next line that is not blank.
fn next_line(frame: &mut Bytes) -> Option<Bytes> {
    while !frame.is_empty() {
        let end = frame.iter().position(|byte| *byte == b'\n');
        let line = frame.split_to(end.unwrap_or(frame.len()));
        frame.advance(usize::from(end.is_some()));
        if !line.iter().all(u8::is_ascii_whitespace) {
            return Some(line);
        }
    }
    None
}

fn next_delimited(frame: &mut Bytes) -> Option<Bytes> {
    let length = prost::decode_length_delimiter(&mut *frame).ok()?;
    (length <= frame.len()).then(|| frame.split_to(length))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    fn ids(encoding: Encoding, frame: &[u8]) -> Result<Vec<u32>, Malformed> {
        let mut frame = Bytes::copy_from_slice(frame);
        std::iter::from_fn(|| encoding.next(&mut frame))
            .map(|command| command.map(|command| command.id))
            .collect()
    }

    #[test]
    fn a_frame_holds_many_commands() {
        let frame = b"{\"id\":1,\"connect\":{\"name\":\"js\"}}\n{}\n\n{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"flag\":1}}\n";
        assert_eq!(ids(Encoding::Json, frame), Ok(vec![1, 0, 2]));
        // As the JavaScript SDK writes a subscribe, after a pong.
        let frame = b"\x00\x09\x08\x02\x2a\x05\x0a\x01a\x70\x01";
        assert_eq!(ids(Encoding::Protobuf, frame), Ok(vec![0, 2]));
    }

    #[test]
    fn payloads_are_taken_as_they_are() {
        let mut frame = Bytes::from_static(br#"{"id":5,"publish":{"channel":"chat:88","data":{"t": 1.0}}}"#);
        let command = Encoding::Json.next(&mut frame).unwrap().unwrap();
        assert_eq!(command.publish.unwrap().data, r#"{"t": 1.0}"#);
    }

    #[test]
    fn what_is_no_command_is_said_so() {
        for frame in [b"[]".as_slice(), b"1", b"{\"id\":-1}", b"{\"id\":1", b"\xff", b"{\"connect\":7}"] {
            assert_eq!(ids(Encoding::Json, frame), Err(Malformed));
        }
        for frame in [b"\x05\x01".as_slice(), b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x01\x07"] {
            assert_eq!(ids(Encoding::Protobuf, frame), Err(Malformed));
        }
    }

    proptest! {
        #[test]
        fn no_frame_makes_it_panic_or_loop(frame in proptest::collection::vec(any::<u8>(), 0..200)) {
            for encoding in [Encoding::Json, Encoding::Protobuf] {
                let mut rest = Bytes::from(frame.clone());
                let turns = std::iter::from_fn(|| encoding.next(&mut rest)).take_while(Result::is_ok).count();
                prop_assert!(turns <= frame.len());
            }
        }
    }
}
