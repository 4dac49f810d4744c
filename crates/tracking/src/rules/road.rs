//! The way ahead, as a map knows it. Which map is the caller's.

use super::place::Place;

/// Knows the ways ahead.
pub(crate) trait Ahead: Send + Sync {
    /// The way from one place to another for somebody who looks in this direction; `None`: no road is near.
    fn ahead(&self, from: Place, heading: Option<f64>, to: Place) -> Option<Road>;
}

/// A way.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Road {
    /// How long it takes.
    pub(crate) seconds: f64,
    /// How long it is.
    pub(crate) metres: f64,
    /// From beginning to end.
    pub(crate) line: Vec<Place>,
}

/// There is no map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NoRoads;

impl Ahead for NoRoads {
    fn ahead(&self, _from: Place, _heading: Option<f64>, _to: Place) -> Option<Road> {
        None
    }
}
