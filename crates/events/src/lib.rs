//! The envelope of an event, the names of channels, the catalogue of event types, and the JSON that clients
//! see.
//!
//! Invariant: pure. No I/O, no clock, no randomness but the making of an id; everything here is a value, and
//! every value that exists is valid, because it can only be made by parsing.

mod catalogue;
mod channel;
mod envelope;
mod event;
mod position;
mod stamp;
mod wire;

pub use catalogue::{Class, Domain, EventType, TypeError};
pub use channel::{Channel, ChannelError, ChannelKind};
pub use envelope::ENVELOPE_BYTES_MAX;
pub use event::{Event, EventError, EventId, Timestamp, millis};
pub use position::{Entry, Epoch, Position};
pub use stamp::Stamp;
pub use wire::{Spelling, WireId, flat_frame, frame, frame_as};

/// The largest payload of one event, in bytes.
pub const PAYLOAD_BYTES_MAX: usize = 64 * 1024;
/// The most channels that one event may be published to.
pub const CHANNELS_PER_EVENT_MAX: usize = 100;
/// The most events in one batch.
pub const EVENTS_PER_BATCH_MAX: usize = 500;
