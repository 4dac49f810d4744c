//! Decoders that are private, for the fuzz targets alone.

use platepal_events::{Channel, Event};

/// What an event says of an order.
#[derive(Debug, PartialEq, Eq)]
pub struct Recognised {
    /// Which one.
    pub order_id: String,
    /// The order as JSON.
    pub payload: String,
    /// Equal for equal content.
    pub digest: String,
}

/// The update of an order that an event tells, if it does.
pub fn recognise(event: &Event, channels: &[Channel]) -> Option<Recognised> {
    let update = crate::rules::recognise::recognise(event, channels)?;
    Some(Recognised { order_id: update.order_id, payload: update.payload, digest: update.digest })
}
