//! What it says when nothing comes.

use serde::{Deserialize, Serialize};

use super::limits::Limits;

/// How old the newest position is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Liveness {
    Live,
    Stale,
    Offline,
    Unknown,
}

impl Liveness {
    /// Of a position of this age.
    pub(crate) fn of(age_millis: i64, limits: &Limits) -> Self {
        match age_millis {
            age if age >= limits.unknown_millis => Self::Unknown,
            age if age >= limits.offline_millis => Self::Offline,
            age if age >= limits.stale_millis => Self::Stale,
            _ => Self::Live,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Offline => "offline",
            Self::Unknown => "unknown",
        }
    }
}
