//! What is told of a rider's position, and to which channels.

use platepal_events::{Channel, ChannelKind, Event, EventId, EventType, Timestamp};

use super::teller::{About, Letters};
use crate::rules::{
    limits::Limits,
    payload,
    rider::{Rider, Shown},
};

pub(super) fn event(name: &'static str, key: &str, payload: String, now: Timestamp) -> Event {
    Event { key: key.into(), ..Event::new(EventId::make(), EventType::named(name), payload, now) }
}

/// A position for those of a delivery.
pub(super) fn position(shown: &Shown, now: Timestamp, traceparent: &str) -> (About, Letters) {
    let channel = |kind, id: &str| Channel::new(kind, id).ok();
    let whole: Vec<Channel> =
        [channel(ChannelKind::Track, &shown.delivery_id), channel(ChannelKind::Customer, &shown.customer_id)]
            .into_iter()
            .flatten()
            .collect();
    let mut letters = vec![(whole, envelope(shown, payload::for_customer(shown), now, traceparent))];
    if shown.is_news
        && let Some(restaurant) = channel(ChannelKind::Restaurant, &shown.restaurant_id)
    {
        letters.push((vec![restaurant], envelope(shown, payload::for_restaurant(shown), now, traceparent)));
    }
    (About::Delivery(shown.delivery_id.clone()), letters)
}

fn envelope(shown: &Shown, payload: String, now: Timestamp, traceparent: &str) -> Event {
    let id = EventId::make();
    let about = ("delivery", shown.delivery_id.as_str());
    let mut event = crate::rules::envelope::event(
        id,
        EventType::named("rider_location"),
        now,
        about,
        &payload,
        traceparent,
    );
    event.key = shown.delivery_id.as_str().into();
    event
}

/// A rider for those who watch a piece of the map: in the cell, and no more in the one that was left.
pub(super) fn area(
    rider: &Rider,
    cell: Option<&str>,
    left: Option<&str>,
    now: Timestamp,
    limits: &Limits,
) -> Vec<(About, Letters)> {
    let rider_id = rider.rider_id();
    let channel = |cell: &str| Channel::new(ChannelKind::Area, cell).ok();
    let mut told = Vec::new();
    if let Some(left) = left.and_then(channel) {
        let event = event("rider_left", rider_id, payload::left_area(rider_id, now), now);
        told.push((About::Left(rider_id.to_owned(), left.clone()), vec![(vec![left], event)]));
    }
    if let (Some(cell), Some(payload)) = (cell.and_then(channel), rider.area_payload(now, limits)) {
        told.push((
            About::Rider(rider_id.to_owned()),
            vec![(vec![cell], event("rider_location", rider_id, payload, now))],
        ));
    }
    told
}
