//! Streets, as a map knows them: the way ahead, and those nearby. Which map is the caller's.

use super::{place::Place, street::Near};

/// Knows the ways ahead.
pub trait Ahead: Send + Sync {
    /// The way from one place to another for somebody who looks in this direction; `None`: no road is near.
    fn ahead(&self, from: Place, heading: Option<f64>, to: Place) -> Option<Road>;

    /// The nearest place of each street within so many metres, nearest first.
    fn near(&self, _at: Place, _within_m: f64) -> Vec<Near> {
        Vec::new()
    }
}

/// A way.
#[derive(Debug, Clone, PartialEq)]
pub struct Road {
    /// How long it takes.
    pub seconds: f64,
    /// How long it is.
    pub metres: f64,
    /// From beginning to end.
    pub line: Vec<Place>,
}

/// There is no map.
#[derive(Debug, Clone, Copy)]
pub struct NoRoads;

impl Ahead for NoRoads {
    fn ahead(&self, _from: Place, _heading: Option<f64>, _to: Place) -> Option<Road> {
        None
    }
}
