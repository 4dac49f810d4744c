//! Pushes to real servers of this test, which decrypt what they get, verify who signed it, and answer as the services
//! do, with what goes wrong there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod apps;
mod browsers;
mod server;

use std::time::Duration;

use platepal_push::{Outcome, Push, Senders, Settings, Urgency};
use platepal_settings::Reader;
use serde_json::{Value, json};

fn senders(variables: &[(&str, &str)]) -> Senders {
    rustls::crypto::ring::default_provider().install_default().ok();
    let settings: Settings = Reader::new(variables.iter().copied()).read().unwrap();
    Senders::new(&settings).unwrap()
}

fn push() -> Push {
    Push {
        id: "41".into(),
        title: "Order ready".into(),
        body: "Your order 5012 is ready.".into(),
        data: json!({"order_id": 5012}),
        topic: Some("order:5012".into()),
        urgency: Urgency::High,
        ttl: Some(Duration::from_secs(600)),
    }
}

fn parse(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn later(outcome: &Outcome) -> Option<u64> {
    match outcome {
        Outcome::Later { after, .. } => Some(after.map_or(0, |after| after.as_secs())),
        _ => None,
    }
}
