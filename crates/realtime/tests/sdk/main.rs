//! The official SDKs of Centrifuge, unchanged, against the real tier: what their users see is what is tested.
//!
//! A story is told once and lived by each SDK in both encodings, with a user of its own in each life.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod asking;
mod channels;
mod client;
mod connecting;
mod frames;
mod given;
#[path = "../system/publishing.rs"]
#[allow(dead_code, reason = "shared with the tests of the whole system, which need more of it")]
mod publishing;
mod recovery;
mod staying;
mod streams;
mod tracking;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_platepal-realtime");
