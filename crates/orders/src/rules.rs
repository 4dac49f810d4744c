//! What an order may do, and what follows from what happened to it. Pure: no I/O, no clock, no randomness;
//! moments come in as values.
//!
//! - [`status`]: the status graph, and which event type says which status;
//! - [`order`]: an update meets the order that is held ([`order::apply`]);
//! - [`recognise`]: finds the order's update in a generic event;
//! - [`envelope`]: the shape in which this domain tells;
//! - [`deadlines`]: what becomes due, and when.
//!
//! The same updates in any order give the same order in the end, and the versions that are told only grow.

pub(crate) mod deadlines;
pub(crate) mod envelope;
pub(crate) mod order;
pub(crate) mod recognise;
pub(crate) mod status;
