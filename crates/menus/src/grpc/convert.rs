//! From an `UpdateMenuRequest` to an update, with a clear error for each field; and from an item to its message.

use std::collections::HashSet;

use platepal_events::{CHANNELS_PER_EVENT_MAX, Channel, Stamp, Timestamp};
use platepal_proto::v1;
use platepal_service::grpc::{fields, invalid};
use tonic::Status;

use crate::rules::{
    item::{Change, Item, Sale, Shown},
    menu::{Telling, Update},
    recognise::{ITEMS_MAX, decimal},
};

pub(super) fn update(
    message: v1::UpdateMenuRequest,
    traceparent: String,
    now: Timestamp,
) -> Result<Update, Status> {
    let v1::UpdateMenuRequest { event_id, restaurant_id, version, occurred_at, items, channels } = message;
    let event_id = fields::event_id(&event_id)?;
    fields::id("restaurant_id", &restaurant_id)?;
    if version > Stamp::VERSION_MAX {
        return Err(invalid("version", format!("must be at most {}", Stamp::VERSION_MAX)));
    }
    let at = fields::moment("occurred_at", occurred_at, now)?;
    if items.len() > ITEMS_MAX {
        return Err(invalid("items", format!("{}, the limit is {ITEMS_MAX}", items.len())));
    }
    // The restaurant's own is one.
    if channels.len() >= CHANNELS_PER_EVENT_MAX {
        return Err(invalid(
            "channels",
            format!("{}, must be fewer than {CHANNELS_PER_EVENT_MAX}", channels.len()),
        ));
    }
    let channels = channels
        .iter()
        .map(|name| name.parse::<Channel>().map_err(|why| invalid("channels", why)))
        .collect::<Result<Vec<_>, _>>()?;
    let mut seen = HashSet::new();
    let mut changes = Vec::with_capacity(items.len());
    for (n, item) in items.into_iter().enumerate() {
        let change = change(&format!("items[{n}]"), item, now)?;
        if !seen.insert(change.item_id.clone()) {
            let id = &change.item_id;
            return Err(invalid(&format!("items[{n}].item_id"), format!("{id} is named twice")));
        }
        changes.push(change);
    }
    Ok(Update {
        event_id,
        restaurant_id,
        stamp: Stamp { version, at: at.micros() },
        changes,
        telling: Telling::Derived(channels),
        traceparent,
    })
}

fn change(field: &str, message: v1::ItemChange, now: Timestamp) -> Result<Change, Status> {
    let v1::ItemChange { item_id, available, until, price, inventory, low_inventory, removed } = message;
    fields::id(&format!("{field}.item_id"), &item_id)?;
    let until = fields::maybe_moment(&format!("{field}.until"), until)?;
    let sale = match (removed, available, until) {
        (true, None, None) => Some(Sale::Removed),
        (true, ..) => {
            return Err(invalid(
                &format!("{field}.removed"),
                "says that the item is no longer on the menu; available and until must be left out",
            ));
        }
        (false, Some(false), until) => Some(match until {
            // It has come back already.
            Some(until) if until <= now => Sale::On,
            until => Sale::Off { until },
        }),
        (false, available, None) => available.map(|_| Sale::On),
        (false, _, Some(_)) => {
            return Err(invalid(
                &format!("{field}.until"),
                "says when an item comes back; available must be set, and false",
            ));
        }
    };
    let price = price.map(|text| match text.as_str() {
        "" => Ok(None),
        text => decimal(text).map(Some).ok_or_else(|| {
            invalid(
                &format!("{field}.price"),
                "must be empty, or a decimal number as 12.50: up to 9 digits, and up to 4 after the point",
            )
        }),
    });
    let price = price.transpose()?;
    if sale.is_none() && price.is_none() && inventory.is_none() {
        return Err(invalid(field, "says nothing: set available, price, inventory or removed"));
    }
    let low_at = (low_inventory > 0).then_some(low_inventory);
    Ok(Change { item_id, sale, price, inventory, low_at })
}

pub(super) fn item(item: &Item) -> v1::MenuItem {
    let Shown { available, until, price, .. } = item.shown();
    v1::MenuItem {
        item_id: item.item_id.clone(),
        available,
        until: until.map(Into::into),
        price: price.unwrap_or_default().to_owned(),
        inventory: item.inventory(),
        menu_version: item.menu_version,
    }
}
