//! The whole system: the real binary in both of its shapes, published to as Django does and read as PlatePal's
//! frontends do.
//!
//! Tests that say `both_shapes!` run once with every role in one process on the embedded bus and SQLite, and
//! once with a process per role on NATS and PostgreSQL: the same test, the same behaviour.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod access;
mod centrifuge;
mod chat;
mod collector;
mod console;
mod crashes;
mod deliveries;
mod demo;
mod doctor;
mod frames;
mod gateway;
mod healing;
mod hostile;
mod http_api;
mod logs;
mod menus;
mod metrics;
mod notifications;
mod orders;
mod publishing;
mod pushing;
mod replay_trace;
mod riders_socket;
mod rolling;
mod sessions;
mod start;
mod tail;
mod traces;
mod tracking;

/// The binary under test.
const BINARY: &str = env!("CARGO_BIN_EXE_platepal-realtime");

/// Runs one story in both shapes.
macro_rules! both_shapes {
    ($(#[$meta:meta])* async fn $name:ident($tier:ident: Tier) $body:block) => {
        mod $name {
            #[allow(unused_imports, reason = "not every story needs what its file imports")]
            use super::*;

            #[allow(unused_mut)]
            async fn story(mut $tier: platepal_testkit::Tier) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn all_in_one() {
                story(platepal_testkit::Tier::all_in_one(crate::BINARY).await).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn split() {
                story(platepal_testkit::Tier::split(crate::BINARY).await).await;
            }
        }
    };
}
pub(crate) use both_shapes;
