//! Settings: values of every type, and whole environments. Input: `NAME=value` on each line.
#![no_main]

use std::{fmt::Debug, net::SocketAddr, time::Duration};

use libfuzzer_sys::fuzz_target;
use platepal_fuzz::text;
use platepal_settings::{ByteSize, Group, Reader, Value};
use url::Url;

fuzz_target!(|input: &[u8]| {
    let Some(text) = text(input) else { return };
    let variables: Vec<(&str, &str)> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        // They name files, which a target does not read.
        .filter(|(name, _)| !name.ends_with("_FILE"))
        .collect();
    for (_, value) in &variables {
        values(value);
    }
    let mut reader = Reader::new(variables);
    read::<platepal_service::Settings>(&mut reader);
    read::<platepal_bus::Settings>(&mut reader);
    read::<platepal_auth::KeySettings>(&mut reader);
    read::<platepal_edge::Settings>(&mut reader);
    read::<platepal_gateway::Settings>(&mut reader);
    read::<platepal_orders::Settings>(&mut reader);
    read::<platepal_service::access::Settings>(&mut reader);
    if let Some(tokens) = reader.read::<platepal_auth::Settings>() {
        tokens.check(&mut reader);
    }
    if let Err(mistakes) = reader.finish(platepal_auth::Settings::SPECS) {
        assert!(!mistakes.0.is_empty());
    }
});

fn read<G: Group>(reader: &mut Reader) {
    reader.read::<G>();
}

fn values(text: &str) {
    fn read<T: Value + Debug>(text: &str) {
        if let Err(why) = T::parse(text) {
            assert!(why.starts_with("must be "), "the error completes a sentence: {why:?}");
        }
    }
    read::<u16>(text);
    read::<u64>(text);
    read::<f64>(text);
    read::<bool>(text);
    read::<Duration>(text);
    read::<ByteSize>(text);
    read::<SocketAddr>(text);
    read::<Url>(text);
    read::<Vec<Duration>>(text);
    read::<Option<u32>>(text);
}
