//! Pieces of the map: geohash cells (G. Niemeyer, 2008).

/// The rider's piece of the map: told to whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The cell that the rider was in, if it was another: tell it that the rider left.
    pub(crate) left: Option<String>,
    /// The cell that the rider is in: tell it the position.
    pub(crate) now: String,
}
