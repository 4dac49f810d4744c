//! Pieces of the map: geohash cells (G. Niemeyer, 2008).

use super::{limits::Limits, place::Place};

/// The longest geohash that the library makes.
const PRECISION_MAX: usize = 12;

/// The rider's piece of the map: told to whoever watches it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Moved {
    /// The cell that the rider was in, if it was another: tell it that the rider left.
    pub(crate) left: Option<String>,
    /// The cell that the rider is in: tell it the position.
    pub(crate) now: String,
}

/// The cell in which a place is. `None`: it is no place.
pub(crate) fn cell(place: Place, limits: &Limits) -> Option<String> {
    let at = geohash::Coord { x: place.longitude, y: place.latitude };
    geohash::encode(at, limits.area_precision.clamp(1, PRECISION_MAX)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_cell() {
        let limits = Limits::default();
        let helsinki = Place { latitude: 60.1699, longitude: 24.9384 };
        assert_eq!(cell(helsinki, &limits).as_deref(), Some("ud9wr3"));
        let fine = Limits { area_precision: 99, ..limits };
        assert_eq!(cell(helsinki, &fine).map(|cell| cell.len()), Some(12));
    }
}
