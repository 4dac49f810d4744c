//! What becomes a notification, what it says, and when it may leave the inbox. Pure: moments come in, decisions go out.

pub(crate) mod kinds;
pub(crate) mod payload;
pub(crate) mod plan;
pub(crate) mod preferences;
pub(crate) mod produce;
pub(crate) mod quiet;
pub(crate) mod retry;
pub(crate) mod templates;
