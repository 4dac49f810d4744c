//! What is kept of a way.
//!
//! Points are chosen as they come, with one anchor and one cone in memory (W. Zhao, A. Saalfeld, *Linear-time
//! Sleeve-fitting Polyline Simplification Algorithms*, AutoCarto 13, 1997): the tangents from the anchor to a circle
//! around each point narrow a cone; as long as the newest point is in the cone and further away than those before, the
//! straight way to it passes all of them within the error. When it is not, the point before it is kept and is the next
//! anchor. The error is guaranteed as Ramer-Douglas-Peucker's is, in constant memory and time per point, for a few more
//! points; [`simplify`] is Ramer-Douglas-Peucker itself, for ways that are complete.
//!
//! Where a rider stands, the first and the last moment are kept, so that a replay has the pause.
//!
//! Privacy: no point is within 150 m of where the shift started ([`super::rider`] sees to it as points come) or ended
//! ([`without_ends`], when the end is known).

use std::{
    cmp::Ordering,
    collections::{BTreeSet, BinaryHeap},
};

use geojson::{Feature, GeometryValue, JsonObject, JsonValue};
use platepal_events::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    fix::micros,
    limits::Limits,
    place::Place,
    plane::{Plane, nearest},
};

/// What rounding to precision 5 of a polyline may add to the error, in metres.
const ROUNDING_METRES: f64 = 0.8;
/// Decimals of a polyline's degrees.
const PRECISION: u32 = 5;

/// A point of a way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrailPoint {
    pub(crate) place: Place,
    /// By the device's clock.
    #[serde(with = "micros")]
    pub(crate) at: Timestamp,
}

/// A way as it comes, point by point.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct Simplifier {
    /// The last point that was kept.
    anchor: Option<TrailPoint>,
    /// The newest point.
    last: Option<TrailPoint>,
    cone: Option<Cone>,
}

/// Where the straight way on may lead.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Cone {
    /// Direction of the first point, in radians; the cone lies around it.
    middle: f64,
    /// To the left and right of the middle, in radians.
    from: f64,
    to: f64,
    /// Metres to the furthest point.
    far: f64,
}

impl Simplifier {
    /// Takes the next point; returns one to keep.
    pub(crate) fn push(&mut self, point: TrailPoint, limits: &Limits) -> Option<TrailPoint> {
        let Some(anchor) = self.anchor else {
            *self = Self { anchor: Some(point), last: Some(point), cone: None };
            return Some(point);
        };
        let last = self.last.unwrap_or(anchor);
        let error = (limits.trail_error_m - ROUNDING_METRES).max(0.1);
        let (east, north) = Plane::at(anchor.place).metres(point.place);
        let metres = east.hypot(north);
        let direction = east.atan2(north);
        let Some(cone) = self.cone else {
            if metres <= error {
                self.last = Some(point);
                return None;
            }
            // Going on after a stand: its last moment is kept as well.
            let stand = TrailPoint { place: anchor.place, at: last.at };
            let has_stood = last.at.millis_since(anchor.at) >= limits.stand_millis;
            if has_stood {
                self.anchor = Some(stand);
            }
            let width = (error / metres).clamp(0.0, 1.0).asin();
            self.cone = Some(Cone { middle: direction, from: -width, to: width, far: metres });
            self.last = Some(point);
            return has_stood.then_some(stand);
        };
        let turned = turn(direction - cone.middle);
        if metres > error && metres >= cone.far && (cone.from..=cone.to).contains(&turned) {
            let width = (error / metres).clamp(0.0, 1.0).asin();
            self.cone = Some(Cone {
                middle: cone.middle,
                from: cone.from.max(turned - width),
                to: cone.to.min(turned + width),
                far: metres,
            });
            self.last = Some(point);
            return None;
        }
        *self = Self { anchor: Some(last), last: Some(last), cone: None };
        // Has nothing to keep: the anchor is the point before.
        self.push(point, limits);
        Some(last)
    }

    /// The way ends here: its last point to keep, and the next point begins another.
    pub(crate) fn finish(&mut self) -> Option<TrailPoint> {
        let Self { anchor, last, .. } = std::mem::take(self);
        last.filter(|last| anchor.is_none_or(|anchor| anchor.at < last.at))
    }
}

/// A turn in radians, from -π to π.
fn turn(radians: f64) -> f64 {
    use std::f64::consts::{PI, TAU};
    (radians + PI).rem_euclid(TAU) - PI
}

/// Fewer points that are the same way to within `error_m` metres (D. H. Douglas, T. K. Peucker, 1973; U. Ramer, 1972).
/// In order of time.
#[cfg(test)]
pub(crate) fn simplify(points: &[TrailPoint], error_m: f64) -> Vec<TrailPoint> {
    fewer(points, |point| point.place, error_m, usize::MAX)
}

/// At most so many places that are as nearly the same line as can be: those that stand out most.
pub(crate) fn outline(line: &[Place], places_max: usize) -> Vec<Place> {
    fewer(line, |place| *place, 1.0, places_max)
}

