//! Finds the update of an order in a generic event: Django's broadcaster shape, or a bare order as the REST
//! framework serialises it. What can't be recognised is told as it is.

use std::collections::HashMap;

use platepal_events::{Channel, ChannelKind, Event, Stamp, Timestamp};
use serde_json::{Value, value::RawValue};
use uuid::Uuid;

use super::{
    order::Update,
    status::{Status, Way},
};

type Object<'a> = HashMap<&'a str, &'a RawValue>;

/// The update of an order that an event tells, if it does.
pub(crate) fn recognise(event: &Event, channels: &[Channel]) -> Option<Update> {
    let kind = event.kind.as_str();
    if !kind.starts_with("order.") || matches!(kind, "order.snapshot" | "order.sla_warning") {
        return None;
    }
    let whole: Object<'_> = serde_json::from_slice(&event.payload).ok()?;
    let aggregate = whole.get("aggregate_type").and_then(|raw| text(raw));
    if aggregate.as_deref().is_some_and(|kind| !kind.eq_ignore_ascii_case("order")) {
        return None;
    }
    let inner = ["payload", "order"].into_iter().find_map(|name| {
        let raw: &RawValue = whole.get(name)?;
        Some((raw, serde_json::from_str::<Object<'_>>(raw.get()).ok()?))
    });
    let (payload, order) = match &inner {
        Some((raw, order)) => (raw.get(), order),
        None => (std::str::from_utf8(&event.payload).ok()?, &whole),
    };
    let order_id = whole
        .get("aggregate_id")
        .and_then(|raw| id(raw))
        .or_else(|| order.get("order_id").and_then(|raw| id(raw)))
        .or_else(|| order.get("id").and_then(|raw| id(raw)))
        .or_else(|| whole.get("order_id").and_then(|raw| id(raw)))?;
    let status = ["status"]
        .into_iter()
        .find_map(|name| text(order.get(name).or_else(|| whole.get(name))?))
        .and_then(|word| Status::from_word(&word))
        .or_else(|| Status::implied_by(&event.kind))?;
    let moment = |object: &Object<'_>, name: &str| {
        object.get(name).and_then(|raw| text(raw)?.parse::<Timestamp>().ok())
    };
    let at = moment(order, "updated_at").or_else(|| moment(&whole, "timestamp")).unwrap_or(event.timestamp);
    // A whole number; the text "1.0" is the version of the payload's shape.
    let version = order.get("version").and_then(|raw| raw.get().parse::<u64>().ok());
    let named = |kind: ChannelKind| {
        channels.iter().find(|channel| channel.kind() == kind).map(|channel| channel.id().to_owned())
    };
    let person = |names: [&str; 2], kind| {
        names.into_iter().find_map(|name| id(order.get(name)?)).or_else(|| named(kind))
    };
    Some(Update {
        verbatim: true,
        status,
        way: ["order_type", "type"].into_iter().find_map(|name| Way::from_word(&text(order.get(name)?)?)),
        stamp: Stamp { version: version.unwrap_or(0).min(Stamp::VERSION_MAX), at: at.micros() },
        customer: person(["customer", "customer_id"], ChannelKind::Customer),
        restaurant: person(["restaurant", "restaurant_id"], ChannelKind::Restaurant),
        rider: person(["rider", "rider_id"], ChannelKind::Rider),
        digest: digest(status, payload, &[]),
        payload: payload.to_owned(),
        event: event.clone(),
        order_id,
        sla_minutes: None,
    })
}

/// Equal for equal content, however its JSON is spaced and ordered.
pub(crate) fn digest(status: Status, payload: &str, ids: &[&str]) -> String {
    let canonical =
        serde_json::from_str::<Value>(payload).map_or_else(|_| payload.to_owned(), |value| value.to_string());
    let content = format!("{}\u{1f}{}\u{1f}{canonical}", status.word(), ids.join("\u{1f}"));
    Uuid::new_v5(&Uuid::NAMESPACE_OID, content.as_bytes()).to_string()
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// An id: a whole number, a text, or an object that has one.
fn id(raw: &RawValue) -> Option<String> {
    let value: Value = serde_json::from_str(raw.get()).ok()?;
    let value = value.get("id").unwrap_or(&value);
    let id = match value {
        Value::Number(number) if number.is_u64() => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    Channel::new(ChannelKind::Order, &id).is_ok().then_some(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_proto::v1;
    use proptest::prelude::*;

    use super::*;

    fn event(kind: &str, payload: &str) -> Event {
        let message =
            v1::Event { r#type: kind.into(), payload: payload.to_owned().into(), ..Default::default() };
        Event::parse(message, Timestamp::from_micros(1_000_000)).unwrap()
    }

    #[test]
    fn the_broadcasters_shape_is_an_update_and_its_version_is_not_the_orders() {
        let payload = r#"{"event_id":"x","type":"order.accepted","version":"1.0","timestamp":"2026-11-24T11:30:00+00:00",
            "aggregate_type":"Order","aggregate_id":5012,"payload":{"id": 5012, "status":"ACCEPTED","customer":{"id":7},"restaurant":12}}"#;
        let update = recognise(&event("order.accepted", payload), &["delivery_31".parse().unwrap()]).unwrap();
        assert_eq!(
            (update.order_id.as_str(), update.status, update.stamp.version),
            ("5012", Status::Accepted, 0)
        );
        assert_eq!(update.stamp.at, "2026-11-24T11:30:00+00:00".parse::<Timestamp>().unwrap().micros());
        let ids = [&update.customer, &update.restaurant, &update.rider].map(|id| id.as_deref().unwrap());
        assert_eq!(ids, ["7", "12", "31"]);
        assert!(
            update.payload.starts_with(r#"{"id": 5012, "status""#),
            "the order as it came: {}",
            update.payload
        );
    }

    #[test]
    fn a_bare_order_is_an_update_with_its_own_version_and_moment() {
        let payload = r#"{"id":5012,"status":"READY","version":4,"updated_at":"2026-11-24T11:30:00Z","order_type":"PICKUP"}"#;
        let update = recognise(&event("order.updated", payload), &[]).unwrap();
        assert_eq!((update.status, update.stamp.version, update.way), (Status::Ready, 4, Some(Way::Pickup)));
    }

    #[test]
    fn what_is_not_about_one_orders_status_is_not_an_update() {
        for (kind, payload) in [
            ("order.updated", r#"{"id":5012}"#),
            ("order.updated", "[1]"),
            ("order.accepted", r#"{"note":"no id"}"#),
            (
                "order.accepted",
                r#"{"aggregate_type":"delivery","aggregate_id":"1","payload":{"status":"READY"}}"#,
            ),
            ("restaurant_alert", r#"{"id":5012,"status":"READY"}"#),
        ] {
            assert!(recognise(&event(kind, payload), &[]).is_none(), "{kind} {payload}");
        }
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(payload in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
            let message = v1::Event { r#type: "order.updated".into(), payload: payload.into(), ..Default::default() };
            if let Ok(event) = Event::parse(message, Timestamp::from_micros(0)) {
                let _ = recognise(&event, &[]);
            }
        }
    }
}
