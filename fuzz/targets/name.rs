//! Names: of channels, event types, events, and moments as text.
#![no_main]

use std::{fmt::Display, str::FromStr};

use libfuzzer_sys::fuzz_target;
use platepal_events::{Channel, ChannelKind, EventId, EventType, Timestamp};
use platepal_fuzz::text;

fuzz_target!(|input: &[u8]| {
    let Some(text) = text(input) else { return };
    reads_back::<Channel>(text);
    reads_back::<EventType>(text);
    reads_back::<EventId>(text);
    reads_back::<Timestamp>(text);
    reads_back::<platepal_auth::UserId>(text);
    if let Ok(channel) = text.parse::<Channel>() {
        assert_ne!(channel.kind(), ChannelKind::Sessions, "nobody outside can name the tier's own channel");
        assert_eq!(channel.kind().has_id(), !channel.id().is_empty());
    }
    if let Ok(kind) = text.parse::<EventType>()
        && kind.is_known()
    {
        assert_eq!(kind.underscored().parse(), Ok(kind), "both spellings are one type");
    }
});

/// What was read is the same when it is written and read again, and an error is short.
fn reads_back<T: FromStr<Err: Display> + Display + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let written = value.to_string();
            assert!(written.parse::<T>().is_ok_and(|again| again == value), "{text:?} became {written:?}");
        }
        Err(why) => assert!(why.to_string().len() < 1_000, "an error does not repeat a whole text"),
    }
}
