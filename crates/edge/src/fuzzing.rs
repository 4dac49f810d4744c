//! Decoders that are private, for the fuzz targets alone.

use bytes::Bytes;
use http::{HeaderMap, Method, Response};
use platepal_events::{Channel, ChannelKind};

use crate::{
    centrifuge::frames::Encoding,
    handshake::{Head, Refused},
};

/// What a request to become a WebSocket asks for.
#[derive(Debug)]
pub struct Asked {
    /// The feed.
    pub channel: Channel,
    /// Who asks.
    pub token: Option<String>,
    /// The last event that was seen.
    pub since: Option<String>,
}

/// Reads such a request, or refuses it.
pub fn handshake(
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
    origins: &[String],
) -> Result<Asked, Box<Response<String>>> {
    let read = || {
        let head = Head { method, path, query, headers };
        head.accept_key()?;
        head.check_origin(origins)?;
        head.subprotocol(&["centrifuge-json", "centrifuge-protobuf"]);
        let arrival = head.arrival(None)?;
        Ok(Asked { channel: arrival.channel, token: arrival.token, since: arrival.since })
    };
    read().map_err(|refused| Box::new(Refused::response(refused)))
}

/// What a text on one of PlatePal's sockets asks for, as a method and its data, and the answer to it; or the frame
/// that says why it asks for nothing.
pub fn message(text: &[u8], feed: ChannelKind) -> Result<(&'static str, Vec<u8>, Vec<u8>), Vec<u8>> {
    let asked = crate::platepal::read(text, feed).map_err(|frame| frame.to_vec())?;
    Ok((asked.method, asked.data.to_vec(), asked.reply.result(&asked.data).unwrap_or_default().to_vec()))
}

/// The channel at a path.
pub fn route(path: &str) -> Option<Channel> {
    crate::routes::feed(path).ok()
}

/// The number of Centrifuge's commands in a frame, and whether something in it is none; written out as they were
/// read.
pub fn commands(frame: &[u8], protobuf: bool) -> (usize, bool) {
    let encoding = if protobuf { Encoding::Protobuf } else { Encoding::Json };
    let mut rest = Bytes::copy_from_slice(frame);
    let mut read = 0;
    while let Some(command) = encoding.next(&mut rest) {
        let Ok(command) = command else { return (read, true) };
        read += 1;
        let mut again = Bytes::from(prost::Message::encode_length_delimited_to_vec(&command));
        assert_eq!(Encoding::Protobuf.next(&mut again), Some(Ok(command)), "a command survives its bytes");
    }
    (read, false)
}
