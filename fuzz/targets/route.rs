//! The path of a request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_edge::fuzzing::route;
use platepal_events::{Channel, ChannelKind};
use platepal_fuzz::text;

fuzz_target!(|input: &[u8]| {
    let Some(path) = text(input) else { return };
    if let Some(channel) = route(path) {
        assert_ne!(channel.kind(), ChannelKind::Sessions, "no path leads to the tier's own channel");
        assert_eq!(channel.as_str().parse::<Channel>(), Ok(channel));
    }
});