/// Splits a way where it stands out most, again and again, until nothing stands out further than the error or there are
/// as many points as may be.
fn fewer<T: Copy>(way: &[T], place: impl Fn(&T) -> Place, error_m: f64, points_max: usize) -> Vec<T> {
    let Some(end) = way.len().checked_sub(1) else { return Vec::new() };
    let mut kept = BTreeSet::from([0, end]);
    let furthest = |from: usize, to: usize| {
        let plane = Plane::at(place(way.get(from)?));
        let last = plane.metres(place(way.get(to)?));
        let between = way.get(from + 1..to)?.iter().enumerate();
        let metres = between.map(|(index, point)| {
            let (east, north) = plane.metres(place(point));
            let metres = nearest((-east, -north), (last.0 - east, last.1 - north)).0;
            Split { metres, from, at: from + 1 + index, to }
        });
        metres.max().filter(|split| split.metres > error_m)
    };
    let mut open: BinaryHeap<Split> = furthest(0, end).into_iter().collect();
    while let Some(split) = open.pop() {
        if kept.len() >= points_max.max(2) {
            break;
        }
        kept.insert(split.at);
        open.extend(furthest(split.from, split.at));
        open.extend(furthest(split.at, split.to));
    }
    kept.into_iter().filter_map(|index| way.get(index).copied()).collect()
}

/// Where a part of a way stands out.
#[derive(Debug, Clone, Copy)]
struct Split {
    metres: f64,
    from: usize,
    at: usize,
    to: usize,
}

impl Ord for Split {
    fn cmp(&self, other: &Self) -> Ordering {
        self.metres.total_cmp(&other.metres)
    }
}

