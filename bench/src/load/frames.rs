//! WebSocket frames as a server sends them, and the few that a client answers.

/// What a server sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame<'a> {
    Data(&'a [u8]),
    Ping(&'a [u8]),
    Pong,
    /// With its code; 0 if it has none.
    Close(u16),
}

/// The server broke the protocol, or uses a part of it that no measured server uses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken;

/// The first frame in `bytes` and its length; `None`: it is not there yet as a whole.
pub(super) fn first(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>, Broken> {
    let [head, size, rest @ ..] = bytes else { return Ok(None) };
    let (size_bytes, size) = match size {
        0..126 => (0, u64::from(*size)),
        126 => match rest {
            [a, b, ..] => (2, u64::from(u16::from_be_bytes([*a, *b]))),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(size) => (8, u64::from_be_bytes(*size)),
            None => return Ok(None),
        },
        // A masked frame.
        _ => return Err(Broken),
    };
    let start = 2 + size_bytes;
    let end = usize::try_from(size).ok().and_then(|size| size.checked_add(start)).ok_or(Broken)?;
    let Some(payload) = bytes.get(start..end) else { return Ok(None) };
    let frame = match head {
        0x81 | 0x82 => Frame::Data(payload),
        0x88 => Frame::Close(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))),
        0x89 => Frame::Ping(payload),
        0x8a => Frame::Pong,
        _ => return Err(Broken),
    };
    Ok(Some((frame, end)))
}

/// A text of at most 65,535 bytes.
pub(super) fn text(payload: &[u8]) -> Vec<u8> {
    masked(0x81, payload)
}

/// The answer to a ping.
pub(super) fn pong(payload: &[u8]) -> Vec<u8> {
    masked(0x8a, payload)
}

/// Masked with zeros: allowed, and nothing to compute.
fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match u8::try_from(payload.len()) {
        Ok(size @ 0..126) => frame.push(0x80 | size),
        _ => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_one_by_one_however_they_are_cut() {
        let long = [b'x'; 300];
        let mut bytes = vec![0x81, 2, b'h', b'i', 0x82, 126, 1, 44];
        bytes.extend(long);
        assert_eq!(first(&bytes), Ok(Some((Frame::Data(b"hi"), 4))));
        assert_eq!(first(&bytes[4..]), Ok(Some((Frame::Data(&long), 304))));
        for end in 4..bytes.len() {
            assert_eq!(first(&bytes[4..end]), Ok(None), "{end}");
        }
        assert_eq!(first(&[0x89, 1, 7]), Ok(Some((Frame::Ping(&[7]), 3))));
    }

    #[test]
    fn what_no_server_sends_is_refused() {
        for bytes in [[0x81, 0x82], [0x01, 0], [0x80, 0], [0xc1, 0]] {
            assert_eq!(first(&bytes), Err(Broken));
        }
    }

    #[test]
    fn what_a_client_sends_is_masked() {
        assert_eq!(text(b"40"), [0x81, 0x82, 0, 0, 0, 0, b'4', b'0']);
        assert_eq!(pong(&[0; 200])[..4], [0x8a, 0xfe, 0, 200]);
    }
}
