//! A durable consumer: one worker of a group that must see every *log* event.
//!
//! What is handed out is the group's to acknowledge; the engines do the rest.

use std::fmt;

use async_trait::async_trait;
use platepal_events::Entry;

use crate::BusError;

/// One worker of a group. Dropping it gives back what it did not acknowledge, after
/// [`Settings::ack_wait`](crate::Settings::ack_wait).
pub struct Consumer {
    worker: Box<dyn Worker>,
}

/// An event that the group must acknowledge after its own commit. Dropping it means that it is delivered
/// again, after [`Settings::ack_wait`](crate::Settings::ack_wait).
pub struct Unacknowledged {
    /// The event. Its `previous_offset` is not known to every engine, and then 0.
    pub entry: Entry,
    receipt: Box<dyn Receipt>,
}

/// What an engine does for a worker. Must be safe to cancel: an event that was not returned is delivered
/// again.
#[async_trait]
pub(crate) trait Worker: Send {
    async fn next(&mut self) -> Result<Unacknowledged, BusError>;
}

/// How an engine takes an acknowledgement.
#[async_trait]
pub(crate) trait Receipt: Send + Sync {
    async fn acknowledge(self: Box<Self>) -> Result<(), BusError>;
}

impl Consumer {
    pub(crate) fn new(worker: impl Worker + 'static) -> Self {
        Self { worker: Box::new(worker) }
    }

    /// The next event for this worker; waits for it. An error is temporary if it says so: call again, after a
    /// while. Safe to cancel.
    pub async fn next(&mut self) -> Result<Unacknowledged, BusError> {
        self.worker.next().await
    }
}

impl Unacknowledged {
    pub(crate) fn new(entry: Entry, receipt: impl Receipt + 'static) -> Self {
        Self { entry, receipt: Box::new(receipt) }
    }

    /// Done: it is not delivered to the group again. On an error it may be.
    pub async fn acknowledge(self) -> Result<(), BusError> {
        self.receipt.acknowledge().await
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Consumer")
    }
}

impl fmt::Debug for Unacknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unacknowledged").field("entry", &self.entry).finish_non_exhaustive()
    }
}
