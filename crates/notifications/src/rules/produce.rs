//! Which events of other domains become notifications, for whom, and under which keys.
//!
//! An event that was told on a user's own feed concerns that user: nothing else has to be known of it. What is told on
//! several feeds becomes a notification of each of their users.

use platepal_events::{ChannelKind, Entry};
use serde_json::{Map, Value};

/// Largest data that a notification takes from an event, in bytes; of a larger one only what the rules need is taken.
const DATA_BYTES_MAX: usize = 4 * 1024;

/// Whose feed an event must be on to be a notification.
const CUSTOMER: ChannelKind = ChannelKind::Customer;
const RIDER: ChannelKind = ChannelKind::Rider;

/// What one event becomes: its type, the feed it must be on, the notification's type, and the collapse key.
type Rule = (&'static str, ChannelKind, &'static str, Option<Key>);

/// A word, and the field whose value follows it.
type Key = (&'static str, &'static str);

/// Event, feed, type, and the field whose value, with a word, is the collapse key: the newest of an order takes the place
/// of the earlier ones that are unread.
const RULES: &[Rule] = &[
    ("order.created", CUSTOMER, "ORDER_PLACED", ORDER),
    ("order.accepted", CUSTOMER, "ORDER_ACCEPTED", ORDER),
    ("order.ready", CUSTOMER, "ORDER_READY", ORDER),
    ("order.out_for_delivery", CUSTOMER, "ORDER_OUT_FOR_DELIVERY", ORDER),
    ("order.completed", CUSTOMER, "ORDER_DELIVERED", ORDER),
    ("order.cancelled", CUSTOMER, "ORDER_CANCELLED", ORDER),
    ("order.rejected", CUSTOMER, "ORDER_CANCELLED", ORDER),
    ("payment.captured", CUSTOMER, "PAYMENT_SUCCESS", Some(("payment", "payment_id"))),
    ("payment.failed", CUSTOMER, "PAYMENT_FAILED", Some(("payment", "payment_id"))),
    ("promo.published", CUSTOMER, "PROMOTION", Some(("promo", "promo_id"))),
    ("system_alert", CUSTOMER, "SYSTEM", None),
    ("system_alert", RIDER, "SYSTEM", None),
    ("job_offer", RIDER, "DELIVERY_OFFER", OFFER),
    ("offer.expired", RIDER, "DELIVERY_OFFER_EXPIRED", OFFER),
    ("offer.cancelled", RIDER, "DELIVERY_CANCELLED", OFFER),
    ("shift_reminder", RIDER, "SHIFT_REMINDER", Some(("shift", "shift_id"))),
    ("surge_alert", RIDER, "SURGE_ALERT", Some(("surge", "area"))),
    ("payout.completed", RIDER, "EARNINGS_PAYOUT", None),
    ("high_priority_alert", RIDER, "HIGH_PRIORITY_ALERT", None),
];

const ORDER: Option<Key> = Some(("order", "order_id"));
const OFFER: Option<Key> = Some(("offer", "offer_id"));

/// A notification to make.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Produced {
    pub(crate) user_id: String,
    pub(crate) kind: &'static str,
    pub(crate) data: Map<String, Value>,
    pub(crate) dedupe_key: String,
    pub(crate) collapse_key: String,
}

/// The notification that an event becomes, if it does.
pub(crate) fn produce(entry: &Entry) -> Option<Produced> {
    let rule = |rule: &&Rule| rule.0 == entry.event.kind.as_str() && rule.1 == entry.channel.kind();
    let (_, _, kind, collapse) = RULES.iter().find(rule)?;
    let told: Map<String, Value> = serde_json::from_slice(&entry.event.payload).ok()?;
    let mut data = inner(told);
    let collapse_key = collapse
        .and_then(|(word, field)| text(data.get(field)?).map(|id| format!("{word}:{id}")))
        .unwrap_or_default();
    let is_large = serde_json::to_string(&data).is_ok_and(|json| json.len() > DATA_BYTES_MAX);
    if is_large {
        data.retain(|_, value| text(value).is_some_and(|text| text.len() <= 200));
        // Still too many of them: what names it must do.
        if serde_json::to_string(&data).is_ok_and(|json| json.len() > DATA_BYTES_MAX) {
            let named = collapse.map(|(_, field)| field);
            data.retain(|name, _| Some(name.as_str()) == named);
        }
    }
    Some(Produced {
        user_id: entry.channel.id().to_owned(),
        kind,
        data,
        dedupe_key: entry.event.id.to_string(),
        collapse_key,
    })
}

