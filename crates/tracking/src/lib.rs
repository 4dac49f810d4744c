//! The tracking domain: riders' positions, deliveries, job offers, trails.
//!
//! A fix is answered when it is kept. Each rider's fixes are taken in order by one replica at a time, which holds
//! the rider in memory and can be rebuilt from the store. What a delivery becomes goes into the store and the outbox
//! in one transaction ([`platepal_service::outbox`]); positions are *latest* values, told after they were kept.
//!
//! - `rules`: what a fix is, and what follows. Pure;
//! - `store`: keeps it, in PostgreSQL or SQLite;
//! - `riders`: who owns which rider, and the riders in memory;
//! - `grpc`: what is asked; `worker`: what happens by itself.
//!
//! Invariant: a position is shown to those whose delivery it concerns, while it lasts, and to nobody else.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod replay;
#[allow(dead_code)]
mod rules;
mod settings;

use platepal_service::{Parts, RoleError, grpc::Door};

pub use settings::Settings;

/// Starts the domain: opens its store, serves it at the doors, and works until the shutdown. Returns when it
/// serves.
pub async fn run(
    _settings: Settings,
    _access: platepal_service::access::Settings,
    _parts: Parts,
    _doors: Vec<Door>,
) -> Result<(), RoleError> {
    Ok(())
}
