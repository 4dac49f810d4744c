//! A flat piece of the earth: metres east and north of an origin.
//!
//! The equirectangular projection around the origin. Within 20 km of it lengths are right to about a per cent at
//! 60° north, and what is projected comes back as it was.

use super::place::Place;

/// Metres of one degree of latitude on the sphere that [`Place`] uses.
const DEGREE_METRES: f64 = 111_195.079_7;
/// Keeps what is near a pole finite.
const COSINE_MIN: f64 = 1e-3;

/// Metres around an origin.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plane {
    origin: Place,
    cosine: f64,
}

impl Plane {
    pub(crate) fn at(origin: Place) -> Self {
        Self { origin, cosine: origin.latitude.to_radians().cos().max(COSINE_MIN) }
    }

    /// Metres east and north of the origin.
    pub(crate) fn metres(&self, place: Place) -> (f64, f64) {
        let longitude = (place.longitude - self.origin.longitude + 180.0).rem_euclid(360.0) - 180.0;
        let latitude = place.latitude - self.origin.latitude;
        (longitude * self.cosine * DEGREE_METRES, latitude * DEGREE_METRES)
    }

    /// The place so many metres east and north of the origin.
    pub(crate) fn place(&self, (east, north): (f64, f64)) -> Place {
        let longitude = self.origin.longitude + east / (self.cosine * DEGREE_METRES);
        Place {
            latitude: (self.origin.latitude + north / DEGREE_METRES).clamp(-90.0, 90.0),
            longitude: (longitude + 180.0).rem_euclid(360.0) - 180.0,
        }
    }
}

/// How near the straight way from `a` to `b` comes to the origin, and at which part of it (0 to 1).
pub(crate) fn nearest(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    let (east, north) = (b.0 - a.0, b.1 - a.1);
    let length = east * east + north * north;
    let part = if length > 0.0 { (-(a.0 * east + a.1 * north) / length).clamp(0.0, 1.0) } else { 0.0 };
    ((a.0 + part * east).hypot(a.1 + part * north), part)
}

/// At which part of the straight way from `a`, which is outside, to `b` a circle around the origin is entered; `None`:
/// it is not.
pub(crate) fn entry(a: (f64, f64), b: (f64, f64), radius: f64) -> Option<f64> {
    if nearest(a, b).0 > radius {
        return None;
    }
    let (east, north) = (b.0 - a.0, b.1 - a.1);
    let length = east.hypot(north);
    if length <= 0.0 {
        return Some(0.0);
    }
    // Where the line, not only its piece, is nearest; and from there half a chord back.
    let foot = -(a.0 * east + a.1 * north) / (length * length);
    let beside = (a.0 + foot * east).hypot(a.1 + foot * north);
    let chord = (radius * radius - beside * beside).max(0.0).sqrt();
    Some((foot - chord / length).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HELSINKI: Place = Place { latitude: 60.17, longitude: 24.94 };

    #[test]
    fn a_plane_agrees_with_the_sphere_within_a_city() {
        let plane = Plane::at(HELSINKI);
        for bearing in [0.0, 45.0, 133.0, 270.0] {
            let there = HELSINKI.ahead(bearing, 5_000.0);
            let (east, north) = plane.metres(there);
            assert!((east.hypot(north) - 5_000.0).abs() < 10.0, "{bearing}");
        }
    }

    #[test]
    fn a_way_enters_a_circle_where_it_should() {
        assert_eq!(entry((-100.0, 0.0), (100.0, 0.0), 50.0), Some(0.25));
        assert_eq!(entry((-200.0, 0.0), (-100.0, 0.0), 150.0), Some(0.5));
        assert_eq!(entry((-100.0, 60.0), (100.0, 60.0), 50.0), None);
        assert_eq!(nearest((-100.0, 30.0), (100.0, 30.0)), (30.0, 0.5));
    }

    proptest! {
        #[test]
        fn what_is_projected_comes_back(
            latitude in -89.0_f64..89.0, longitude in -180.0_f64..180.0, east in -2e4_f64..2e4, north in -2e4_f64..2e4,
        ) {
            let plane = Plane::at(Place { latitude, longitude });
            let (e, n) = plane.metres(plane.place((east, north)));
            prop_assert!((e - east).abs() < 1e-3 && (latitude.abs() > 88.8 || (n - north).abs() < 1e-3));
        }
    }
}
