//! How an event is written in a log: as the protobuf message `platepal.realtime.v1.Event`, in both engines.

use std::sync::Arc;

use platepal_events::{Channel, ChannelError, Event, Timestamp};
use platepal_proto::v1;
use prost::Message;

/// An event as bytes.
pub(crate) fn encode(event: &Event) -> Vec<u8> {
    v1::Event::from(event).encode_to_vec()
}

/// The event that the bytes hold. It is checked like one from outside, as a log may have been written by
/// another release, or by somebody else. The error is for people.
pub(crate) fn decode(body: bytes::Bytes, kept_at: Timestamp) -> Result<Arc<Event>, String> {
    let message = v1::Event::decode(body).map_err(|why| why.to_string())?;
    Event::parse(message, kept_at).map(Arc::new).map_err(|why| why.to_string())
}

/// The channel of this name. Unlike parsing, which is for names from outside, it knows the tier's own channel.
pub(crate) fn channel_named(name: &str) -> Result<Channel, ChannelError> {
    let own = Channel::sessions();
    if name == own.as_str() { Ok(own) } else { name.parse() }
}
