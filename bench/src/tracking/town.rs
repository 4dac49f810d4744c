//! The made-up town as a map: where ways are longer than the real map is wide.

use platepal_testkit::traces::{Plane, streets};
use platepal_tracking::replay::shift::{Ahead, Place, Road};

use super::pass::{place, spot};

/// What the map says everybody rides, m/s. Riders of the town ride as they like.
const SPEED_MPS: f64 = 5.0;

/// Knows the town's shortest ways: one turn each, which is not what riders do.
#[derive(Debug, Clone, Copy)]
pub struct Town(pub Plane);

impl Ahead for Town {
    fn ahead(&self, from: Place, _heading: Option<f64>, to: Place) -> Option<Road> {
        let Self(plane) = self;
        let (from, to) = (spot(plane, from), spot(plane, to));
        let (first, last) = (streets::corner(from), streets::corner(to));
        let corners = [from, streets::spot(first), streets::spot((last.0, first.1)), streets::spot(last), to];
        let metres: f64 =
            corners.iter().zip(corners.iter().skip(1)).map(|(from, to)| from.metres_to(*to)).sum();
        Some(Road {
            seconds: metres / SPEED_MPS,
            metres,
            line: corners.iter().map(|corner| place(plane, *corner)).collect(),
        })
    }
}
