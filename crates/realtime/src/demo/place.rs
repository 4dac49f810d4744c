//! Places on the ground of one city, and the geometry of a few kilometres.

/// Metres of a degree of latitude.
const METRES_PER_DEGREE: f64 = 111_195.0;

/// WGS 84, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Place {
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
}

impl Place {
    pub(crate) const fn new(latitude: f64, longitude: f64) -> Self {
        Self { latitude, longitude }
    }

    /// How far another place is to the north and to the east, metres; flat, which over a city costs millimetres.
    fn offset(self, to: Self) -> (f64, f64) {
        let shrink = self.latitude.to_radians().cos();
        let north = (to.latitude - self.latitude) * METRES_PER_DEGREE;
        (north, (to.longitude - self.longitude) * METRES_PER_DEGREE * shrink)
    }

    pub(crate) fn metres_to(self, to: Self) -> f64 {
        let (north, east) = self.offset(to);
        north.hypot(east)
    }

    /// Degrees clockwise from north.
    pub(crate) fn bearing(self, to: Self) -> f64 {
        let (north, east) = self.offset(to);
        east.atan2(north).to_degrees().rem_euclid(360.0)
    }

    /// So much of the straight way to another place.
    pub(crate) fn towards(self, to: Self, share: f64) -> Self {
        Self {
            latitude: self.latitude + (to.latitude - self.latitude) * share,
            longitude: self.longitude + (to.longitude - self.longitude) * share,
        }
    }

    /// So many metres to the north and to the east.
    pub(crate) fn moved(self, north: f64, east: f64) -> Self {
        let shrink = self.latitude.to_radians().cos();
        Self {
            latitude: self.latitude + north / METRES_PER_DEGREE,
            longitude: self.longitude + east / METRES_PER_DEGREE / shrink,
        }
    }

    /// The shortest way to a straight street.
    #[cfg(test)]
    pub(crate) fn metres_to_segment(self, from: Self, to: Self) -> f64 {
        let (north, east) = from.offset(to);
        let (own_north, own_east) = from.offset(self);
        let length = north * north + east * east;
        let share = if length > 0.0 { (own_north * north + own_east * east) / length } else { 0.0 };
        self.metres_to(from.towards(to, share.clamp(0.0, 1.0)))
    }
}

/// From one direction to another, degrees: -180 to 180.
pub(crate) fn turn(from: f64, to: f64) -> f64 {
    (to - from + 180.0).rem_euclid(360.0) - 180.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_and_lengths_are_those_of_a_compass_and_a_tape() {
        let here = Place::new(60.17, 24.94);
        for (north, east, bearing) in
            [(100.0, 0.0, 0.0), (0.0, 100.0, 90.0), (-100.0, 0.0, 180.0), (0.0, -100.0, 270.0)]
        {
            let there = here.moved(north, east);
            assert!((here.metres_to(there) - 100.0).abs() < 0.01);
            assert!(turn(here.bearing(there), bearing).abs() < 0.1, "{north} {east}");
        }
        assert!((turn(350.0, 10.0) - 20.0).abs() < 1e-9 && (turn(10.0, 350.0) + 20.0).abs() < 1e-9);
    }
}
