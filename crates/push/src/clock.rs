//! The one source of time of this crate: tokens say when they were made and until when they are good.

use std::{fmt, sync::Arc};

use platepal_events::Timestamp;

/// Tells the time. Cheap to clone.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The system's clock.
    #[allow(clippy::disallowed_methods, reason = "this is the clock")]
    pub fn system() -> Self {
        Self::new(|| Timestamp::from_micros(chrono::Utc::now().timestamp_micros()))
    }

    /// A clock that shows what `now` says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    pub(crate) fn now(&self) -> Timestamp {
        (self.0)()
    }

    /// The present moment in whole seconds since 1970, as tokens write it.
    pub(crate) fn seconds(&self) -> i64 {
        self.now().micros().div_euclid(1_000_000)
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}
