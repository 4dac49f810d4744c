//! Which of two things that a publisher said is newer.

use serde::{Deserialize, Serialize};

/// Where something that was said of a thing stands among all that was said of it: by the publisher's version where both
/// have one, else by when it happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// The publisher's; 0: it keeps none.
    pub version: u64,
    /// Microseconds since 1970.
    pub at: i64,
}

impl Stamp {
    /// The largest version: what the databases can hold, and far from overflow.
    pub const VERSION_MAX: u64 = i64::MAX as u64 / 2;

    /// Whether it is older. Of the same moment neither is.
    pub fn is_before(self, other: Self) -> bool {
        if self.version > 0 && other.version > 0 { self.version < other.version } else { self.at < other.at }
    }

    /// Whether the publisher gave both the same version, so that they must say the same.
    pub fn is_same_version(self, other: Self) -> bool {
        self.version > 0 && self.version == other.version
    }
}
