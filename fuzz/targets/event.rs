//! The envelope of an event, as it comes over gRPC: the protobuf message `platepal.realtime.v1.Event`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_events::Event;
use platepal_fuzz::now;
use platepal_proto::v1;
use prost::Message;

fuzz_target!(|input: &[u8]| {
    let Ok(message) = v1::Event::decode(input) else { return };
    match Event::parse(message, now()) {
        Ok(event) => {
            let again = Event::parse(v1::Event::from(&event), now());
            assert_eq!(again.as_ref(), Ok(&event), "an event survives its message");
        }
        Err(why) => {
            let sentence = why.to_string();
            assert!(sentence.starts_with(why.field()), "{sentence:?} names its field");
            assert!(sentence.len() < 1_000, "an error does not repeat a whole message");
        }
    }
});
