//! The shape in which this domain tells: that of Django's broadcaster, with the order's status and version
//! beside it, so that a reader can keep an order from events alone.

use platepal_events::{ENVELOPE_BYTES_MAX, Event, EventId, EventType, PAYLOAD_BYTES_MAX, Timestamp};

use super::order::Order;

/// The largest order as JSON, in bytes.
pub(crate) const ORDER_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX;

/// An event about an order. `payload` is JSON and goes in byte for byte.
pub(crate) fn about_order(
    id: EventId,
    kind: EventType,
    at: Timestamp,
    order: &Order,
    payload: &str,
    traceparent: &str,
) -> Event {
    let more = format!(r#","status":"{}","order_version":{}"#, order.status.word(), order.version);
    let event = Event::enveloped(id, kind, at, ("order", &order.order_id), payload, &more);
    Event { traceparent: traceparent.into(), ..event }
}

/// An event about a restaurant.
pub(crate) fn about_restaurant(
    id: EventId,
    kind: EventType,
    at: Timestamp,
    restaurant: &str,
    payload: &str,
) -> Event {
    Event::enveloped(id, kind, at, ("restaurant", restaurant), payload, "")
}
