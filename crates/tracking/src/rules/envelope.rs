//! The shape in which this domain tells: that of Django's broadcaster.

use std::collections::BTreeMap;

use platepal_events::{ENVELOPE_BYTES_MAX, Event, EventId, EventType, PAYLOAD_BYTES_MAX, Timestamp, WireId};
use serde_json::{Value, json, value::RawValue};

/// The largest delivery or offer as JSON, in bytes.
pub(crate) const OBJECT_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX;

/// What an event is about: the word for `aggregate_type`, and the id.
pub(crate) type About<'a> = (&'static str, &'a str);

/// An event in the envelope. `payload` is JSON and goes in byte for byte.
pub(crate) fn event(
    id: EventId,
    kind: EventType,
    at: Timestamp,
    about: About<'_>,
    payload: &str,
    traceparent: &str,
) -> Event {
    Event { traceparent: traceparent.into(), ..Event::enveloped(id, kind, at, about, payload, "") }
}

/// An object with more keys behind its own; a key that it has already stays as it is. What is no object
/// becomes one with the new keys alone.
pub(crate) fn with(object: &str, more: &[(&str, Value)]) -> String {
    let own: BTreeMap<String, &RawValue> = serde_json::from_str(object).unwrap_or_default();
    let new = more.iter().filter(|(name, _)| !own.contains_key(*name));
    let new: Vec<String> = new.map(|(name, value)| format!("{}:{value}", json!(name))).collect();
    let new = new.join(",");
    let inner = object.trim().strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    match inner.filter(|_| !own.is_empty()) {
        Some(inner) if new.is_empty() => format!("{{{inner}}}"),
        Some(inner) => format!("{{{inner},{new}}}"),
        None => format!("{{{new}}}"),
    }
}

/// An id as Django writes it: a number where it is one, so that a page can compare it with its own; null for none.
pub(crate) fn id(text: &str) -> Value {
    if text.is_empty() { Value::Null } else { json!(WireId(text)) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn new_keys_come_behind_and_overwrite_nothing() {
        let whole =
            with(r#"{"id": 9,  "status":"READY"}"#, &[("status", json!("X")), ("order_id", json!(5))]);
        assert_eq!(whole, r#"{"id": 9,  "status":"READY","order_id":5}"#);
        for nothing in ["", "{}", " { } ", "[1]"] {
            assert_eq!(with(nothing, &[("a", json!(1)), ("b", json!("x"))]), r#"{"a":1,"b":"x"}"#);
        }
        // A name that is written with an escape is the same name.
        let escaped = with(r#"{"\u0073tatus":"READY"}"#, &[("status", json!("X"))]);
        assert_eq!(serde_json::from_str::<Value>(&escaped).unwrap()["status"], "READY", "{escaped}");
    }

    #[test]
    fn an_id_is_a_number_where_django_has_one() {
        let all = ["7", "07", "", "a-7", "1234567890123456"].map(id);
        let expected = [json!(7), json!("07"), Value::Null, json!("a-7"), json!("1234567890123456")];
        assert_eq!(all, expected);
    }

    proptest! {
        #[test]
        fn what_was_there_stays_byte_for_byte(names in proptest::collection::hash_set("[a-z]{1,6}", 0..5)) {
            let own: Vec<String> = names.iter().map(|name| format!("\"{name}\" :  1")).collect();
            let object = format!("{{ {} }}", own.join(" , "));
            let whole = with(&object, &[("status", json!("NEW"))]);
            prop_assert!(serde_json::from_str::<Value>(&whole).is_ok(), "{}", whole);
            if !names.is_empty() {
                let kept = object.trim_end_matches([' ', '}']);
                prop_assert!(whole.starts_with(kept), "{}", whole);
            }
        }
    }
}
