//! The one place in this crate where a moment is made.

use chrono::Utc;
use platepal_events::Timestamp;

/// Now.
#[allow(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(Utc::now().timestamp_micros())
}
