//! A healed subscription.
use platepal_events::{Entry, Position};

/// What a subscription delivers.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// The next event: for the *log* class the direct successor of the one before.
    Entry(Entry),
    /// Events were missed that are no longer retained, or the log is a new one: take a snapshot, go on from here.
    Reset {
        /// Deliveries that follow come after this.
        position: Position,
        /// For people.
        reason: String,
    },
}

/// A channel's events, live and healed. Dropping it unsubscribes.
pub struct Subscription {}

impl Subscription {
    /// The next delivery; waits for it. `None` when the bus was shut down.
    pub async fn next(&mut self) -> Option<Delivery> {
        None
    }
}
