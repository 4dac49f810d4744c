//! A durable consumer.
use platepal_events::Entry;
use crate::BusError;

/// One worker of a group.
pub struct Consumer {}

/// An event that the group must acknowledge after its own commit.
pub struct Unacknowledged {
    /// The event.
    pub entry: Entry,
}

impl Consumer {
    /// The next event for this worker; waits for it.
    pub async fn next(&mut self) -> Result<Unacknowledged, BusError> {
        std::future::pending().await
    }
}

impl Unacknowledged {
    /// Done: it is not delivered to the group again.
    pub async fn acknowledge(self) -> Result<(), BusError> {
        Ok(())
    }
}
