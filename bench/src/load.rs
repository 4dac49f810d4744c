//! The readers: thousands of light WebSocket clients on one thread.
//!
//! They must cost much less than the servers, with which they share the machine: frames are read into one buffer
//! for all, nothing is copied, and of each event only its mark is looked at.
//!
//! Invariant: speaks protocols, knows no server.

mod dialect;
mod frames;
mod seat;
mod swarm;

pub use dialect::{Dialect, Resume};
pub use swarm::{Counts, Swarm};
