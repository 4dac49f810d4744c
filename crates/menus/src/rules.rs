//! What is said of a menu, and what follows from it. Pure: no I/O, no clock.
//!
//! - `item`: what is said of an item meets what is known of it;
//! - `menu`: an update as a whole, and what is told of it;
//! - `recognise`: what Django's generic events say;
//! - `payload`: the JSON that is told.

pub(crate) mod item;
pub(crate) mod menu;
pub(crate) mod payload;
pub(crate) mod recognise;
