//! Fixes as a client writes them. (Draft of the signatures.)

use platepal_events::Timestamp;

use super::fix::Fix;

/// The most fixes in one call.
pub(crate) const FIXES_MAX: usize = 1_000;

/// Why it is no fix. Names the field, and which fix of a list.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub(crate) enum WireError { /* … each a sentence */ }

/// Reads the `data` of a client's frame: one fix, or a list of at most [`FIXES_MAX`].
pub(crate) fn decode(data: &[u8], now: Timestamp) -> Result<Vec<Fix>, WireError>;