impl PartialOrd for Split {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Split {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Split {}

/// In order of time, one point for each moment: what the trail holds, however it came.
pub(crate) fn in_order(mut points: Vec<TrailPoint>) -> Vec<TrailPoint> {
    let key = |point: &TrailPoint| (point.at, point.place.latitude, point.place.longitude);
    points.sort_by(|a, b| key(a).partial_cmp(&key(b)).unwrap_or(Ordering::Equal));
    points.dedup_by_key(|point| point.at);
    points
}

/// Without what is near the places where a shift started and ended; for when the end becomes known.
pub(crate) fn without_ends(mut points: Vec<TrailPoint>, ends: &[Place], limits: &Limits) -> Vec<TrailPoint> {
    points.retain(|point| !is_private(point.place, ends, limits));
    points
}

/// Whether a place is too near to where a shift started or ended to be stored.
pub(crate) fn is_private(place: Place, ends: &[Place], limits: &Limits) -> bool {
    ends.iter().any(|end| end.metres_to(place) <= limits.privacy_m)
}

/// Metres along the way.
pub(crate) fn metres(points: &[TrailPoint]) -> f64 {
    points.iter().zip(points.iter().skip(1)).map(|(from, to)| from.place.metres_to(to.place)).sum()
}

/// Google's encoded polyline, precision 5.
pub(crate) fn polyline(places: impl IntoIterator<Item = Place>) -> String {
    let places = places.into_iter().filter(|place| place.latitude.is_finite() && place.longitude.is_finite());
    let coordinates = places.map(|place| geo_types::Coord {
        x: place.longitude.clamp(-180.0, 180.0),
        y: place.latitude.clamp(-90.0, 90.0),
    });
    // Every coordinate is in range, and nothing else is an error.
    ::polyline::encode_coordinates(coordinates, PRECISION).unwrap_or_default()
}

/// Back again; `None`: it is none.
pub(crate) fn places(polyline: &str) -> Option<Vec<Place>> {
    let line = ::polyline::decode_polyline(polyline, PRECISION).ok()?;
    Some(line.into_iter().map(|at| Place { latitude: at.y, longitude: at.x }).collect())
}

/// A Feature with a LineString (a Point, if there is one; without geometry if there is none), and the moments of its
/// points in its properties (`times`, RFC 3339).
pub(crate) fn geojson(points: &[TrailPoint]) -> String {
    let round = |degrees: f64| (degrees * 1e6).round() / 1e6;
    let position = |point: &TrailPoint| [round(point.place.longitude), round(point.place.latitude)];
    let geometry = match points {
        [] => None,
        [point] => Some(GeometryValue::new_point(position(point))),
        points => Some(GeometryValue::new_line_string(points.iter().map(position))),
    };
    let times = points.iter().map(|point| JsonValue::from(point.at.to_string())).collect();
    let properties = JsonObject::from_iter([("times".to_owned(), JsonValue::Array(times))]);
    let feature =
        Feature { geometry: geometry.map(Into::into), properties: Some(properties), ..Feature::default() };
    feature.to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use proptest::prelude::*;

    use super::*;
    use crate::rules::fix::tests::at;

    const HERE: Place = Place { latitude: 60.17, longitude: 24.94 };

    fn way(metres: &[(f64, f64)]) -> Vec<TrailPoint> {
        let plane = Plane::at(HERE);
        let points = metres.iter().enumerate();
        points
            .map(|(index, at_)| TrailPoint { place: plane.place(*at_), at: at(index as f64 * 5.0) })
            .collect()
    }

    fn streamed(points: &[TrailPoint]) -> Vec<TrailPoint> {
        let (mut simplifier, limits) = (Simplifier::default(), Limits::default());
        let mut kept: Vec<_> = points.iter().filter_map(|point| simplifier.push(*point, &limits)).collect();
        kept.extend(simplifier.finish());
        kept
    }

    /// How far the furthest point is from the kept way, between the kept points around its moment.
    fn error(points: &[TrailPoint], kept: &[TrailPoint]) -> f64 {
        let distance = |point: &TrailPoint| {
            let plane = Plane::at(point.place);
            let around = kept.windows(2).find(|pair| pair[0].at <= point.at && point.at <= pair[1].at);
            match around {
                Some(pair) => nearest(plane.metres(pair[0].place), plane.metres(pair[1].place)).0,
                None => {
                    kept.iter().map(|kept| kept.place.metres_to(point.place)).fold(f64::INFINITY, f64::min)
                }
            }
        };
        points.iter().map(distance).fold(0.0, f64::max)
    }

    #[test]
    fn a_straight_way_is_two_points_and_a_corner_a_third() {
        let straight: Vec<_> = (0..50).map(|step| (f64::from(step) * 20.0, 0.0)).collect();
        assert_eq!(streamed(&way(&straight)).len(), 2);
        let mut corner = straight;
        corner.extend((1..50).map(|step| (980.0, f64::from(step) * 20.0)));
        assert_eq!(streamed(&way(&corner)).len(), 3);
        assert_eq!(simplify(&way(&corner), 5.0).len(), 3);
    }

    #[test]
    fn a_pause_keeps_both_its_moments() {
        let mut pause: Vec<_> = (0..10).map(|step| (f64::from(step) * 30.0, 0.0)).collect();
        pause.extend((0..20).map(|step| (270.0, f64::from(step % 3))));
        pause.extend((1..10).map(|step| (270.0 + f64::from(step) * 30.0, 0.0)));
        let kept = streamed(&way(&pause));
        let stands = kept.windows(2).filter(|pair| pair[0].place.metres_to(pair[1].place) < 5.0);
        let longest = stands.map(|pair| pair[1].at.millis_since(pair[0].at)).max();
        assert!(longest >= Some(60_000), "{longest:?} of 95 s");
    }

    #[test]
    fn the_ends_of_a_shift_are_private() {
        let ride = way(&(0..100).map(|step| (f64::from(step) * 20.0, 0.0)).collect::<Vec<_>>());
        let ends = [ride[0].place, ride[99].place];
        let kept = without_ends(ride, &ends, &Limits::default());
        assert_eq!(kept.len(), 100 - 2 * 8);
        assert!(kept.iter().all(|point| ends.iter().all(|end| end.metres_to(point.place) > 150.0)));
    }

    #[test]
    fn a_trail_is_a_polyline_and_geojson() {
        let kept = way(&[(0.0, 0.0), (100.0, 50.0)]);
        let text = polyline(kept.iter().map(|point| point.place));
        let back = places(&text).unwrap();
        assert!(back.iter().zip(&kept).all(|(back, kept)| back.metres_to(kept.place) < ROUNDING_METRES));
        assert_eq!(places("?"), None);
        insta::assert_snapshot!(geojson(&kept), @r#"{"type":"Feature","geometry":{"type":"LineString","coordinates":[[24.94,60.17],[24.941808,60.17045]]},"properties":{"times":["2026-11-24T11:30:00.000000+00:00","2026-11-24T11:30:05.000000+00:00"]}}"#);
        insta::assert_snapshot!(geojson(&[]), @r#"{"type":"Feature","geometry":null,"properties":{"times":[]}}"#);
    }

    proptest! {
        #[test]
        fn no_point_is_further_than_the_error_from_what_is_kept(
            steps in proptest::collection::vec((-30.0_f64..30.0, -30.0_f64..30.0), 1..200),
        ) {
            let mut place = (0.0, 0.0);
            let metres: Vec<_> = steps.iter().map(|(east, north)| {
                place = (place.0 + east, place.1 + north);
                place
            }).collect();
            let points = way(&metres);
            let kept = streamed(&points);
            prop_assert!(error(&points, &kept) <= 5.0, "{}", error(&points, &kept));
            prop_assert!(kept.windows(2).all(|pair| pair[0].at < pair[1].at));
            prop_assert!(error(&points, &simplify(&points, 5.0)) <= 5.02);
        }

        #[test]
        fn no_text_that_is_no_polyline_makes_it_panic(text in "[?-~]{0,60}") {
            if let Some(places) = places(&text) {
                let _ = polyline(places);
            }
        }
    }
}
