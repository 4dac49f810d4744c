//! A frame of Centrifuge's client protocol, with any number of commands: protobuf, each after its length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use platepal_edge::fuzzing::commands;

fuzz_target!(|input: &[u8]| {
    let (read, _) = commands(input, true);
    assert!(read <= input.len(), "each command takes at least a byte");
});
