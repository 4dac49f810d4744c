//! Measurements: what they share. Each program in `bin` is one, and says how to repeat it.
//!
//! Invariant: looks at servers from outside (sockets, HTTP, gRPC, what the kernel says of their processes), so
//! that ours and its peers are measured with the same eyes. Only [`tracking`] measures rules and no server.

pub mod command;
pub mod fleet;
pub mod load;
pub mod machine;
pub mod mark;
pub mod measures;
pub mod page;
pub mod peers;
pub mod plots;
pub mod publisher;
pub mod results;
pub mod stage;
pub mod tracking;
pub mod watched;
