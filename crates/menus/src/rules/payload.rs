//! The JSON that is told of a menu. Ids are as Django writes them: a number where it is one.

use platepal_events::{ENVELOPE_BYTES_MAX, Event, EventId, EventType, PAYLOAD_BYTES_MAX, Timestamp, WireId};
use serde::Serialize;
use serde_json::{Value, json};

use super::item::{Item, Shown};

/// The largest state of a menu or list of items that fits an event, in bytes.
const ITEMS_BYTES_MAX: usize = PAYLOAD_BYTES_MAX - ENVELOPE_BYTES_MAX;

/// An item as readers of the menu see it.
#[derive(Serialize)]
struct Line<'a> {
    item_id: WireId<'a>,
    available: bool,
    until: Option<String>,
    price: Option<&'a str>,
}

/// `menu_item`: the newest of an item, which is all that its readers need of it.
pub(crate) fn value(restaurant_id: &str, item: &Item, at: Timestamp) -> Event {
    let Shown { available, until, price, removed } = item.shown();
    let data = json!({
        "restaurant_id": WireId(restaurant_id),
        "menu_version": item.menu_version,
        "item_id": WireId(&item.item_id),
        "available": available,
        "until": until.map(|at| at.to_string()),
        "price": price,
        "removed": removed,
    });
    let id = EventId::derived(&["menu_item", restaurant_id, &item.item_id, &item.menu_version.to_string()]);
    Event {
        key: item.item_id.as_str().into(),
        ..Event::new(id, EventType::named("menu_item"), data.to_string(), at)
    }
}

/// What happened to one item, for its restaurant.
pub(crate) fn happening(
    id: EventId,
    kind: EventType,
    restaurant_id: &str,
    item: &Item,
    at: Timestamp,
) -> Event {
    let Shown { available, until, price, .. } = item.shown();
    let data = json!({
        "restaurant_id": WireId(restaurant_id),
        "item_id": WireId(&item.item_id),
        "available": available,
        "until": until.map(|at| at.to_string()),
        "price": price,
        "inventory": item.inventory(),
    });
    Event::enveloped(id, kind, at, ("menu_item", &item.item_id), &data.to_string(), "")
}

/// `menu.updated`: what else changed, for the restaurant's other devices.
pub(crate) fn updated(id: EventId, restaurant_id: &str, items: &[&Item], at: Timestamp) -> Event {
    let (lines, complete) = lines(items.iter().copied());
    let data = json!({ "restaurant_id": WireId(restaurant_id), "items": lines, "complete": complete });
    let about = ("menu", restaurant_id);
    Event::enveloped(id, EventType::named("menu.updated"), at, about, &data.to_string(), "")
}

/// `menu.snapshot`: what a newcomer can't take for granted, the items that can't be ordered first. `complete` is false
/// when not all of it fits an event; what can't be ordered is left out last.
pub(crate) fn snapshot(restaurant_id: &str, menu_version: u64, items: &[Item], at: Timestamp) -> Event {
    let (lines, complete) = lines(notable(items));
    let data = state(restaurant_id, menu_version, lines, complete);
    let id = EventId::derived(&["menu.snapshot", restaurant_id, &menu_version.to_string()]);
    Event::new(id, EventType::named("menu.snapshot"), data.to_string(), at)
}

/// The same for whoever asks; always complete.
pub(crate) fn whole(restaurant_id: &str, menu_version: u64, items: &[Item]) -> Value {
    let lines = notable(items).map(|item| json!(Line::of(item))).collect();
    state(restaurant_id, menu_version, lines, true)
}

/// What can't be taken for granted, the items that can't be ordered first.
fn notable(items: &[Item]) -> impl Iterator<Item = &Item> {
    let of = |available: bool| {
        items.iter().filter(move |item| !item.is_plain() && item.shown().available == available)
    };
    of(false).chain(of(true))
}

fn state(restaurant_id: &str, menu_version: u64, lines: Vec<Value>, complete: bool) -> Value {
    json!({
        "restaurant_id": WireId(restaurant_id),
        "menu_version": menu_version,
        "complete": complete,
        "items": lines,
    })
}

impl<'a> Line<'a> {
    fn of(item: &'a Item) -> Self {
        let Shown { available, until, price, .. } = item.shown();
        Self { item_id: WireId(&item.item_id), available, until: until.map(|at| at.to_string()), price }
    }
}

/// As many as fit an event, and whether all did.
fn lines<'a>(items: impl Iterator<Item = &'a Item>) -> (Vec<Value>, bool) {
    let (mut lines, mut bytes) = (Vec::new(), 0);
    for item in items {
        let line = json!(Line::of(item));
        bytes += line.to_string().len() + 1;
        if bytes > ITEMS_BYTES_MAX {
            return (lines, false);
        }
        lines.push(line);
    }
    (lines, true)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::rules::item::{Change, Sale, tests::at};

    fn item(item_id: &str, sale: Sale, price: Option<&str>) -> Item {
        let mut item = Item::unknown(item_id);
        let change = Change {
            sale: Some(sale),
            price: Some(price.map(Into::into)),
            item_id: item_id.into(),
            ..Change::default()
        };
        item.apply(&change, at(1), 5);
        item
    }

    fn data(event: &Event) -> Value {
        serde_json::from_slice(&event.payload).unwrap()
    }

    #[test]
    fn a_state_has_what_is_sold_out_first_and_leaves_out_what_is_taken_for_granted() {
        let until = Timestamp::from_micros(1_795_519_800_000_000);
        let items = [
            item("1", Sale::On, None),
            item("2", Sale::On, Some("12.50")),
            item("3", Sale::Off { until: Some(until) }, None),
            item("4", Sale::Removed, Some("1.00")),
        ];
        let event = snapshot("12", 41, &items, until);
        assert_eq!(
            data(&event),
            json!({
                "restaurant_id": 12, "menu_version": 41, "complete": true,
                "items": [
                    { "item_id": 3, "available": false, "until": "2026-11-24T11:30:00.000000+00:00", "price": null },
                    { "item_id": 2, "available": true, "until": null, "price": "12.50" },
                ],
            })
        );
        assert_eq!(data(&event), whole("12", 41, &items));
    }

    #[test]
    fn what_does_not_fit_an_event_is_left_out_and_it_says_so() {
        let name = |n: usize| format!("{n}-{}", "x".repeat(58));
        let items: Vec<Item> = (0..1_000)
            .map(|n| item(&name(n), if n < 100 { Sale::Off { until: None } } else { Sale::On }, Some("1.00")))
            .collect();
        let event = snapshot("12", 1, &items, Timestamp::from_micros(0));
        assert!(event.payload.len() <= PAYLOAD_BYTES_MAX);
        let data = data(&event);
        assert_eq!(data["complete"], false);
        let off = data["items"].as_array().unwrap().iter().filter(|line| line["available"] == false).count();
        assert_eq!(off, 100);
        assert_eq!(whole("12", 1, &items)["items"].as_array().unwrap().len(), 1_000);
    }
}
