//! The bus: ordered, retained channels. One trait, [`Bus`], and two engines that pass one conformance suite:
//! [`embedded`] (an SQLite log, one process) and [`nats`] (JetStream, many).
//!
//! Guarantees, of both engines:
//! - an append that was acknowledged is durable and is never lost within the retention;
//! - appending an event id again to a channel (within [`Settings::duplicate_window`]) changes nothing and
//!   answers the first position;
//! - one channel's events have one order, the same for every reader, and each names its predecessor;
//! - a [`Subscription`] misses nothing and repeats nothing: it sees a gap by the predecessors, and heals it by
//!   reading the log. What is no longer retained is said ([`Delivery::Reset`]), never skipped in silence.
//!
//! Not guaranteed: an order between two channels; that a *latest* event reaches a reader if a newer one of its
//! key follows; anything of a *passing* event ([`Bus::pass`]), which is told to whoever listens and kept nowhere.
//!
//! Invariant: knows channels and events, never a domain.

mod body;
mod clock;
mod consumer;
pub mod embedded;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod measure;
pub mod nats;
mod passing;
mod settings;
mod subscription;

use async_trait::async_trait;
use platepal_events::{Channel, ChannelKind, Entry, Event, EventId, Position};

pub use consumer::{Consumer, Unacknowledged};
pub use embedded::Embedded;
pub use error::BusError;
pub use nats::Nats;
pub use settings::Settings;
pub use subscription::{Delivery, Subscription};

/// The most events in one page of a read.
pub(crate) const PAGE_EVENTS_MAX: usize = 1_000;
/// A page ends with the event whose payload exceeds this many bytes in all.
pub(crate) const PAGE_BYTES_MAX: usize = 2 << 20;

/// Where an event stands in one channel after an append.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Its place; of the first append, if this one was a repeat.
    pub position: Position,
    /// The channel had it already.
    pub duplicate: bool,
}

/// What a channel has kept after some offset.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// Oldest first, each the predecessor of the next.
    pub entries: Vec<Entry>,
    /// The newest position of the channel when the page was read, as [`Bus::head`] says it.
    pub head: Position,
    /// False: events between the asked offset and the first entry are no longer retained, or the engine can't
    /// tell that none are missing. NATS can't tell it of a read from 0 once events of any channel have left;
    /// from every position that it gave, it can.
    pub complete: bool,
}

/// Ordered, retained channels.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Appends one event to each channel, and answers when every one of them is durable, in the order given.
    /// The class of the event's type decides how it is kept. On an error some channels may have kept it; a
    /// repeat with the same id is harmless.
    async fn append(&self, channels: &[Channel], event: &Event) -> Result<Vec<Appended>, BusError>;

    /// Tells an event to those who are subscribed to a channel now, and keeps it nowhere: for what is only true
    /// for a moment, as that somebody came or went. At most once, whatever class its type has: it has no
    /// position, no order with what is appended, and no id that a repeat is recognised by; `Ok` says that it
    /// was sent, not that anybody had it. Subscriptions give it as [`Delivery::Passing`].
    async fn pass(&self, channel: &Channel, event: &Event) -> Result<(), BusError>;

    /// Reads a channel's *log* events after an offset (0: from the oldest retained), oldest first, at most
    /// `limit` (1 to 1,000), and fewer if they are large: there is more if the last one is not the head.
    async fn read(&self, channel: &Channel, after: u64, limit: usize) -> Result<Page, BusError>;

    /// The newest position of a channel's log. If it has no event: a place before all that will come, offset 0
    /// or, where channels are counted together, the newest offset of all.
    async fn head(&self, channel: &Channel) -> Result<Position, BusError>;

    /// The offset at which a retained *log* event of a channel stands; `None` if it is not retained.
    async fn find(&self, channel: &Channel, id: &EventId) -> Result<Option<u64>, BusError>;

    /// The newest *latest* event of each key, oldest first.
    async fn latest(&self, channel: &Channel) -> Result<Vec<Entry>, BusError>;

    /// Everything that is appended to a channel from now on, of both classes, and what is passed. What is appended after this
    /// call has returned is delivered; use [`Bus::read`] for what was before: attach first, read second, drop
    /// what was seen.
    async fn subscribe(&self, channel: &Channel) -> Result<Subscription, BusError>;

    /// Every *log* event of all channels of some kinds, at least once, for a group of workers that share a
    /// name. What the group did not acknowledge is delivered again; a new group starts with what is appended
    /// after its creation.
    async fn consume(&self, group: &str, kinds: &[ChannelKind]) -> Result<Consumer, BusError>;

    /// Whether the engine can keep events now, for readiness; the error says what is wrong and what to do.
    async fn check(&self) -> Result<(), BusError>;
}
