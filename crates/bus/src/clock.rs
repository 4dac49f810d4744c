//! The one place in this crate where a moment is made.

use chrono::Utc;
use platepal_events::Timestamp;

/// Now.
pub(crate) fn now() -> Timestamp {
    Timestamp::from_micros(Utc::now().timestamp_micros())
}
