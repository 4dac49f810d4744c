//! When it will be there. (Draft of the types.)

/// Whole minutes until it is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Eta {
    pub(crate) minutes: u32,
    pub(crate) from: u32,
    pub(crate) to: u32,
}
