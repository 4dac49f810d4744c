//! Places in a channel's log.

use std::{fmt, sync::Arc};

use platepal_proto::v1;

use crate::{Channel, Event, Timestamp};

/// Names one life of a channel's log. A new epoch means that the log was lost or recreated, and that offsets
/// of the old one say nothing. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// Wraps what an engine calls its log's life.
    pub fn new(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a channel's log: everything up to and including `offset` of `epoch`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Position {
    /// The life of the log.
    pub epoch: Epoch,
    /// Grows with every event of the channel, not always by one; 0 is before the first.
    pub offset: u64,
}

impl Position {
    /// Whether whoever has everything up to `other` has this, too.
    pub fn is_within(&self, other: &Self) -> bool {
        self.epoch == other.epoch && self.offset <= other.offset
    }
}

impl From<Position> for v1::Position {
    fn from(position: Position) -> Self {
        Self { epoch: position.epoch.as_str().to_owned(), offset: position.offset }
    }
}

impl From<v1::Position> for Position {
    fn from(position: v1::Position) -> Self {
        Self { epoch: Epoch::new(position.epoch), offset: position.offset }
    }
}

/// An event at its place in a channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Where it was published.
    pub channel: Channel,
    /// What happened.
    pub event: Arc<Event>,
    /// Its place. For the *latest* class a number that grows, in a sequence of its own.
    pub position: Position,
    /// Offset of the event before it in the same channel; 0 for the first, and for the *latest* class.
    pub previous_offset: u64,
    /// When the bus kept it.
    pub kept_at: Timestamp,
}

impl From<&Entry> for v1::Entry {
    fn from(entry: &Entry) -> Self {
        Self {
            event: Some(v1::Event::from(&*entry.event)),
            channel: entry.channel.to_string(),
            position: Some(entry.position.clone().into()),
            previous_offset: entry.previous_offset,
            kept_at: Some(entry.kept_at.into()),
        }
    }
}
