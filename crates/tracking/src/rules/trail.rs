//! What is kept of a way. (Draft of the signatures.)

use platepal_events::Timestamp;

use super::{limits::Limits, place::Place};

/// A point of a way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct TrailPoint {
    pub(crate) place: Place,
    /// By the device's clock.
    pub(crate) at: Timestamp,
}

/// Fewer points that are the same way to within `error_m` metres (Ramer-Douglas-Peucker). In order of time.
pub(crate) fn simplify(points: &[TrailPoint], error_m: f64) -> Vec<TrailPoint>;

/// In order of time, one point for each moment: what the trail holds, however it came.
pub(crate) fn in_order(points: Vec<TrailPoint>) -> Vec<TrailPoint>;

/// Without what is near the places where a shift started and ended; for when the end becomes known.
pub(crate) fn without_ends(points: Vec<TrailPoint>, ends: &[Place], limits: &Limits) -> Vec<TrailPoint>;

/// Metres along the way.
pub(crate) fn metres(points: &[TrailPoint]) -> f64;

/// Google's encoded polyline, precision 5.
pub(crate) fn polyline(places: impl IntoIterator<Item = Place>) -> String;

/// Back again; `None`: it is none.
pub(crate) fn places(polyline: &str) -> Option<Vec<Place>>;

/// A Feature with a LineString (a Point, if there is one), and the moments in its properties (`times`, RFC 3339).
pub(crate) fn geojson(points: &[TrailPoint]) -> String;
