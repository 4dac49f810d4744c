//! A real edge, a real bus, real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod admission;
mod asking;
mod centrifuge;
mod doors;
mod drain;
mod hostile;
mod house;
mod limits;
mod links;
mod maps;
mod menus;
mod polling;
mod replay;
mod streams;
mod wire;
