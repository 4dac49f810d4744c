//! A real edge, a real bus, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod admission;
mod centrifuge;
mod doors;
mod drain;
mod hostile;
mod house;
mod limits;
mod polling;
mod replay;
mod streams;
mod wire;
