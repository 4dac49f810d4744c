//! The update of an order in a generic event. Input: its type, its channels with spaces between, its payload; each
//! on a line, the payload to the end.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_events::{Channel, ChannelKind};
use platepal_fuzz::{event, line, text};
use platepal_orders::fuzzing::recognise;

fuzz_target!(|input: &[u8]| {
    let (kind, rest) = line(input);
    let (names, payload) = line(rest);
    let Some(event) = event(kind, b"", payload) else { return };
    let names = text(names).unwrap_or_default().split(' ');
    let channels: Vec<Channel> = names.filter_map(|name| name.parse().ok()).take(10).collect();
    let Some(update) = recognise(&event, &channels) else { return };
    assert!(Channel::new(ChannelKind::Order, &update.order_id).is_ok(), "{:?} is an id", update.order_id);
    let read: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&update.payload);
    assert!(read.is_ok(), "what is kept of the order is JSON");
    assert_eq!(recognise(&event, &channels), Some(update), "the same event says the same");
});
