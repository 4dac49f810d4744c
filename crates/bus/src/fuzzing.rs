//! Decoders that are private, for the fuzz targets alone.

use platepal_events::{Channel, Event, Timestamp};

/// An event as a log holds it.
pub fn encode(event: &Event) -> Vec<u8> {
    crate::body::encode(event)
}

/// The event that a log holds.
pub fn decode(body: &[u8], kept_at: Timestamp) -> Result<Event, String> {
    let event = crate::body::decode(bytes::Bytes::copy_from_slice(body), kept_at)?;
    Ok((*event).clone())
}

/// The channel whose log is under a subject.
pub fn channel_of(subject: &str) -> Option<Channel> {
    crate::nats::channel_of(subject)
}
