//! The shape in which this domain tells: that of Django's broadcaster, with the order's status and version
//! beside it, so that a reader can keep an order from events alone.

use platepal_events::{Event, EventId, EventType, PAYLOAD_BYTES_MAX, Timestamp};

use super::order::Order;

/// What the envelope may take of an event's largest payload.
const ENVELOPE_BYTES_MAX: usize = 1024;
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
    event(id, kind, at, ("order", &order.order_id), payload, &more, traceparent)
}

/// An event about a restaurant.
pub(crate) fn about_restaurant(
    id: EventId,
    kind: EventType,
    at: Timestamp,
    restaurant: &str,
    payload: &str,
) -> Event {
    event(id, kind, at, ("restaurant", restaurant), payload, "", "")
}

fn event(
    id: EventId,
    kind: EventType,
    at: Timestamp,
    (aggregate, aggregate_id): (&str, &str),
    payload: &str,
    more: &str,
    traceparent: &str,
) -> Event {
    // Every part is JSON already or free of characters to escape: ids, types and moments are checked.
    let data = format!(
        r#"{{"event_id":"{id}","type":"{kind}","version":"1.0","timestamp":"{at}","aggregate_type":"{aggregate}","aggregate_id":"{aggregate_id}","payload":{payload}{more}}}"#
    );
    Event { traceparent: traceparent.into(), ..Event::new(id, kind, data, at) }
}
