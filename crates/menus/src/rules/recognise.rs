//! Finds what Django's generic events say of a menu: its broadcaster's shape, or a bare object as the REST framework
//! serialises it. What can't be recognised is told all the same, and changes nothing that is kept.

use platepal_events::{Channel, ChannelKind, Event, Stamp, Timestamp};
use serde_json::{Map, Value};

use super::item::{Change, Sale};

/// Words under which Django's serialisers have the number of pieces that are left.
const INVENTORY: [&str; 5] = ["inventory", "stock", "quantity", "stock_quantity", "inventory_count"];
/// Items of one event that are looked at.
pub(crate) const ITEMS_MAX: usize = 500;

type Object = Map<String, Value>;

/// What an event says, as far as it is understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recognised {
    pub(crate) restaurant_id: String,
    pub(crate) stamp: Stamp,
    pub(crate) changes: Vec<Change>,
}

/// `None`: it does not say which restaurant's menu it is about.
pub(crate) fn recognise(event: &Event, channels: &[Channel]) -> Option<Recognised> {
    let whole: Object = serde_json::from_slice(&event.payload).unwrap_or_default();
    let inner = whole.get("payload").and_then(Value::as_object).unwrap_or(&whole);
    let aggregate = whole.get("aggregate_type").and_then(Value::as_str).unwrap_or_default();
    let is_about = |word: &str| aggregate.eq_ignore_ascii_case(word);
    let aggregate_id = whole.get("aggregate_id").and_then(id);
    let of_restaurant = aggregate_id.clone().filter(|_| is_about("restaurant") || is_about("menu"));
    let restaurant_id = first(inner, &["restaurant_id", "restaurant"])
        .or_else(|| first(&whole, &["restaurant_id", "restaurant"]))
        .or(of_restaurant)
        .or_else(|| named(channels))?;
    let of_item = aggregate_id.filter(|_| is_about("menu_item") || is_about("menuitem") || is_about("item"));

    let items: Vec<&Object> = match inner.get("items").and_then(Value::as_array) {
        Some(items) => items.iter().filter_map(Value::as_object).take(ITEMS_MAX).collect(),
        None => vec![
            inner.get("item").or_else(|| inner.get("menu_item")).and_then(Value::as_object).unwrap_or(inner),
        ],
    };
    let is_one = items.len() == 1;
    let mut changes: Vec<Change> = Vec::new();
    for item in items {
        let by_id = first(item, &["id"]).filter(|_| !std::ptr::eq(item, inner) || of_item.is_some());
        let named = first(item, &["item_id", "menu_item_id", "menu_item", "item"]).or(by_id);
        let Some(item_id) = named.or_else(|| of_item.clone().filter(|_| is_one)) else { continue };
        let change = change(event.kind.as_str(), item_id, item);
        let says_something = change.sale.is_some() || change.price.is_some() || change.inventory.is_some();
        // The last word on an item counts.
        changes.retain(|own| own.item_id != change.item_id);
        if says_something {
            changes.push(change);
        }
    }
    let moment = |object: &Object, name: &str| object.get(name)?.as_str()?.parse::<Timestamp>().ok();
    let at = moment(inner, "updated_at").or_else(|| moment(&whole, "timestamp")).unwrap_or(event.timestamp);
    Some(Recognised { restaurant_id, stamp: Stamp { version: 0, at: at.micros() }, changes })
}

fn change(kind: &str, item_id: String, item: &Object) -> Change {
    let flag = |names: [&str; 2]| names.iter().find_map(|name| item.get(*name)?.as_bool());
    let until = ["until", "available_at"]
        .iter()
        .find_map(|name| item.get(*name)?.as_str()?.parse::<Timestamp>().ok());
    let said = flag(["is_available", "available"]);
    let available = if kind == "item_sold_out" { Some(false) } else { said };
    let inventory = INVENTORY.iter().find_map(|name| u32::try_from(item.get(*name)?.as_i64()?.max(0)).ok());
    let sale = available.map(|available| if available { Sale::On } else { Sale::Off { until } });
    let inventory = inventory.or_else(|| (kind == "item_sold_out").then_some(0));
    Change { item_id, sale, price: item.get("price").and_then(price).map(Some), inventory, low_at: None }
}

/// A price as it is kept, e.g. `12.50`: up to 9 digits, and up to 4 after the point.
pub(crate) fn decimal(text: &str) -> Option<String> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits =
        |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    (digits(whole, 9) && digits(part, 4)).then(|| text.to_owned())
}

/// As Django's serialisers write decimals: a text, or a number.
fn price(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => decimal(text),
        Value::Number(number) => decimal(&number.to_string()),
        _ => None,
    }
}

fn first(object: &Object, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| id(object.get(*name)?))
}