/// What an event is about: Django's broadcaster and our own domains have it in `payload`, and its id beside that.
fn inner(mut told: Map<String, Value>) -> Map<String, Value> {
    let about = told.get("aggregate_type").and_then(Value::as_str).map(|kind| format!("{kind}_id"));
    let id = told.get("aggregate_id").cloned();
    match told.remove("payload") {
        Some(Value::Object(mut payload)) => {
            if let (Some(field), Some(id)) = (about, id) {
                payload.entry(field).or_insert(id);
            }
            payload
        }
        Some(other) => {
            told.insert("payload".to_owned(), other);
            told
        }
        None => told,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    #![allow(clippy::unwrap_used)]
    use platepal_events::{Epoch, Event, Position, Timestamp};
    use platepal_proto::v1;
    use serde_json::json;

    use super::*;

    pub(crate) fn entry(channel: &str, kind: &str, id: &str, payload: &Value) -> Entry {
        let now = Timestamp::from_micros(1_795_519_800_123_456);
        let message = v1::Event {
            event_id: id.into(),
            r#type: kind.into(),
            payload: payload.to_string().into(),
            ..Default::default()
        };
        Entry {
            event: Event::parse(message, now).unwrap().into(),
            channel: channel.parse().unwrap(),
            position: Position { epoch: Epoch::new("e"), offset: 1 },
            previous_offset: 0,
            kept_at: now,
        }
    }

    #[test]
    fn an_accepted_order_is_its_customers_in_either_shape() {
        let broadcast = json!({
            "event_id": "e-1", "type": "order.accepted", "aggregate_type": "order", "aggregate_id": "5012",
            "payload": {"total": "12.90"},
        });
        let produced = produce(&entry("customer:7", "order.accepted", "e-1", &broadcast)).unwrap();
        assert_eq!((produced.user_id.as_str(), produced.kind), ("7", "ORDER_ACCEPTED"));
        assert_eq!((produced.dedupe_key.as_str(), produced.collapse_key.as_str()), ("e-1", "order:5012"));
        assert_eq!(Value::from(produced.data), json!({"total": "12.90", "order_id": "5012"}));
        let bare =
            produce(&entry("customer:7", "order.accepted", "e-1", &json!({"order_id": 5012}))).unwrap();
        assert_eq!(bare.collapse_key, "order:5012");
    }

    #[test]
    fn what_is_on_nobodys_own_feed_is_nobodys_notification() {
        for channel in ["restaurant:12", "order:5012", "admin", "rider:31"] {
            assert_eq!(
                produce(&entry(channel, "order.accepted", "e", &json!({"order_id": 1}))),
                None,
                "{channel}"
            );
        }
        assert_eq!(produce(&entry("customer:7", "order.preparing", "e", &json!({}))), None);
        assert_eq!(produce(&entry("customer:7", "notification", "e", &json!({}))), None);
        assert_eq!(produce(&entry("customer:7", "order.accepted", "e", &json!([1]))), None);
    }

    #[test]
    fn large_data_is_reduced_to_what_names_it() {
        let many: Map<String, Value> = (0..200).map(|n| (format!("f{n}"), json!("x".repeat(150)))).collect();
        let mut large = json!({"order_id": 5012, "items": ["x".repeat(9_000)]});
        assert_eq!(
            Value::from(produce(&entry("customer:7", "order.accepted", "e", &large)).unwrap().data),
            json!({"order_id": 5012})
        );
        large.as_object_mut().unwrap().extend(many);
        let produced = produce(&entry("customer:7", "order.accepted", "e", &large)).unwrap();
        assert_eq!(Value::from(produced.data), json!({"order_id": 5012}));
    }

    #[test]
    fn every_rule_names_a_type_and_an_event_that_are_known() {
        for (event, _, kind, _) in RULES {
            assert!(event.parse::<platepal_events::EventType>().unwrap().is_known(), "{event}");
            assert!(crate::rules::kinds::is_type(kind));
        }
    }
}
