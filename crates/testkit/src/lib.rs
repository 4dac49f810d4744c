//! Real servers and real tiers for tests: NATS, PostgreSQL, the `platepal-realtime` binary in any shape, and
//! the clients that talk to them; and rides to track, real and made up ([`traces`]).
//!
//! Hides ports, waiting and cleaning up, never behaviour: nothing here stands in for a part of the system.
//! What is started is stopped when its value is dropped, and what it printed is shown when the test fails.
//!
//! Invariant: knows the outside of the tier (environment, addresses, wire formats), no code of it.
//!
//! A broken test environment is a failed test, so everything here panics with a sentence that says what to do
//! instead of returning errors.
#![allow(clippy::expect_used, clippy::print_stderr)]
// The outside of the tier is the environment, and clocks that the tier does not own.
#![allow(clippy::disallowed_methods)]

mod balancer;
mod client;
mod driver;
mod feed;
pub mod http;
mod nats;
pub mod ports;
mod postgres;
mod process;
mod proxy;
mod push_service;
mod python;
mod seed;
mod socket;
mod tier;
mod token;
pub mod traces;
mod wait;

pub use balancer::Balancer;
pub use client::{ApiKey, Clients};
pub use driver::Driver;
pub use feed::PlatePalClient;
pub use nats::NatsServer;
pub use postgres::Postgres;
pub use process::{Ended, Process};
pub use proxy::Proxy;
pub use push_service::{PushService, Pushed};
pub use python::python;
pub use seed::{rng, seed};
pub use socket::{Connect, Next, Refusal, Socket};
pub use tier::{Bus, Role, Shape, Tier, TierBuilder};
pub use token::Token;
pub use wait::{PATIENCE, eventually, poll};