/// An id: a whole number, a text, or an object that has one.
fn id(value: &Value) -> Option<String> {
    let id = match value.get("id").unwrap_or(value) {
        Value::Number(number) if number.is_u64() => number.to_string(),
        Value::String(text) => text.clone(),
        _ => return None,
    };
    Channel::new(ChannelKind::Menu, &id).is_ok().then_some(id)
}

fn named(channels: &[Channel]) -> Option<String> {
    let kinds = [ChannelKind::Restaurant, ChannelKind::Menu];
    channels.iter().find(|channel| kinds.contains(&channel.kind())).map(|channel| channel.id().to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use platepal_proto::v1;
    use proptest::prelude::*;

    use super::*;

    fn event(kind: &str, payload: &str) -> Event {
        let message =
            v1::Event { r#type: kind.into(), payload: payload.to_owned().into(), ..Default::default() };
        Event::parse(message, Timestamp::from_micros(1_000_000)).unwrap()
    }

    fn said(kind: &str, payload: &str, channels: &[&str]) -> Option<Recognised> {
        let channels: Vec<Channel> = channels.iter().map(|name| name.parse().unwrap()).collect();
        recognise(&event(kind, payload), &channels)
    }

    #[test]
    fn the_broadcasters_shape_and_bare_objects_say_the_same() {
        for (payload, channels) in [
            (
                r#"{"type":"item_sold_out","aggregate_type":"MenuItem","aggregate_id":501,"payload":{"restaurant":12}}"#,
                &[][..],
            ),
            (
                r#"{"aggregate_type":"Restaurant","aggregate_id":"12","payload":{"item_id":501,"name":"Soup"}}"#,
                &[],
            ),
            (r#"{"item_id":"501"}"#, &["restaurant_12"]),
            (r#"{"item":{"id":501,"name":"Soup"},"restaurant_id":12}"#, &[]),
        ] {
            let said = said("item_sold_out", payload, channels).unwrap();
            assert_eq!(said.restaurant_id, "12", "{payload}");
            assert_eq!(said.changes.len(), 1, "{payload}");
            let Change { item_id, sale, inventory, .. } = &said.changes[0];
            assert_eq!(
                (item_id.as_str(), *sale, *inventory),
                ("501", Some(Sale::Off { until: None }), Some(0))
            );
        }
    }

    #[test]
    fn availability_price_and_stock_of_many_items_are_found() {
        let payload = r#"{"restaurant_id":12,"updated_at":"2026-11-24T11:30:00Z","items":[
            {"id":1,"is_available":false,"until":"2026-11-24T17:00:00Z"},{"id":2,"price":"12.50"},{"id":3,"stock":4},
            {"id":4,"name":"nothing of interest"},{"id":5,"price":7.5},{"id":1,"is_available":true}]}"#;
        let said = said("menu.updated", payload, &[]).unwrap();
        assert_eq!(said.stamp.at, "2026-11-24T11:30:00Z".parse::<Timestamp>().unwrap().micros());
        let by_id = |id: &str| said.changes.iter().find(|own| own.item_id == id).cloned();
        assert_eq!(by_id("1").unwrap().sale, Some(Sale::On), "the last word counts");
        assert_eq!(by_id("2").unwrap().price, Some(Some("12.50".into())));
        assert_eq!(by_id("3").unwrap().inventory, Some(4));
        assert_eq!(by_id("4"), None);
        assert_eq!(by_id("5").unwrap().price, Some(Some("7.5".into())));
    }

    #[test]
    fn what_names_no_item_changes_nothing_and_what_names_no_restaurant_is_nobodys() {
        let whole_menu = said("menu.updated", r#"{"id":12,"name":"Lunch"}"#, &["restaurant_12"]).unwrap();
        assert_eq!(whole_menu.changes, []);
        assert_eq!(said("menu.updated", "[1]", &["menu:12"]).unwrap().changes, []);
        assert_eq!(said("menu.updated", r#"{"item_id":501}"#, &["admin"]), None);
    }

    #[test]
    fn a_price_is_a_short_decimal_number() {
        for good in ["0", "12.50", "123456789.1234"] {
            assert_eq!(decimal(good).as_deref(), Some(good));
        }
        for bad in ["", ".5", "1.", "-1", "1e3", "1,50", "1234567890", "1.23456", "NaN"] {
            assert_eq!(decimal(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_json_makes_it_panic(payload in "[\\[\\]{}:,\"a-z0-9 ]{0,60}") {
            let message = v1::Event { r#type: "menu.updated".into(), payload: payload.into(), ..Default::default() };
            if let Ok(event) = Event::parse(message, Timestamp::from_micros(0)) {
                let _ = recognise(&event, &[]);
            }
        }
    }
}
