//! What may happen in a room, and what follows. Pure: moments and numbers come in, decisions go out.

pub(crate) mod canned;
pub(crate) mod message;
pub(crate) mod pace;
pub(crate) mod payload;
pub(crate) mod room;
pub(crate) mod words;
