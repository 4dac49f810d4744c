//! The body of a request, read whole: with a limit of bytes and of time.

use std::pin::pin;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use http::StatusCode;

use crate::{Settings, handshake::Refused};

/// Reads a body (`warp::body::stream()`) to its end; the error is the answer.
pub(crate) async fn read<B: Buf, E>(
    body: impl Stream<Item = Result<B, E>>,
    settings: &Settings,
) -> Result<Bytes, Refused> {
    let max = settings.body_bytes_max.0;
    let whole = async {
        let mut body = pin!(body);
        let mut read = BytesMut::new();
        while let Some(piece) = body.next().await {
            let broken = |_| Refused::new(StatusCode::BAD_REQUEST, "bad_request", "the body broke off");
            let piece = piece.map_err(broken)?;
            if read.len() + piece.remaining() > max {
                let message = format!("the body may have {max} bytes");
                return Err(Refused::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
            }
            bytes::BufMut::put(&mut read, piece);
        }
        Ok(read.freeze())
    };
    tokio::time::timeout(settings.body_timeout, whole).await.unwrap_or_else(|_| {
        let message = format!("the body took longer than {:?}", settings.body_timeout);
        Err(Refused::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", message))
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::io;

    use futures_util::stream;

    use super::*;
    use crate::settings::tests::read as settings;

    type Piece = io::Result<&'static [u8]>;

    async fn outcome(body: impl Stream<Item = Piece>) -> Result<Bytes, (u16, &'static str)> {
        let (settings, _) =
            settings(&[("REALTIME_EDGE_BODY_BYTES_MAX", "8"), ("REALTIME_EDGE_BODY_TIMEOUT", "50ms")]);
        read(body, &settings).await.map_err(|refused| (refused.status.as_u16(), refused.word))
    }

    #[tokio::test]
    async fn a_body_is_read_whole_or_its_sender_is_told_why_not() {
        let pieces = |pieces: Vec<Piece>| stream::iter(pieces);
        assert_eq!(outcome(pieces(vec![Ok(b"12345"), Ok(b"678")])).await, Ok("12345678".into()));
        assert_eq!(outcome(pieces(vec![])).await, Ok(Bytes::new()));
        let too_large = vec![Ok(&b"12345"[..]), Ok(b"6789")];
        assert_eq!(outcome(pieces(too_large)).await, Err((413, "body_too_large")));
        let broken = vec![Ok(&b"12345"[..]), Err(io::ErrorKind::ConnectionReset.into())];
        assert_eq!(outcome(pieces(broken)).await, Err((400, "bad_request")));
        let never = pieces(vec![Ok(&b"1"[..])]).chain(stream::pending());
        assert_eq!(outcome(never).await, Err((408, "body_too_slow")));
        // Bytes that never stop are not waited for.
        assert_eq!(outcome(stream::repeat_with(|| Ok(&b"1"[..]))).await, Err((413, "body_too_large")));
    }
}
