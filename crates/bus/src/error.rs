//! What can go wrong on the bus.

/// Why the bus did not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BusError {
    /// The engine can't be reached or did not answer in time. The append may or may not be kept.
    #[error("the bus is unavailable: {0}; repeat with the same event id")]
    Unavailable(String),
    /// The engine answered with an error; a repeat won't help.
    #[error("the bus refused: {0}")]
    Refused(String),
    /// What the engine has stored does not fit these settings.
    #[error("the bus does not fit the settings: {0}")]
    Mismatch(String),
}

impl BusError {
    /// Whether a repeat of the same call may succeed.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }
}
