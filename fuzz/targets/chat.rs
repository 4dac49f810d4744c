//! A message in a chat frame. Input: the frame's arguments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_chat::fuzzing::message;

fuzz_target!(|input: &[u8]| {
    let Some(said) = message(input, "darn\nblöd") else { return };
    assert!(said.content.chars().count() <= 4_000, "a message has a bound");
    assert_eq!(said.masked.chars().count(), said.content.chars().count(), "stars stand for letters");
    assert_eq!(message(input, "").map(|said| said.masked), Some(said.content), "no list, no stars");
    if let Some(url) = said.url {
        let url = url::Url::parse(&url).expect("an attachment has an address");
        assert!(url.host_str().is_some_and(|host| host.ends_with(".cdn.example")), "{url}");
    }
});
