//! What a client says on one of PlatePal's sockets.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use platepal_edge::fuzzing::message;
use platepal_events::ChannelKind;
use serde_json::value::RawValue;

fuzz_target!(|input: &[u8]| {
    for feed in ChannelKind::PUBLIC {
        match message(input, feed) {
            Ok((method, data, answer)) => {
                let domain = method.split_once('.').map_or("", |(domain, _)| domain);
                let takes: &[&str] = match feed {
                    ChannelKind::Rider => &["tracking", "notifications"],
                    ChannelKind::Chat => &["chat"],
                    ChannelKind::Customer | ChannelKind::Inbox => &["notifications"],
                    _ => &[],
                };
                assert!(takes.contains(&domain), "{method} on {}", feed.word());
                let data: &RawValue = serde_json::from_slice(&data).expect("what is handed over is JSON");
                // Nobody waits for an answer to a flat message without an id.
                if answer.is_empty() {
                    assert!(feed != ChannelKind::Rider || domain == "notifications");
                    continue;
                }
                // The frame's head is as long as its length needs.
                let head = match answer.get(1) {
                    Some(126) => 4,
                    Some(127) => 10,
                    _ => 2,
                };
                let answer = answer.get(head..).unwrap_or_default();
                let answer: BTreeMap<&str, &RawValue> =
                    serde_json::from_slice(answer).expect("the answer is JSON");
                assert_eq!(answer.get("data").map(|data| data.get()), Some(data.get()));
                assert!(answer.get("type").is_some_and(|kind| kind.get().ends_with("_result\"")));
            }
            Err(answer) => assert!(answer.len() < 1_000, "a refusal is short, whatever was said"),
        }
    }
});
