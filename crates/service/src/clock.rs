//! The one source of time.

use platepal_events::Timestamp;

/// Tells the time. Rules get moments as values; whoever needs the present asks this.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// The present moment.
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn now(self) -> Timestamp {
        Timestamp::from_micros(chrono::Utc::now().timestamp_micros())
    }
}
